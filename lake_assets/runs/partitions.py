"""The partitions of a run. Dagster itself lets a partitioned asset run without any."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from dagster import DagsterInvariantViolationError, Failure

if TYPE_CHECKING:
    from dagster import AssetCheckExecutionContext, AssetExecutionContext, OutputContext


def partitions_of(context: AssetExecutionContext | AssetCheckExecutionContext) -> Sequence[str]:
    """Return the partitions that an asset or a check is run for.

    Parameters
    ----------
    context
        Its context.

    Raises
    ------
    Failure
        The run has no partition.
    """
    if not context.has_partition_key and not context.has_partition_key_range:
        raise _missing()
    op = context.op_execution_context
    # Of one partition, the definition is not asked: a dynamic one may not be registered yet.
    return [op.partition_key] if op.has_partition_key else op.partition_keys


def check_partitions(context: OutputContext) -> None:
    """Refuse an output of a partitioned asset if the run has no partition: it would replace all partitions.

    Parameters
    ----------
    context
        The output.

    Raises
    ------
    Failure
        The run has no partition.
    """
    if context.has_asset_partitions:
        return
    with suppress(DagsterInvariantViolationError):
        # It raises if the asset is not partitioned.
        if context.asset_partitions_def:
            raise _missing()


def _missing() -> Failure:
    return Failure(
        "This run has no partition, and its assets are partitioned: choose one in the UI, or add "
        """--tags '{"dagster/partition": "KEY"}' to `dagster job execute`""",
        allow_retries=False,
    )
