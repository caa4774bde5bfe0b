"""Finds materializations in Dagster's event log by the commit and the place that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dagster import AssetKey, DagsterEventType, DagsterInstance

from lake_assets.lake.contract import Commit
from lake_assets.runs.asset_metadata import COMMIT, DATA_VERSION, PREFIX, ROW_COUNT
from lake_assets.runs.commit_metadata import CommitMetadata

RUNLESS = ""
"""The run id of events that no run made, but a person or a sensor reported."""


@dataclass(frozen=True, slots=True)
class Materialized:
    """One materialization event of a place.

    Parameters
    ----------
    asset
        Key of the asset.
    partition
        Partition key; None if the asset has no partitions.
    commit
        The commit that the metadata name; None if they name none.
    rows
        The number of rows in the metadata; None if it is missing.
    tags
        Dagster's tags: data version, code version, and the versions of the inputs.
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
    """Materializations by place. The events of each run are read once.

    Parameters
    ----------
    instance
        The Dagster instance.
    """

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._runs: dict[str, dict[str, list[Materialized]]] = {}

    def event_of(self, commit: Commit, place: str) -> Materialized | None:
        """Return the event that reports a place that a commit wrote; None if there is no event.

        If no event names this commit, return the newest event of the same run and place, so that the caller can say
        what differs.

        Parameters
        ----------
        commit
            The commit.
        place
            The folder.
        """
        events = self.events_of_run(CommitMetadata.parse(commit.metadata).run_id or RUNLESS, place)
        return next((event for event in events if event.commit == commit.id), events[0] if events else None)

    def events_of_run(self, run_id: str, place: str) -> list[Materialized]:
        """Return a run's events about a place, the newest first.

        Parameters
        ----------
        run_id
            Id of the run; :data:`RUNLESS` for events that no run made.
        place
            The folder.
        """
        if run_id not in self._runs:
            self._runs[run_id] = self._read(run_id)
        return self._runs[run_id].get(place, [])

    def _read(self, run_id: str) -> dict[str, list[Materialized]]:
        events: dict[str, list[Materialized]] = {}
        kind = DagsterEventType.ASSET_MATERIALIZATION
        for record in self._instance.get_records_for_run(run_id, of_type=kind, ascending=False).records:
            logged = record.event_log_entry.asset_materialization
            if logged is None or PREFIX not in logged.metadata:
                continue
            commit, rows = (getattr(logged.metadata.get(name), "value", None) for name in (COMMIT, ROW_COUNT))
            event = Materialized(
                logged.asset_key,
                logged.partition,
                str(commit) if commit is not None else None,
                rows if isinstance(rows, int) else None,
                dict(logged.tags or {}),
            )
            events.setdefault(str(logged.metadata[PREFIX].value), []).append(event)
        return events
