"""The run coordinator that `dagster.yaml` names: Dagster's queue, which knows the pools of a run before it has the run.

Dagster gives a pool its default limit when its daemon first sees a run of it, after it has listed the pools that limit
what it starts. So of a pool's first runs, it starts at once all that are queued by then.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from dagster import DagsterRun, QueuedRunCoordinator

from lake_assets._dagster import limit_pool, limited_pools

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from lake_assets._dagster import SubmitRunContext


class PoolRunCoordinator(QueuedRunCoordinator):
    """Queues runs as Dagster does. A pool that has no limit yet gets the default before its first run is queued."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queue a run.

        Parameters
        ----------
        context
            The run, and the workspace.
        """
        needed = context.dagster_run.run_op_concurrency
        if needed is not None and needed.all_pools:
            _limit(self._instance, needed.all_pools)
        return super().submit_run(context)


def _limit(instance: DagsterInstance, pools: Set[str]) -> None:
    """Give pools the default limit, but for those that have a limit."""
    if instance.global_op_concurrency_default_limit is None:
        return
    for pool in pools - limited_pools(instance):
        limit_pool(instance, pool)
