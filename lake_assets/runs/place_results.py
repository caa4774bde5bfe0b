"""Finds the results of blocking checks on exactly the files of a commit, in Dagster's event log or in the lake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    DagsterInvalidInvocationError,
    DagsterRun,
    PartitionKeyRange,
    PartitionsDefinition,
)

from lake_assets._dagster import check_history, partition_loading_context
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.names import beside
from lake_assets.runs.asset_places import AssetPlace, AssetPlaces
from lake_assets.runs.branch import ancestors
from lake_assets.runs.checked_commits import CheckEvaluation, RunEvents
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.recorded_checks import Recorded, audit_results, recorded_checks
from lake_assets.runs.same_files import SameFiles, maker

if TYPE_CHECKING:
    from lake_assets._dagster import AssetCheckExecutionRecord, AssetGraph

_PAGE = 20
_PARTITION = "dagster/partition"


@dataclass
class PlaceResults:
    """The results of checks on the files of a commit.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance whose event log holds the results.
    graph
        The graph of the whole code location. All its blocking checks count, whatever a job selected.
    source
        The commit.
    files
        Compares the files of the commit with those of others.
    """

    lake: Lake
    instance: DagsterInstance
    graph: AssetGraph
    source: Commit
    files: SameFiles
    _runs: dict[str, RunEvents] = field(default_factory=dict[str, RunEvents])
    _histories: dict[AssetCheckKey, list[AssetCheckExecutionRecord]] = field(
        default_factory=dict[AssetCheckKey, "list[AssetCheckExecutionRecord]"]
    )

    @cached_property
    def blocking(self) -> Sequence[AssetCheckKey]:
        """The blocking checks of the graph."""
        return sorted(node.key for node in self.graph.asset_check_nodes if node.blocking)

    def newest(self, place: AssetPlace) -> dict[AssetCheckKey, CheckEvaluation | None]:
        """Return the newest evaluation of each check that counts for a place; None if there is none on these files.

        A check of another asset that also reads this one (its ``additional_deps``) counts where it read these files:
        they may be what it did not pass for.

        Parameters
        ----------
        place
            The folder of an asset or a partition.
        """
        keys = [key for key in self.blocking if key.asset_key == place.asset]
        newest = {key: self._newest(key, place) for key in keys}
        for key in self._reading.get(place.asset, ()):
            if (evaluation := self._newest(key, place)) is not None:
                newest[key] = evaluation
        return newest

    @cached_property
    def _reading(self) -> Mapping[AssetKey, Sequence[AssetCheckKey]]:
        """The blocking checks of other assets that also read an asset."""
        reading: dict[AssetKey, list[AssetCheckKey]] = {}
        for node in self.graph.asset_check_nodes:
            for asset in node.parent_entity_keys - {node.key.asset_key} if node.blocking else ():
                reading.setdefault(asset, []).append(node.key)
        return reading

    def _newest(self, key: AssetCheckKey, place: AssetPlace) -> CheckEvaluation | None:
        """Return the newest evaluation of a check on exactly these files."""
        if next(self.lake.list(self.source.id, place.path), None) is None:
            # Many commits do not hold the place, so an evaluation on one of them proves nothing. To remove a place
            # takes a deletion or a rollback.
            return None
        newest: CheckEvaluation | None = None
        older = 0
        for run_id, evaluation in self._evaluations(key, place):
            if newest is not None and evaluation.at <= newest.at:
                older += 1
                if older >= _PAGE:
                    break
                continue
            events = self._events(run_id)
            before = [self._events(parent) for parent in ancestors(self.instance, run_id)]
            commit = events.commit_read_by(evaluation, place.partition, before)
            if commit is not None and self._holds(commit, place):
                newest, older = evaluation, 0
        return newest if newest is not None else self._recorded(key, place)

    def _recorded(self, key: AssetCheckKey, place: AssetPlace) -> CheckEvaluation | None:
        """Return the result on exactly these files that the lake itself carries."""
        name = key.to_user_string()
        carried = [
            result
            for commit, result in self._carried
            if (result.check, result.place) == (name, place.path) and self._counts(result, commit, place)
        ]
        newest = max(carried, key=lambda result: result.at, default=None)
        found = newest or min(self._audited(name, place), key=lambda result: result.lets_in, default=None)
        return found.evaluation(key, place.partition) if found is not None else None

    @cached_property
    def _carried(self) -> Sequence[tuple[Commit, Recorded]]:
        return list(recorded_checks(self.lake, self.instance, self.source))

    def _audited(self, check: str, place: AssetPlace) -> Iterator[Recorded]:
        """Yield the newest result on exactly these files that the audits of each working branch have.

        Such a branch is protected, so nothing but an audited merge reaches it.
        """
        for branch in self._working:
            merges = (
                merge
                for folder in (place.path, beside(place.path))
                for merge in self.lake.first_parents(branch, folder)
            )
            found = (
                result
                for merge in merges
                for result in audit_results(merge, place)
                if result.check == check and self._counts(result, merge, place)
            )
            yield from islice(found, 1)

    @cached_property
    def _working(self) -> Sequence[str]:
        return [branch for branch in self.lake.protected_branches() if branch != MAIN]

    def _counts(self, result: Recorded, commit: Commit, place: AssetPlace) -> bool:
        """Return whether the record of a commit is about exactly these files, and counts.

        That a check did not pass, or was overridden, always counts. That it passed counts only if Dagster knows neither
        the run that the record is about nor the one that wrote the files.
        """
        if not self.files.are_at(commit.id, place.path):
            return False
        return not result.lets_in or not (
            self._is_known(commit) or self._is_known(maker(self.lake, commit, place.path))
        )

    def _is_known(self, commit: Commit) -> bool:
        """Return whether Dagster knows the run that made a commit."""
        run_id = CommitMetadata.parse(commit.metadata).run_id
        return run_id is not None and self.instance.has_run(run_id)

    def _holds(self, commit: str, place: AssetPlace) -> bool:
        try:
            return self.files.are_at(commit, place.path)
        except RefNotFound:
            return False  # The commit is in another lake.

    def _evaluations(self, key: AssetCheckKey, place: AssetPlace) -> Iterator[tuple[str, CheckEvaluation]]:
        """Yield the evaluations of a check on a place, in any run. The run that planned it last comes first.

        The run that planned a check first may evaluate it last. So the caller compares the times of the evaluations.
        """
        seen: set[str] = set()
        for execution in self._history(key):
            if execution.run_id in seen or execution.partition not in (place.partition, None):
                continue
            seen.add(execution.run_id)
            for evaluation in reversed(self._events(execution.run_id).evaluations):
                if evaluation.result.asset_check_key == key and self._covers(execution.run_id, evaluation, place):
                    yield execution.run_id, evaluation

    def _history(self, key: AssetCheckKey) -> Iterator[AssetCheckExecutionRecord]:
        """Yield a check's executions, the newest first. Each page is read once."""
        known = self._histories.setdefault(key, [])
        number = 0
        while True:
            while number < len(known):
                yield known[number]
                number += 1
            cursor = known[-1].id if known else None
            page = check_history(self.instance, key, _PAGE, cursor)
            if not page:
                return
            known.extend(page)

    def _covers(self, run_id: str, evaluation: CheckEvaluation, place: AssetPlace) -> bool:
        """Return whether an evaluation was about this partition, or about all partitions."""
        if place.partition is None or evaluation.result.partition == place.partition:
            return True
        if evaluation.result.partition is not None:
            return False
        key = evaluation.result.asset_check_key
        # The plan has the partitions that existed when the run began. Later, a range may mean other partitions.
        planned = self._events(run_id).planned.get(key)
        if planned is not None:
            return place.partition in planned
        definition = self.graph.get(key).partitions_def if self.graph.has(key) else self._partitions_of(place)
        if definition is None:
            return True
        run = self.instance.get_run_by_id(run_id)
        with partition_loading_context(dynamic_partitions_store=self.instance):
            return run is not None and place.partition in _partitions(run, definition)

    def _partitions_of(self, place: AssetPlace) -> PartitionsDefinition[str] | None:
        return self.graph.get(place.asset).partitions_def

    def _events(self, run_id: str) -> RunEvents:
        if run_id not in self._runs:
            self._runs[run_id] = RunEvents(self.instance, run_id)
        return self._runs[run_id]


