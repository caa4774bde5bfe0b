"""The state of runs in Dagster, looked up only if it is needed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.errors import CommandError

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake


class Runs:
    """The active runs, and the states of the runs that have a branch in a lake.

    Parameters
    ----------
    lake
        The lake with the run branches.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    @cached_property
    def branches(self) -> dict[str, str]:
        """Run id to the name of its branch."""
        from lake_assets.runs.branch import branch_name

        prefix = branch_name("")
        return {name.removeprefix(prefix): name for name in self._lake.branches() if name.startswith(prefix)}

    @cached_property
    def unknown(self) -> str | None:
        """The reason why runs cannot be looked up. None if they can."""
        try:
            self._asked  # noqa: B018 - asking is what may fail
        except CommandError as error:
            return str(error)
        return None

    @property
    def going_on(self) -> frozenset[str]:
        """Ids of the runs that have not ended and whose process is not known to be dead."""
        return self._asked[1]

    @property
    def needed(self) -> frozenset[str]:
        """Ids of the active runs, and of the runs that they re-execute."""
        return self._asked[2]

    def status(self, run_id: str) -> str | None:
        """Return the status of a branch's run, such as ``FAILURE``; None if this Dagster does not know the run."""
        return self._asked[0].get(run_id)

    @cached_property
    def of_others(self) -> tuple[str, ...]:
        """The branches of runs that this Dagster does not know. Another Dagster may still run them."""
        return tuple(name for run_id, name in self.branches.items() if self.status(run_id) is None)

    @cached_property
    def _asked(self) -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
        from dagster import RunsFilter

        from lake_assets.runs.lock import live_runs

        with open_instance() as instance:
            found = live_runs(instance)
            wanted = sorted({*found.alive, *self.branches})
            runs = instance.get_runs(RunsFilter(run_ids=wanted)) if wanted else []
        return {run.run_id: run.status.value for run in runs}, found.alive, found.needed


def find_run_id(lake: Lake, run: str) -> str:
    """Return the full id of the run whose branch matches an abbreviated id, or the input if none matches.

    Parameters
    ----------
    lake
        The lake.
    run
        The beginning of a run's id, or of its branch's name.

    Raises
    ------
    CommandError
        It matches several runs, or is empty.
    """
    from lake_assets.runs.branch import branch_name

    beginning = run.removeprefix(branch_name(""))
    if not beginning:
        raise CommandError("the id of the run is empty; `lake-assets branches` lists the runs that have a branch")
    found = [run_id for run_id in Runs(lake).branches if run_id.startswith(beginning)]
    if beginning in found or not found:
        return beginning
    if len(found) > 1:
        raise CommandError(f"{run!r} matches the ids of {len(found)} runs: {', '.join(found[:5])}; give more of the id")
    return found[0]
