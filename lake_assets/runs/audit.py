"""Decides what may be merged into ``main``, or a working branch. Every way of publishing asks this module.

A place (the folder of an asset or a partition) may change in one of three cases:

- Every blocking check of its asset passed on a commit that holds the same files at the place. Any run may have done so.
- The place is restored to files that the branch itself, or ``main``, once held.
- A named person overrides named checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    Failure,
    PartitionKeyRange,
    PartitionsDefinition,
)

from lake_assets._dagster import partition_loading_context
from lake_assets.lake.audit import Audit, Entry, Override, entries_about, let_in_by
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.names import belongs_to, beside, is_path, is_within
from lake_assets.layout.asset_folders import name_of
from lake_assets.runs.asset_places import AssetPlace, AssetPlaces
from lake_assets.runs.branch import ancestors
from lake_assets.runs.check_results import explain
from lake_assets.runs.checked_commits import CheckEvaluation, RunEvents
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.recorded_checks import Recorded, audit_results, recorded_checks

if TYPE_CHECKING:
    from lake_assets._dagster import AssetCheckExecutionRecord, AssetGraph

NO_ASSET = "belongs_to_an_asset"
"""The check that fails for files that belong to no asset. It can be overridden like other checks."""

_PAGE = 20
_SHOWN = 5
_PARTITION = "dagster/partition"


class PublicationRefused(Failure):
    """A commit may not be merged into ``main``, or a working branch. That branch is unchanged.

    Parameters
    ----------
    description
        Names the commits and the paths, and says what to do.
    """

    def __init__(self, description: str) -> None:
        super().__init__(description, allow_retries=False)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A place that may not change, and the checks that did not pass, each with its last result."""

    place: str
    checks: Mapping[str, str]


def audit_publication(
    lake: Lake,
    instance: DagsterInstance,
    graph: AssetGraph,
    source: Commit,
    *,
    into: str = MAIN,
    override: Override | None = None,
    back_to: Commit | None = None,
) -> Audit:
    """Decide whether a commit may be merged into a protected branch, and return the reasons.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance whose event log holds the check results.
    graph
        The graph of the whole code location. All its blocking checks count, whatever a job selected.
    source
        The commit to be merged.
    into
        The branch: ``main``, or a working branch.
    override
        Checks that a person overrides. Those that passed are recorded as passed.
    back_to
        A commit of that branch, or of ``main``, that the places are restored to. What it does not hold may be removed.

    Raises
    ------
    PublicationRefused
        A place may not change, or an override names a check that does not exist, or a short name of several checks.
    """
    decision = _Decision(lake, instance, graph, source, into, override, back_to)
    paths = lake.incoming(source.id, into)
    entries, refusals = decision.decide(paths)
    if refusals:
        raise PublicationRefused(_explained(lake, source, into, refusals))
    return Audit(source.id, tuple(entries), override, paths)


