"""Compares the files of a ref with what commits, Dagster's event log, manifests and checksums record.

It looks both ways: what ``main`` holds must be in the event log, and ``main`` must hold what the event log says. What
this Dagster cannot know is no problem: its runs may have been deleted, its storage lost, or another Dagster made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property

from dagster import DagsterInstance

from lake_assets.lake.audit import read_record
from lake_assets.lake.contract import MAIN, Commit, Lake, LakeObject
from lake_assets.lake.errors import LakeError
from lake_assets.lake.names import beside
from lake_assets.lake.scrub import Scrub
from lake_assets.layout.asset_folders import folders_of_name, name_of
from lake_assets.layout.manifest import MANIFEST, Manifest, read_manifest
from lake_assets.runs.branch import CLOCK_SLACK
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.event_log import RUNLESS, EventLog, Materialized
from lake_assets.runs.lacking import Problem, lacking
from lake_assets.runs.provenance import Maker, makers, place_of, places_of, trace_makers


class Verification:
    """Verifies one commit.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    ref
        A branch, tag or commit id. Later changes of a branch do not count.
    scrub
        How the files are read back, and afterwards what was read. All of them by default.
    """

    def __init__(self, lake: Lake, instance: DagsterInstance, ref: str, scrub: Scrub | None = None) -> None:
        self.scrub = scrub or Scrub()
        self._lake = lake
        self.commit = lake.head(ref)
        self.objects = list(lake.list(self.commit.id))
        self.places = places_of(self.objects)
        self.unknown: list[Problem] = []
        self._log = EventLog(instance)
        self._instance = instance
        self._protected = lake.protected_branches()

    @property
    def size(self) -> int:
        """The number of bytes of all files."""
        return sum(item.size for item in self.objects)

    def problems(self, advance: Callable[[int], None]) -> Iterator[Problem]:
        """Yield the problems that are found. What this Dagster does not know is added to :attr:`unknown`.

        Parameters
        ----------
        advance
            Called with the size of each file.
        """
        made = trace_makers(self._lake, self.commit.id, self.places)
        files: dict[str, list[LakeObject]] = {}
        others: list[LakeObject] = []
        for item in self.objects:
            place = place_of(item.path, self.places)
            (others if place is None else files.setdefault(place, [])).append(item)
        yield from self._unaudited_commits()
        yield from self._lost_materializations()
        yield from self._unlisted_files(others)
        for place in sorted(self.places):
            manifest = self._manifest(place)
            if isinstance(manifest, Problem):
                yield manifest
                continue
            yield from _compare_with_manifest(place, manifest, files[place])
            for reason in self._compare_with_log(place, manifest, made.get(place)):
                yield Problem(place, reason)
        for path, reason in self.scrub.faults(self._lake, self.commit.id, self.objects, advance):
            yield Problem(path, reason)

    def _unaudited_commits(self) -> Iterator[Problem]:
        """Yield the commits of a protected branch without an audit record, which were merged with other tools."""
        branch = self._protected_branch()
        unrecorded: list[Commit] = []
        for commit in self._lake.first_parents(self.commit.id) if branch is not None else ():
            if read_record(commit.metadata) is None:
                unrecorded.append(commit)
                continue
            for found in unrecorded:
                paths = self._lake.diff(found.parents[0], found.id).paths if found.parents else ()
                changed = f"{', '.join(paths[:5]) or 'nothing'}{' …' if len(paths) > 5 else ''}"
                yield Problem(
                    f"commit {found.id}",
                    f"reached {branch} without an audit; it changed {changed}: inspect it, then roll it back or "
                    "publish it again",
                )
            unrecorded.clear()

    def _protected_branch(self) -> str | None:
        """Return the protected branch that was at this commit: ``main`` if possible. None if there is none."""
        for branch in sorted(self._protected, key=lambda name: name != MAIN):
            if any(commit.id == self.commit.id for commit in self._lake.first_parents(branch)):
                return branch
        return None

    def _lost_materializations(self) -> Iterator[Problem]:
        """Yield what Dagster says was materialized or published, and the branch that it was for lacks."""
        return lacking(self._lake, self._instance, self._protected)

    def _unlisted_files(self, files: Sequence[LakeObject]) -> Iterator[Problem]:
        """Yield the files that lie at an asset's prefix but in no manifest. The commits name the assets."""
        if not files:
            return
        assets = {CommitMetadata.parse(commit.metadata).asset for commit in self._lake.log(self.commit.id)}
        prefixes = {folder for asset in assets if asset for folder in folders_of_name(asset)}
        for item in files:
            if place_of(item.path, prefixes) is not None:
                yield Problem(item.path, "lies at an asset's prefix, and no manifest lists it")

    def _manifest(self, place: str) -> Manifest | Problem:
        path = f"{place}/{MANIFEST}"
        try:
            return read_manifest(self._lake.path(self.commit.id, path))
        except (LakeError, OSError, ValueError, KeyError, TypeError) as error:
            return Problem(path, f"cannot be read: {type(error).__name__}: {error}")

    def _compare_with_log(self, place: str, manifest: Manifest, made: Maker | None) -> Iterator[str]:
        if made is None:
            yield "the commit that made it was not found"
            return
        maker = made.commit
        metadata = CommitMetadata.parse(maker.metadata)
        if metadata.asset is None:
            yield from self._compare_with_report(place, maker)
            return
        event = self._log.event_of(maker, made.place)
        run = f"run {metadata.run_id}" if metadata.run_id else "a rollback"
        if event is None:
            if self._is_unknown(maker, metadata.run_id):
                self.unknown.append(Problem(place, f"commit {maker.id} was made by {run}, unknown to this Dagster"))
            else:
                yield f"commit {maker.id} says that {run} made it, but Dagster's event log has no such materialization"
            return
        yield from _differences(maker, event, manifest)
        expected = self._data_version(maker, made.place)
        if event.data_version != expected:
            yield f"commit {maker.id} has data version {expected}, the event log {event.data_version}"

    def _compare_with_report(self, place: str, maker: Commit) -> Iterator[str]:
        """Yield how a place that no run made differs from what was last reported to Dagster."""
        reported = next(iter(self._log.events_of_run(RUNLESS, place)), None)
        current = self._lake.fingerprint(self.commit.id, place)
        if reported is None or reported.commit is None or self._lake.fingerprint(reported.commit, place) != current:
            if self._is_unknown(maker, None):
                self.unknown.append(Problem(place, f"commit {maker.id}, which no run made, is older than this Dagster"))
            else:
                yield f"commit {maker.id}, which no run made, is not reported in Dagster's event log"

    def _is_unknown(self, maker: Commit, run_id: str | None) -> bool:
        """Return whether Dagster does not know a run, or is younger than what no run made."""
        if run_id is not None:
            return self._instance.get_run_by_id(run_id) is None
        return self._first_run is None or maker.committed_at < self._first_run

    @cached_property
    def _first_run(self) -> datetime | None:
        """When the oldest run that Dagster knows was created."""
        oldest = self._instance.get_run_records(limit=1, ascending=True)
        return oldest[0].create_timestamp - CLOCK_SLACK if oldest else None

    def _data_version(self, maker: Commit, place: str) -> str | None:
        """Return the data version from the commit that made a place. For a rollback, follow what it restored."""
        made = CommitMetadata.parse(maker.metadata)
        while made.rollback_to is not None:
            origin = makers(self._lake, made.rollback_to, [place], place).get(place)
            if origin is None:
                return None
            made = CommitMetadata.parse(origin.metadata)
        return made.data_version


