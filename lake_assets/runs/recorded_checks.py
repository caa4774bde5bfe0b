"""Check results that the lake carries, so that what was checked can be published when Dagster's event log is lost.

There are two kinds of records:

- A commit on a run's branch that changes no file (:meth:`Lake.note`).
- The audit of a merge into a working branch.

A result is about the files that the commit holds, and counts wherever the same files are merged. It counts only if
Dagster does not know the run. Where Dagster has a result on these files, that one decides, whatever a record says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, cast

from dagster import AssetCheckEvaluation, AssetCheckKey, AssetCheckSeverity, DagsterInstance

from lake_assets.lake.audit import entries_about
from lake_assets.lake.contract import Commit, Lake
from lake_assets.layout.asset_folders import name_of
from lake_assets.runs.asset_places import AssetPlace
from lake_assets.runs.checked_commits import CheckEvaluation
from lake_assets.runs.commit_metadata import CommitMetadata

CHECKS = "checks"
"""Commit metadata key of the record, as JSON."""


class Recorded(NamedTuple):
    """The newest result of a check on the files of a place.

    Parameters
    ----------
    check
        The check, such as ``prices:positive``.
    place
        The folder.
    at
        Time of the evaluation, in seconds since 1970; 0 if the record does not have it.
    passed, warned
        The result. A check that warned has not passed, and stops nothing.
    """

    check: str
    place: str
    at: float
    passed: bool
    warned: bool = False

    @property
    def lets_in(self) -> bool:
        """Whether the result stops nothing."""
        return self.passed or self.warned

    def evaluation(self, key: AssetCheckKey, partition: str | None) -> CheckEvaluation:
        """Return the result as if it had been read from Dagster's event log.

        Parameters
        ----------
        key
            The check.
        partition
            Partition key of the place.
        """
        result = AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=self.passed,
            metadata={},
            severity=AssetCheckSeverity.WARN if self.warned else AssetCheckSeverity.ERROR,
            partition=partition,
        )
        return CheckEvaluation(0, ("", 0), self.at, result)


def as_metadata(results: Iterable[Recorded]) -> dict[str, str]:
    """Return results as commit metadata.

    Parameters
    ----------
    results
        The results.
    """
    return {CHECKS: json.dumps([list(result) for result in results])}


def is_record(commit: Commit) -> bool:
    """Tell whether a commit is a record of checks.

    Parameters
    ----------
    commit
        The commit.
    """
    return CHECKS in commit.metadata


def recorded_checks(lake: Lake, instance: DagsterInstance, source: Commit) -> Iterator[tuple[Commit, Recorded]]:
    """Yield the results that a branch carries of runs that Dagster does not know, each with the commit of the record.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    source
        Head of the branch.
    """
    newest = CommitMetadata.parse(source.metadata).run_id
    if newest is not None and instance.has_run(newest):
        return  # Dagster has the results of this run, and of those that it continues. Save the call.
    known: dict[str, bool] = {}
    for commit in lake.first_parents(source.id):
        run_id = CommitMetadata.parse(commit.metadata).run_id
        if len(commit.parents) != 1 or run_id is None:
            return  # The branch began here.
        if is_record(commit):
            if run_id not in known:
                known[run_id] = instance.has_run(run_id)
            if not known[run_id]:
                yield from ((commit, result) for result in _parsed(commit.metadata[CHECKS]))


def audit_results(merge: Commit, place: AssetPlace) -> Iterator[Recorded]:
    """Yield what the audit of a merge has about a place: checks that passed, that warned, and that were overridden.

    Parameters
    ----------
    merge
        A merge that changed the place.
    place
        The place.
    """
    entries = entries_about(merge.metadata, name_of(place.asset), place.partition, place.path)
    verdicts = [
        {str(check): kind for kind in ("passed", "warned", "overridden") for check in _listed(entry.get(kind))}
        for entry in entries
    ]
    for check in sorted({check for verdict in verdicts for check in verdict}):
        found = {verdict.get(check) for verdict in verdicts}
        if "overridden" in found:
            yield Recorded(check, place.path, 0.0, passed=False)
        elif None not in found:  # If the record has several entries that may be about the place, all of them agree.
            yield Recorded(check, place.path, 0.0, passed="warned" not in found, warned="warned" in found)


def _listed(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _parsed(text: str) -> Iterator[Recorded]:
    with suppress(ValueError, TypeError):
        for check, place, at, passed, warned in json.loads(text):
            yield Recorded(str(check), str(place), float(at), passed is True, warned is True)