def evaluations(
    lake: Lake, instance: DagsterInstance, graph: AssetGraph, source: Commit, *, into: str = MAIN
) -> Sequence[Recorded]:
    """Return the newest result of each blocking check on the places that a merge would change.

    Parameters
    ----------
    lake, instance, graph, source, into
        As of :func:`audit_publication`.
    """
    decision = _Decision(lake, instance, graph, source, into, None, None)
    places = {place for path in lake.incoming(source.id, into) if (place := AssetPlaces(graph).find(path)) is not None}
    return [
        Recorded(key.to_user_string(), place.path, found.at, found.result.passed, is_warning(found.result))
        for place in sorted(places, key=lambda place: place.path)
        for key, found in decision.evaluations(place).items()
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


@dataclass
class _Decision:
    lake: Lake
    instance: DagsterInstance
    graph: AssetGraph
    source: Commit
    into: str
    override: Override | None
    back_to: Commit | None
    _runs: dict[str, RunEvents] = field(default_factory=dict[str, RunEvents])
    _differing: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict[tuple[str, str], tuple[str, ...]])
    _found: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    _histories: dict[AssetCheckKey, list[AssetCheckExecutionRecord]] = field(
        default_factory=dict[AssetCheckKey, "list[AssetCheckExecutionRecord]"]
    )

    @cached_property
    def _blocking(self) -> Sequence[AssetCheckKey]:
        return sorted(node.key for node in self.graph.asset_check_nodes if node.blocking)

    def decide(self, paths: Sequence[str]) -> tuple[list[Entry], list[_Refusal]]:
        self._refuse_unknown_checks()
        places = AssetPlaces(self.graph)
        found = {path: places.find(path) for path in paths}
        asset_places = sorted({place for place in found.values() if place is not None}, key=lambda place: place.path)
        unowned = [path for path, place in found.items() if place is None]
        passed = self._passed(asset_places)
        decided = [
            self._decide_place(name_of(place.asset), place.partition, place.path, passed[place])
            for place in asset_places
        ]
        decided += [self._decide_place("", None, path, {NO_ASSET: None}) for path in unowned]
        return (
            [entry for entry in decided if isinstance(entry, Entry)],
            [refusal for refusal in decided if isinstance(refusal, _Refusal)],
        )

    def _decide_place(
        self, asset: str, partition: str | None, place: str, checks: Mapping[str, bool | None]
    ) -> Entry | _Refusal:
        """Return the entry of a place, or a refusal.

        ``checks`` has for each check: False if it passed, True if it warned, None if it did neither.
        """
        passed = tuple(name for name, warned in checks.items() if warned is False)
        warned = tuple(name for name, warned in checks.items() if warned is True)
        missing = [name for name, warned in checks.items() if warned is None]
        overridden = tuple(name for name in missing if self._is_overridden(name))
        if len(overridden) < len(missing):
            back_to = self._restored_from(place)
            if back_to is None:
                failed = {name: self._found.get((name, place), "") for name in missing if name not in overridden}
                return _Refusal(place, failed)
            let_in = self._let_in_by(back_to, asset, partition, place)
            return Entry(asset, partition, place, passed, warned, back_to=back_to.id, let_in_by=let_in)
        back_to = self.back_to.id if self.back_to is not None and self._is_as_at(self.back_to.id, place) else ""
        return Entry(asset, partition, place, passed, warned, overridden, back_to)

    def _refuse_unknown_checks(self) -> None:
        known = {NO_ASSET, *(key.to_user_string() for key in self._blocking), *(key.name for key in self._blocking)}
        unknown = [name for name in (self.override.checks if self.override else ()) if name not in known]
        if unknown:
            raise PublicationRefused(
                f"No blocking check is called {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known))}."
            )
        for name in self.override.checks if self.override else ():
            matching = [key.to_user_string() for key in self._blocking if key.name == name]
            if len(matching) > 1:
                raise PublicationRefused(f"Several checks are called {name!r}: name {' or '.join(matching)}.")

    def _is_overridden(self, check: str) -> bool:
        names = self.override.checks if self.override is not None else ()
        return check in names or check.rpartition(":")[2] in names

    def _let_in_by(self, back_to: Commit, asset: str, partition: str | None, place: str) -> Override | None:
        """Return the override by which a place had come into the commit that it goes back to."""
        # A rollback names any commit of the line. Otherwise, the commit is the merge that brought the place.
        for merge in self._line if self.back_to is not None else [back_to]:
            if entries_about(merge.metadata, asset, partition, place):
                return let_in_by(merge.metadata, asset, partition, place)
        return None

    @cached_property
    def _line(self) -> Sequence[Commit]:
        """What a rollback goes back to, and the commits of its line before that, newest first."""
        return list(self.lake.first_parents(self.back_to.id)) if self.back_to is not None else []

    def _restored_from(self, place: str) -> Commit | None:
        """Return the commit of the branch, or else of ``main``, that held these files at a place; None if none did."""
        if self.back_to is not None:
            return self.back_to if self._is_as_at(self.back_to.id, place) else None
        fingerprints = self._fingerprints(self.source.id, place)
        if fingerprints[0] is None:
            # Every place was empty before its first commit. Only a rollback, which names its commit, may empty it. A
            # working branch may take over a deletion from `main`.
            newest = next(self.lake.first_parents(MAIN, place), None) if self.into != MAIN else None
            return newest if newest is not None and self._fingerprints(newest.id, place) == fingerprints else None
        for branch in dict.fromkeys([self.into, MAIN]):
            for commit in self.lake.first_parents(branch, place):
                if self._fingerprints(commit.id, place) == fingerprints:
                    return commit
        return None

    def _fingerprints(self, commit: str, place: str) -> tuple[str | None, ...]:
        return tuple(self.lake.fingerprint(commit, folder) for folder in (place, beside(place)))

    def _is_as_at(self, commit: str, place: str) -> bool:
        """Return whether a commit holds the same files at a place as the commit to be merged."""
        if commit == self.source.id:
            return True
        top = place.partition("/")[0]
        # Other programs may have made files at any path. Those are compared with all others.
        top = top if is_path(top) else ""
        if (commit, top) not in self._differing:
            tops = (top, beside(top)) if top else ("",)
            differing = [path for folder in tops for path in self.lake.diff(commit, self.source.id, folder).paths]
            self._differing[commit, top] = tuple(differing)
        return not any(is_within(belongs_to(path), place) for path in self._differing[commit, top])

    # What passed

    def _passed(self, places: Iterable[AssetPlace]) -> dict[AssetPlace, dict[str, bool | None]]:
        """Return by place and blocking check: False if it passed, True if it warned, None if it did neither.

        A check of another asset that also reads this one (its ``additional_deps``) counts where it read these files:
        they may be what it did not pass for.
        """
        results: dict[AssetPlace, dict[str, bool | None]] = {}
        for place in places:
            newest = self.evaluations(place)
            results[place] = {key.to_user_string(): self._result(key, place, found) for key, found in newest.items()}
        return results

    def evaluations(self, place: AssetPlace) -> dict[AssetCheckKey, CheckEvaluation | None]:
        """Return the newest evaluation of each check that counts for a place, None if there is none on these files."""
        keys = [key for key in self._blocking if key.asset_key == place.asset]
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

    def _result(self, key: AssetCheckKey, place: AssetPlace, newest: CheckEvaluation | None) -> bool | None:
        """Return the result of an evaluation, as :meth:`_passed` does."""
        if newest is None:
            return None
        if newest.result.passed:
            return False
        if is_warning(newest.result):
            return True
        found = explain(newest.result.description, newest.result.metadata)
        if found:
            self._found[key.to_user_string(), place.path] = f"did not pass: {found}"
        return None

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
        if not self._is_as_at(commit.id, place.path):
            return False
        return not result.lets_in or not (
            self._is_known(commit) or self._is_known(_maker(self.lake, commit, place.path))
        )

    def _is_known(self, commit: Commit) -> bool:
        """Return whether Dagster knows the run that made a commit."""
        run_id = CommitMetadata.parse(commit.metadata).run_id
        return run_id is not None and self.instance.has_run(run_id)

    def _holds(self, commit: str, place: AssetPlace) -> bool:
        try:
            return self._is_as_at(commit, place.path)
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
            page = self.instance.event_log_storage.get_asset_check_execution_history(key, _PAGE, cursor)
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