def evaluations(
    lake: Lake, instance: DagsterInstance, graph: AssetGraph, source: Commit, *, into: str = MAIN
) -> Sequence[Recorded]:
    """Return the newest result of each blocking check on the places that a merge would change.

    Parameters
    ----------
    lake, instance, graph, source
        As of :class:`PlaceResults`.
    into
        The branch that the commit would be merged into.
    """
    results = PlaceResults(lake, instance, graph, source, SameFiles(lake, source))
    places = {place for path in lake.incoming(source.id, into) if (place := AssetPlaces(graph).find(path)) is not None}
    return [
        Recorded(key.to_user_string(), place.path, found.at, found.result.passed, is_warning(found.result))
        for place in sorted(places, key=lambda place: place.path)
        for key, found in results.newest(place).items()
        if found is not None
    ]


def is_warning(result: AssetCheckEvaluation) -> bool:
    """Tell whether a result is a warning, which stops nothing.

    Parameters
    ----------
    result
        The result.
    """
    return not result.passed and result.severity == AssetCheckSeverity.WARN


def _partitions(run: DagsterRun, definition: PartitionsDefinition[str]) -> Sequence[str]:
    """Return the partitions that the tags of a run name, for a run without a plan."""
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    if first is not None and last is not None:
        with suppress(DagsterInvalidInvocationError):
            return definition.get_partition_keys_in_range(PartitionKeyRange(first, last))
        return []  # The first or last key was removed since.
    return [run.tags[_PARTITION]] if _PARTITION in run.tags else []