def _compare_with_manifest(place: str, manifest: Manifest, files: Sequence[LakeObject]) -> Iterator[Problem]:
    found = {item.path: item.size for item in files if not item.path.endswith(f"/{MANIFEST}")}
    listed = {f"{place}/{name}": size for name, size in manifest.files.items()}
    listed |= {f"{beside(place)}/{name}": size for name, size in manifest.beside.items()}
    for path in sorted(found.keys() | listed.keys()):
        if path not in listed:
            yield Problem(path, "no manifest lists it")
        elif path not in found:
            yield Problem(path, "the manifest lists it, but it is missing")
        elif found[path] != listed[path]:
            yield Problem(path, f"{found[path]} bytes, but the manifest says {listed[path]}")


def _differences(maker: Commit, event: Materialized, manifest: Manifest) -> Iterator[str]:
    made = CommitMetadata.parse(maker.metadata)
    pairs: list[tuple[str, object, object]] = [
        ("asset", made.asset, name_of(event.asset)),
        ("id", maker.id, event.commit),
        ("rows", made.rows_of(event.partition), event.rows),
    ]
    for name, in_commit, in_log in pairs:
        if in_commit != in_log:
            yield f"commit {maker.id} has {name} {in_commit}, the event log {in_log}"
    if not made.covers(event.partition):
        yield f"commit {maker.id} has partition {made.partition}, the event log {event.partition}"
    if manifest.rows != event.rows:
        yield f"its manifest has {manifest.rows} rows, the event log {event.rows}"
