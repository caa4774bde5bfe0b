"""Which files of a source need a run: those whose version ``main`` does not hold, and that no run is bringing there.

What counts is ``main``, the runs that Dagster knows, and whether they go on. A sensor's cursor only saves looking: it
may be lost, old, or anything else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunRequest, RunsFilter

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.working_branch import BRANCH_TAG
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.branch import head_of
from lake_assets.runs.checked_commits import RunEvents
from lake_assets.runs.lock import is_alive, unfinished_runs
from lake_assets.sources.opening import is_local

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

FIRST_PAUSE, LONGEST_PAUSE = 600.0, 86_400.0
"""First and longest pause in seconds until a file is requested again whose run did not reach ``main``."""

LOOKING = 10.0
"""Seconds of a tick for looking up runs, after the files are listed. A tick of Dagster may take 60 s."""

_AT_EACH_LOOK, _EACH_MINUTE = 3, 60
"""Seconds between two ticks. Dagster's daemon looks about every 5 s."""

_PARTITION = "dagster/partition"
_RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_MANY, _LATE = 1 << 31, 1 << 40
"""Numbers from which a cursor says nothing: of requests, and of seconds since 1970."""
_RUNS = 50
"""The number of a partition's last runs that are looked at."""


class _Known(NamedTuple):
    """What the cursor says of a file.

    Parameters
    ----------
    version
        The version that was requested last.
    requests
        How many runs were requested for it that did not reach ``main``; 0 if ``main`` holds it.
    at
        Time of the last request, in seconds since 1970.
    """

    version: str
    requests: int = 0
    at: float = 0.0


@dataclass(frozen=True)
class FileRuns:
    """The job that brings files to the lake, one run for each file.

    Parameters
    ----------
    job
        Name of the job.
    asset
        The asset that holds the files, a partition for each.
    tags
        Beginning of the names of its tags, ``<tags>/source_file`` and ``<tags>/source_version``.
    """

    job: str
    asset: AssetKey
    tags: str


def interval(source: str) -> int:
    """Return the seconds between two looks at a source: a folder costs little, and a server is not to be pressed.

    Parameters
    ----------
    source
        Specification of the source. Empty, or ``generated``, is a generator.
    """
    generated = source.strip().partition(":")[0] in ("", "generated")
    return _AT_EACH_LOOK if is_local(source) and not generated else _EACH_MINUTE


