"""Reads from a run's events what it materialized, and which commits its checks read.

The commit that a check read is the first of these that is known:

1. The commit that the check's result names (:func:`checked_at`). A check that opens the lake itself does so.
2. For a check in the step that makes the asset: the commit that the same attempt of the step wrote, and no other.
3. The commit at which our IO manager loaded the asset for the check's step.
4. The last commit of the asset that the run, or an ancestor that it continues, wrote before the check's step began.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance

from lake_assets.layout.asset_folders import prefix_of
from lake_assets.runs.asset_metadata import COMMIT, PREFIX, REPOSITORY

_KINDS = {
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_RESTARTED,
    DagsterEventType.LOADED_INPUT,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}
_BEGINS = {DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}

_Attempt = tuple[str, int]
"""A step, and the number of the attempt."""


@dataclass(frozen=True, slots=True)
class WrittenPartition:
    """One materialization.

    Parameters
    ----------
    position
        Number of the event in the run.
    attempt
        The attempt of a step that wrote it.
    asset
        Key of the asset.
    partition
        Partition key; None if the asset has no partitions.
    commit
        The commit that holds it.
    """

    position: int
    attempt: _Attempt
    asset: AssetKey
    partition: str | None
    commit: str


@dataclass(frozen=True, slots=True)
class CheckEvaluation:
    """One evaluation of a check.

    Parameters
    ----------
    position
        Number of the event in the run.
    attempt
        The attempt of a step that evaluated the check.
    at
        Time of the event, in seconds since the epoch.
    result
        The result.
    """

    position: int
    attempt: _Attempt
    at: float
    result: AssetCheckEvaluation


class RunEvents:
    """The events of one run, read in one query.

    Parameters
    ----------
    instance
        The Dagster instance.
    run_id
        Id of the run.
    """

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        self.written: list[WrittenPartition] = []
        self.evaluations: list[CheckEvaluation] = []
        self.repositories: dict[str, str] = {}
        self.planned: dict[AssetCheckKey, Container[str]] = {}
        self._makes: set[tuple[str, AssetKey]] = set()
        self._began: dict[_Attempt, int] = {}
        self._loaded: dict[tuple[_Attempt, str], str] = {}
        attempts: dict[str, int] = {}
        records = instance.get_records_for_run(run_id, of_type=_KINDS, ascending=True).records
        for position, record in enumerate(records):
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            step = event.step_key or ""
            if event.event_type in _BEGINS:
                attempts[step] = attempts.get(step, 0) + 1
                self._began[step, attempts[step]] = position
                continue
            attempt = step, attempts.get(step, 0)
            if event.event_type == DagsterEventType.LOADED_INPUT:
                metadata = event.event_specific_data.metadata  # pyright: ignore
                commit, prefix = _value(metadata, COMMIT), _value(metadata, PREFIX)
                if commit and prefix:
                    self._loaded[attempt, prefix] = commit
            elif event.event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                self._makes.add((step, event.asset_materialization_planned_data.asset_key))
            elif event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                planned = event.asset_check_planned_data
                if planned.partitions_subset is not None:
                    self.planned[planned.asset_check_key] = planned.partitions_subset
            elif event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
                made = event.step_materialization_data.materialization
                commit = _value(made.metadata, COMMIT)
                if commit and PREFIX in made.metadata:
                    self.written.append(WrittenPartition(position, attempt, made.asset_key, made.partition, commit))
                    self.repositories[commit] = _value(made.metadata, REPOSITORY) or ""
            else:
                at = record.event_log_entry.timestamp
                self.evaluations.append(CheckEvaluation(position, attempt, at, event.asset_check_evaluation_data))

    def commit_read_by(self, found: CheckEvaluation, partition: str | None, before: Sequence[RunEvents]) -> str | None:
        """Return the commit at which a check read a partition of its asset; None if it is not known.

        Parameters
        ----------
        found
            The evaluation of the check.
        partition
            Partition key; None if the asset has no partitions.
        before
            The ancestors that this run continues, the nearest first.
        """
        asset = found.result.asset_key
        named = _value(found.result.metadata, COMMIT)
        if named:
            return named
        same_attempt = (
            written for written in reversed(self.written) if written.attempt == found.attempt and written.asset == asset
        )
        if any((found.attempt[0], asset) in run._makes for run in (self, *before)):
            return next((written.commit for written in same_attempt if written.partition in (partition, None)), None)
        loaded = self._loaded.get((found.attempt, prefix_of(asset)))
        if loaded:
            return loaded
        began = self._began.get(found.attempt, found.position)
        own = (written for written in reversed(self.written) if written.position < began)
        earlier = (written for run in before for written in reversed(run.written))
        return next((written.commit for written in _chain(own, earlier) if _is_of(written, asset, partition)), None)


def checked_at(commit: str) -> dict[str, str]:
    """Return the metadata by which a check's result names the commit that the check read.

    Parameters
    ----------
    commit
        Id of the commit.
    """
    return {COMMIT: commit}


def _chain(*groups: Iterator[WrittenPartition]) -> Iterator[WrittenPartition]:
    for group in groups:
        yield from group


def _is_of(written: WrittenPartition, asset: AssetKey, partition: str | None) -> bool:
    return written.asset == asset and written.partition == partition


def _value(metadata: Mapping[str, object], name: str) -> str | None:
    value = getattr(metadata.get(name), "value", None)
    return str(value) if value else None
