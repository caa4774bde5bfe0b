"""Compares the files of a ref with what commits, Dagster's event log, manifests and checksums record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from lake_assets.lake.audit import read_record
from lake_assets.lake.contract import MAIN, Commit, Lake, LakeObject
from lake_assets.lake.errors import LakeError
from lake_assets.lake.names import beside
from lake_assets.layout.asset_folders import folders_of_name, name_of
from lake_assets.layout.manifest import MANIFEST, Manifest, read_manifest
from lake_assets.resources.working_branch import target_of
from lake_assets.runs.branch import find_head, materialized
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.event_log import RUNLESS, EventLog, Materialized
from lake_assets.runs.provenance import Maker, makers, place_of, places_of, trace_makers

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that differs from what was recorded.

    Parameters
    ----------
    path
        Path of the file or place.
    reason
        What is wrong with it.
    """

    path: str
    reason: str


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
    """

    def __init__(self, lake: Lake, instance: DagsterInstance, ref: str) -> None:
        self._lake = lake
        self.commit = lake.head(ref)
        self.objects = list(lake.list(self.commit.id))
        self.places = places_of(self.objects)
        self._log = EventLog(instance)
        self._instance = instance
        self._protected = lake.protected_branches()

    @property
    def size(self) -> int:
        """The number of bytes that :meth:`problems` reads."""
        return sum(item.size for item in self.objects)

    def problems(self, advance: Callable[[int], None]) -> Iterator[Problem]:
        """Yield the problems that are found.

        Parameters
        ----------
        advance
            Called with the size of each file that was read.
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
        for item in self.objects:
            reason = self._damage(item)
            if reason:
                yield Problem(item.path, reason)
            advance(item.size)

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
        """Yield what successful runs materialized and neither a protected branch nor their own holds."""
        published = {commit.id for branch in self._protected for commit in self._lake.log(branch)}
        for run in self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.SUCCESS])):
            target = target_of(self._instance, run)
            if target not in self._protected:
                continue  # A person deleted the working branch, with what was published there.
            made = materialized(self._lake, self._instance, run.run_id)
            missing = made.keys() - published
            if not missing:
                continue
            head = find_head(self._lake, run.run_id)
            for commit in self._lake.unreached([head.id], missing) if head is not None else sorted(missing):
                yield Problem(
                    made[commit],
                    f"run {run.run_id} succeeded and materialized it as commit {commit}, which {target} does not "
                    "reach: its branch was deleted or reset; materialize it again",
                )

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
            yield f"commit {maker.id}, which no run made, is not reported in Dagster's event log"

    def _data_version(self, maker: Commit, place: str) -> str | None:
        """Return the data version from the commit that made a place. For a rollback, follow what it restored."""
        made = CommitMetadata.parse(maker.metadata)
        while made.rollback_to is not None:
            origin = makers(self._lake, made.rollback_to, [place], place).get(place)
            if origin is None:
                return None
            made = CommitMetadata.parse(origin.metadata)
        return made.data_version

    def _damage(self, item: LakeObject) -> str | None:
        """Return what is wrong with a file's bytes."""
        algorithm, _, recorded = item.checksum.partition(":")
        # Some checksums are not a hash of the bytes, such as the ETag of a multipart upload. They cannot be checked.
        digest = hashlib.new(algorithm) if algorithm in hashlib.algorithms_available else None
        size = 0
        try:
            with self._open(item) as stream:
                for block in iter(partial(stream.read, _BLOCK), b""):
                    size += len(block)
                    if digest is not None:
                        digest.update(block)
        except (LakeError, OSError) as error:
            return f"cannot be read: {error}"
        if size != item.size:
            return f"{size} bytes, but {item.size} are recorded"
        if digest is not None and digest.hexdigest() != recorded:
            return f"its bytes have {algorithm} {digest.hexdigest()}, but {recorded} is recorded"
        return None

    def _open(self, item: LakeObject) -> BinaryIO:
        from pyarrow.fs import FileSystem

        if item.physical_address.startswith("file://"):
            # Open the stored file itself, so that no snapshot of the whole commit is needed.
            filesystem, path = FileSystem.from_uri(item.physical_address)
            # If the file does not exist, the lake says below why: it is lost, or it has expired.
            with suppress(FileNotFoundError):
                return filesystem.open_input_stream(path)
        snapshot = self._lake.path(self.commit.id, item.path)
        return snapshot.filesystem.open_input_stream(snapshot.root)


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