class NewFiles:
    """The files of a source during one tick of a sensor.

    Parameters
    ----------
    runs
        The job of the files.
    lake, instance, graph
        The lake, the Dagster instance and the graph of the code location.
    cursor
        The sensor's cursor.
    branch
        The branch that the files are brought to: ``main``, or a working branch.
    """

    def __init__(
        self,
        runs: FileRuns,
        lake: Lake,
        instance: DagsterInstance,
        *,
        graph: AssetGraph,
        cursor: str | None,
        branch: str = MAIN,
    ) -> None:
        self._runs = runs
        self._lake = lake
        self._instance = instance
        self._branch = branch
        self._head = head_of(lake, branch).id
        self._known = self._still_true(graph, *_read(cursor, self._head))
        self._looks_until: float | None = None
        self.under_way: list[str] = []

    def __len__(self) -> int:
        """Return the number of known files."""
        return len(self._known)

    def request(self, key: str, url: str, version: str) -> RunRequest | None:
        """Return the request of a run for a file; None if it needs none now.

        Parameters
        ----------
        key
            Partition key of the file.
        url
            Its address, without credentials.
        version
            Its current version, as the source describes it.
        """
        version = hashlib.sha256(f"{url} {version}".encode()).hexdigest()[:12]
        known = self._known.get(key)
        if known is not None and known.version == version and not self._is_due(known):
            return None
        if self._is_under_way(key):
            self.under_way.append(key)
            return None
        if known is None or known.version == version:
            # From the first look on: listing a large bucket may take longer than all looks.
            if self._looks_until is None:
                self._looks_until = time.monotonic() + LOOKING
            elif time.monotonic() > self._looks_until:
                return None  # The next ticks look further.
            if self._was_brought(key, version):
                self._known[key] = _Known(version)
                return None
        before = known.requests if known is not None and known.version == version else 0
        self._known[key] = _Known(version, before + 1, _now())
        tags = {f"{self._runs.tags}/source_file": url, f"{self._runs.tags}/source_version": version}
        # Dagster makes one run of all requests with one key. So it names the run before, not only the version.
        last = next(iter(self._instance.get_run_ids(self._of(key), limit=1) if self._any_run else ()), None)
        run_key = f"{key}:{version}" if last is None else f"{key}:{version}:{last}"
        return RunRequest(run_key=run_key, partition_key=key, tags=tags)

    def cursor(self) -> str:
        """Return the cursor for the next tick."""
        return json.dumps({"main": self._head, "files": self._known}, separators=(",", ":"))

    def _still_true(self, graph: AssetGraph, head: str, known: dict[str, _Known]) -> dict[str, _Known]:
        """Return what the cursor says of the files whose partitions on the branch are as they were then."""
        if head == self._head or not known:
            return known
        if self._lake.unreached([self._branch], [head]):
            return {}  # The lake is another one, or an older copy.
        try:
            paths = self._lake.diff(head, self._head, prefix_of(self._runs.asset)).paths
        except RefNotFound:
            return {}
        changed = {place.partition for place in AssetPlaces(graph).of(paths)}
        return {key: said for key, said in known.items() if key not in changed}

    def _is_due(self, known: _Known) -> bool:
        if not known.requests:
            return False
        pause = min(FIRST_PAUSE * 2.0 ** min(known.requests - 1, 30), LONGEST_PAUSE)
        # Do not wait longer if the clock was set back.
        return not 0 <= _now() - known.at < pause

    def _is_under_way(self, key: str) -> bool:
        return key in self._unfinished or any(first <= key <= last for first, last in self._ranges)

    def _was_brought(self, key: str, version: str) -> bool:
        """Return whether the last run of a partition that succeeded was for this version, and reached the branch."""
        if not self._any_run:
            return False
        tag = f"{self._runs.tags}/source_version"
        runs = self._instance.get_runs(self._of(key, DagsterRunStatus.SUCCESS), limit=_RUNS)
        ours = [run for run in runs if run.tags.get(BRANCH_TAG, MAIN) == self._branch]
        # Nobody knows which version a run without the tag has brought.
        if not ours or ours[0].tags.get(tag) != version:
            return False
        for run in ours:
            written = {
                made.commit for made in RunEvents(self._instance, run.run_id).written if made.asset == self._runs.asset
            }
            # A run that found the same content wrote nothing: then an earlier one has brought it.
            if written:
                return not self._lake.unreached([self._branch], written)
        return False

    def _of(self, key: str, *statuses: DagsterRunStatus) -> RunsFilter:
        return RunsFilter(job_name=self._runs.job, tags={_PARTITION: key}, statuses=statuses or None)

    @cached_property
    def _any_run(self) -> bool:
        return bool(self._instance.get_run_ids(RunsFilter(job_name=self._runs.job), limit=1))

    @cached_property
    def _living(self) -> Sequence[Mapping[str, str]]:
        """Tags of the runs under way that write the asset."""
        return [
            run.tags
            for run in unfinished_runs(self._instance)
            if (run.job_name == self._runs.job or self._runs.asset in (run.asset_selection or ()))
            and is_alive(self._instance, run)
        ]

    @cached_property
    def _unfinished(self) -> frozenset[str]:
        return frozenset(tags[_PARTITION] for tags in self._living if _PARTITION in tags)

    @cached_property
    def _ranges(self) -> Sequence[tuple[str, str]]:
        first, last = _RANGE
        return [(tags[first], tags[last]) for tags in self._living if first in tags and last in tags]


def _now() -> float:
    return time.time()


def _read(cursor: str | None, head: str) -> tuple[str, dict[str, _Known]]:
    """Return the head of ``main`` at the time of a cursor, and what it says of each file: nothing if it is garbage."""
    try:
        content = json.loads(cursor or "{}")
    except (ValueError, RecursionError):
        return head, {}
    if not isinstance(content, dict):
        return head, {}
    if not isinstance(content.get("files"), dict):
        # Older programs stored key to version.
        return head, {key: _Known(version) for key, version in content.items() if isinstance(version, str)}
    return str(content.get("main")), dict(_entries(content["files"]))


def _entries(files: Mapping[str, object]) -> Iterator[tuple[str, _Known]]:
    for key, said in files.items():
        match said:
            case [str(version), int(requests), int() | float() as at] if 0 <= requests < _MANY and 0 <= at < _LATE:
                yield key, _Known(version, requests, at)
            case _:
                continue
