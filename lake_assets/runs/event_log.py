"""What Dagster's event log says was materialized, found by the commit and the place it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dagster import AssetKey, DagsterEventType, DagsterInstance

from lake_assets.lake.contract import Commit
from lake_assets.runs.asset_metadata import COMMIT, DATA_VERSION, PREFIX, ROW_COUNT
from lake_assets.runs.commit_metadata import CommitMetadata

RUNLESS = ""
"""What Dagster files events under that no run of its made: reported by hand, or by a sensor."""


@dataclass(frozen=True, slots=True)
class Materialized:
    """One materialization event of a place.

    Parameters
    ----------
    asset, partition
        Of what; None where the asset has no partitions.
    commit, rows
        As its metadata say; None where they do not.
    tags
        Dagster's: data version, code version, and those of its inputs.
    """

    asset: AssetKey
    partition: str | None
    commit: str | None
    rows: int | None
    tags: Mapping[str, str]

    @property
    def data_version(self) -> str | None:
        """The data version that Dagster compares."""
        return self.tags.get(DATA_VERSION)


class EventLog:
    """Materializations by place; those of a run are read once.

    Parameters
    ----------
    instance
        Whose log is read.
    """

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._runs: dict[str, dict[str, list[Materialized]]] = {}

    def of(self, commit: Commit, place: str) -> Materialized | None:
        """Return the event that tells of a place that a commit made.

        That is the one that names this commit; else the newest of its run and place, for others to say what differs.
        """
        events = self.all_of(CommitMetadata.parse(commit.metadata).run_id or RUNLESS, place)
        return next((event for event in events if event.commit == commit.id), events[0] if events else None)

    def all_of(self, run_id: str, place: str) -> list[Materialized]:
        """Return a run's events of a place, the newest first."""
        if run_id not in self._runs:
            self._runs[run_id] = self._read(run_id)
        return self._runs[run_id].get(place, [])

    def _read(self, run_id: str) -> dict[str, list[Materialized]]:
        events: dict[str, list[Materialized]] = {}
        kind = DagsterEventType.ASSET_MATERIALIZATION
        for record in self._instance.get_records_for_run(run_id, of_type=kind, ascending=False).records:
            told = record.event_log_entry.asset_materialization
            if told is None or PREFIX not in told.metadata:
                continue
            commit, rows = (getattr(told.metadata.get(name), "value", None) for name in (COMMIT, ROW_COUNT))
            event = Materialized(
                told.asset_key,
                told.partition,
                str(commit) if commit is not None else None,
                rows if isinstance(rows, int) else None,
                dict(told.tags or {}),
            )
            events.setdefault(str(told.metadata[PREFIX].value), []).append(event)
        return events
