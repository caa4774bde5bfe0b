"""What Dagster says of runs, asked only where there is something to ask about."""

from __future__ import annotations

from functools import cached_property

from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.errors import CommandError


class Runs:
    """The runs that Dagster knows."""

    @cached_property
    def unknown(self) -> str | None:
        """Why nothing can be said of runs; None where it can."""
        try:
            self._asked  # noqa: B018 - asking is what may fail
        except CommandError as error:
            return str(error)
        return None

    @property
    def going_on(self) -> frozenset[str]:
        """Ids of the runs that have not ended."""
        return self._asked[1]

    @property
    def needed(self) -> frozenset[str]:
        """Ids of the runs that have not ended, and of those they were re-executed from."""
        return self._asked[2]

    def status(self, run_id: str) -> str:
        """Return a run's status, such as ``FAILURE``."""
        return self._asked[0].get(run_id, "unknown to Dagster")

    @cached_property
    def _asked(self) -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
        with open_instance() as instance:
            runs = {run.run_id: run for run in instance.get_runs()}
        going_on = frozenset(run_id for run_id, run in runs.items() if not run.is_finished)
        needed = set(going_on)
        for run_id in going_on:
            ancestor = runs[run_id].parent_run_id
            while ancestor is not None and ancestor not in needed:
                needed.add(ancestor)
                ancestor = runs[ancestor].parent_run_id if ancestor in runs else None
        return {run_id: run.status.value for run_id, run in runs.items()}, going_on, frozenset(needed)
