"""Decides what may be merged into ``main``, or a working branch. Every way of publishing asks this module.

A place (the folder of an asset or a partition) may change in one of three cases:

- Every blocking check of its asset passed on a commit that holds the same files at the place. Any run may have done so.
- The place is restored to files that the branch itself, or ``main``, once held.
- A named person overrides named checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dagster import AssetCheckKey, DagsterInstance, Failure

from lake_assets.lake.audit import Audit, Entry, Override, entries_about, let_in_by
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.layout.asset_folders import name_of
from lake_assets.runs.asset_places import AssetPlace, AssetPlaces
from lake_assets.runs.check_results import explain
from lake_assets.runs.checked_commits import CheckEvaluation
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.place_results import PlaceResults, is_warning
from lake_assets.runs.same_files import SameFiles, maker

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

NO_ASSET = "belongs_to_an_asset"
"""The check that fails for files that belong to no asset. It can be overridden like other checks."""

_SHOWN = 5


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


@dataclass
class _Decision:
    lake: Lake
    instance: DagsterInstance
    graph: AssetGraph
    source: Commit
    into: str
    override: Override | None
    back_to: Commit | None
    _found: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    @cached_property
    def files(self) -> SameFiles:
        return SameFiles(self.lake, self.source)

    @cached_property
    def results(self) -> PlaceResults:
        return PlaceResults(self.lake, self.instance, self.graph, self.source, self.files)

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
        back_to = self.back_to.id if self.back_to is not None and self.files.are_at(self.back_to.id, place) else ""
        return Entry(asset, partition, place, passed, warned, overridden, back_to)

    def _refuse_unknown_checks(self) -> None:
        blocking = self.results.blocking
        known = {NO_ASSET, *(key.to_user_string() for key in blocking), *(key.name for key in blocking)}
        unknown = [name for name in (self.override.checks if self.override else ()) if name not in known]
        if unknown:
            raise PublicationRefused(
                f"No blocking check is called {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known))}."
            )
        for name in self.override.checks if self.override else ():
            matching = [key.to_user_string() for key in blocking if key.name == name]
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
            return self.back_to if self.files.are_at(self.back_to.id, place) else None
        fingerprints = self.files.fingerprints(self.source.id, place)
        if fingerprints[0] is None:
            # Every place was empty before its first commit. Only a rollback, which names its commit, may empty it. A
            # working branch may take over a deletion from `main`.
            newest = next(self.lake.first_parents(MAIN, place), None) if self.into != MAIN else None
            return newest if newest is not None and self.files.fingerprints(newest.id, place) == fingerprints else None
        for branch in dict.fromkeys([self.into, MAIN]):
            for commit in self.lake.first_parents(branch, place):
                if self.files.fingerprints(commit.id, place) == fingerprints:
                    return commit
        return None

    def _passed(self, places: Iterable[AssetPlace]) -> dict[AssetPlace, dict[str, bool | None]]:
        """Return by place and blocking check: False if it passed, True if it warned, None if it did neither."""
        results: dict[AssetPlace, dict[str, bool | None]] = {}
        for place in places:
            newest = self.results.newest(place)
            results[place] = {key.to_user_string(): self._result(key, place, found) for key, found in newest.items()}
        return results

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


def _explained(lake: Lake, source: Commit, into: str, refusals: Sequence[_Refusal]) -> str:
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for refusal in refusals[:_SHOWN]:
        groups.setdefault(tuple(sorted(refusal.checks.items())), []).append(refusal.place)
    kept_back = " ".join(_kept_back(lake, source, checks, places) for checks, places in groups.items())
    if len(refusals) > _SHOWN:
        kept_back += f" {len(refusals) - _SHOWN} more place(s) are kept back."
    names = sorted({check for refusal in refusals for check in refusal.checks})
    return (
        f"Commit {source.id} cannot be merged into {into}, which is unchanged. {kept_back} "
        f"Run the checks or materialize the data again, in a run that starts from {into}; "
        f"or override the checks by name: {' '.join(f'--override {check}' for check in names)}."
    )


def _kept_back(lake: Lake, source: Commit, checks: Sequence[tuple[str, str]], places: Sequence[str]) -> str:
    """Return which checks did not pass, with their results, and on which places, with the commit and run of each."""
    results = "; ".join(f"{check} {found or 'has not passed'}" for check, found in checks)
    shown = ", ".join(f"{place!r} ({_made_by(lake, source, place)})" for place in places)
    return f"{results}. {'They keep' if len(checks) > 1 else 'It keeps'} back {shown}."


def _made_by(lake: Lake, source: Commit, place: str) -> str:
    made_by = maker(lake, source, place)
    run_id = CommitMetadata.parse(made_by.metadata).run_id
    return f"commit {made_by.id}" + (f" of run {run_id}" if run_id else "")