def _partitions(run: DagsterRun, definition: PartitionsDefinition[str]) -> Sequence[str]:
    """Return the partitions that the tags of a run name, for a run without a plan."""
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    if first is not None and last is not None:
        with suppress(DagsterInvalidInvocationError):
            return definition.get_partition_keys_in_range(PartitionKeyRange(first, last))
        return []  # The first or last key was removed since.
    return [run.tags[_PARTITION]] if _PARTITION in run.tags else []


def _explained(lake: Lake, source: Commit, into: str, refusals: Sequence[_Refusal]) -> str:
    lines = [f"{refusal.place!r} ({_unpassed(lake, source, refusal)})" for refusal in refusals[:_SHOWN]]
    more = f" and {len(refusals) - _SHOWN} more" if len(refusals) > _SHOWN else ""
    checks = sorted({check for refusal in refusals for check in refusal.checks})
    return (
        f"Commit {source.id} cannot be merged into {into}, which is unchanged: blocking checks have not passed on "
        f"{', '.join(lines)}{more}. Run the checks or materialize the data again, in a run that starts from {into}; "
        f"or override the checks by name: {' '.join(f'--override {check}' for check in checks)}."
    )


def _maker(lake: Lake, source: Commit, place: str) -> Commit:
    """Return the commit that wrote a place, or the one that holds it if that cannot be told."""
    return next((commit for commit in lake.log(source.id, None, place) if len(commit.parents) < 2), source)


def _unpassed(lake: Lake, source: Commit, refusal: _Refusal) -> str:
    """Return which commit and run wrote a place, which checks did not pass on it, and their results."""
    maker = _maker(lake, source, refusal.place)
    run_id = CommitMetadata.parse(maker.metadata).run_id
    by = f" of run {run_id}" if run_id else ""
    checks = [f"{check}, which {found}" if found else check for check, found in refusal.checks.items()]
    return f"commit {maker.id}{by}, without {'; '.join(checks)}"
