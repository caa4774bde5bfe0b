"""The lake on a lakeFS server: refs through its API, data through its S3 gateway."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any, NoReturn, get_args
from uuid import uuid4

from lake_assets.lake import names
from lake_assets.lake.audit import (
    RECORD,
    Audit,
    Entry,
    Override,
    record,
    recorded,
    refuse_mixed,
    refuse_uncovered,
)
from lake_assets.lake.contract import (
    MAIN,
    Cache,
    Commit,
    Diff,
    LakeObject,
    PrivateBranch,
    Removable,
    RetentionRule,
    Snapshot,
    Write,
    WriteMode,
)
from lake_assets.lake.errors import (
    AlreadyExists,
    InvalidName,
    LakeError,
    LakeUnavailable,
    MergeConflict,
    NotSupported,
    PathNotFound,
    RefNotFound,
    Unaudited,
    WriteConflict,
    WriteRefused,
)
from lake_assets.lake.format import check_format
from lake_assets.lake.lakefs import folders, private
from lake_assets.lake.lakefs.api import Api
from lake_assets.lake.lakefs.known import WROTE, Written
from lake_assets.lake.lakefs.newest import find_newest
from lake_assets.lake.lakefs.server import ConflictError, Server, paths_of

if TYPE_CHECKING:
    from pyarrow import NativeFile

GARBAGE_JOB = "https://docs.lakefs.io/howto/garbage-collection/"
"""The page that describes the job by which lakeFS removes data."""

_ROUNDS = 30
"""How often a merge is made anew because others were quicker."""

_COMPARED = 3
"""Pairs of commits whose difference is kept: both sides of a merge, and what they parted from."""
_LONGEST_KEPT = 10_000


class LakeFSLake:
    """A repository on a lakeFS server, shared by any number of machines.

    Parameters
    ----------
    endpoint
        The server, such as ``http://127.0.0.1:8000``.
    access_key, secret_key
        Credentials; in no repr, message or log.
    repository
        Its id; it is made where it is missing, and its ``main`` protected.
    storage_namespace
        Where a new repository keeps its objects, such as ``s3://bucket/lake`` or ``local://lake``.
    deadline
        Seconds after which a call that meets nothing but failures gives up.

    any_format
        Open a lake of another format, too: to migrate it.

    Raises
    ------
    FormatMismatch
        The lake is of another format than this program.
    LakeUnavailable
        The server does not answer, or refuses the credentials.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        repository: str,
        storage_namespace: str = "",
        deadline: float = 60.0,
        *,
        any_format: bool = False,
    ) -> None:
        endpoint = endpoint.rstrip("/")
        self._id = repository
        self.api = Api(endpoint, access_key, secret_key, repository, deadline)
        self._server = Server(self.api)
        self._name = self.api.name
        self._connect = (endpoint, access_key, secret_key)
        self._gateway: Any = None
        self._compared: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {}
        self._server.open(storage_namespace or f"local://{repository}")
        self.format = self._server.format()
        if not any_format:
            check_format(self.format, self._name)

    def __repr__(self) -> str:
        return f"LakeFSLake({self._name!r})"

    @property
    def repository(self) -> str:
        """The server and the repository's id."""
        return self._name

    def set_format(self, number: int) -> None:
        """Say that the lake has this format."""
        self._server.set_format(number)
        self.format = number

    # Refs

    def branches(self) -> tuple[str, ...]:
        """Names of all branches, sorted."""
        return tuple(sorted(name for name, _ in self._server.branches() if private.parse_name(name) is None))

    def private_branches(self) -> Mapping[str, PrivateBranch]:
        """Return the branches of writes and merges under way, or whose process was killed, by name."""
        found = ((name, private.parse_name(name)) for name, _ in self._server.branches())
        return {name: branch for name, branch in found if branch is not None}

    def create_branch(self, name: str, source: str) -> Commit:
        """Make a branch at ``source``'s commit; see :meth:`Lake.create_branch`."""
        names.check_branch(name, self._name)
        self._check_ref(source)
        return self._server.commit_at(self._server.create_branch(name, source))

    def delete_branch(self, name: str) -> None:
        """Remove a branch; its commits stay readable by id."""
        names.refuse_main(name, self._name)
        self._check_ref(name)
        self._server.delete_branch(name)

    def head(self, ref: str) -> Commit:
        """Return the commit that ``ref`` (also the beginning of a commit id) names."""
        self._check_ref(ref)
        return self._server.head(ref)

    def log(self, ref: str, limit: int | None = None, prefix: str | None = None) -> Iterator[Commit]:
        """Yield commits newest first; with ``prefix`` the server compares only what each changed."""
        self._check_ref(ref)
        folder = self._check_path(prefix or "")
        if limit == 0:
            self._server.head(ref)
            return
        if limit == 1 and folder:
            if (newest := find_newest(self._server, ref, folder)) is not None:
                yield newest
            return
        yield from self._server.log(ref, limit, folder)

    def first_parents(self, ref: str, prefix: str | None = None) -> Iterator[Commit]:
        """Yield what a branch itself was, newest first; with ``prefix`` the commits that changed it."""
        self._check_ref(ref)
        yield from self._server.log(ref, None, self._check_path(prefix or ""), first_parent=True)

    def unreached(self, refs: Sequence[str], commits: Iterable[str]) -> tuple[str, ...]:
        """Return those of the commit ids that none of the refs reaches, sorted."""
        left = set(commits)
        for ref in refs:
            self._check_ref(ref)
            left.difference_update(self._server.known.line(ref))
            found = self._server.log(ref, None, None)
            while left and (commit := next(found, None)) is not None:
                left.discard(commit.id)
        return tuple(sorted(left))

    def incoming(self, source: str, into: str) -> tuple[str, ...]:
        """Return the paths that ``source`` changed since it and ``into`` parted, and that differ there, sorted."""
        for ref in (source, into):
            self._check_ref(ref)
        return self._incoming(*self._server.merge_base(source, into))

    def _incoming(self, theirs: str, ours: str, base: str) -> tuple[str, ...]:
        changed = {item["path"] for item in self._between(base, theirs) if not folders.is_marker(item["path"])}
        # Where the branch is still what both parted from, what differs there is what the source changed.
        differing = changed if base == ours else paths_of(self._between(ours, theirs))
        return tuple(sorted(changed.intersection(differing)))

    def _between(self, left: str, right: str) -> Sequence[Mapping[str, Any]]:
        """Return what differs between two commits, which never changes: what was asked for last is kept.

        A merge compares what its audit has compared a moment before.
        """
        kept = self._compared.get((left, right))
        if kept is None:
            kept = [] if left == right else list(self._server.diff(left, right))
            if len(kept) <= _LONGEST_KEPT:
                self._compared = {**dict(list(self._compared.items())[1 - _COMPARED :]), (left, right): kept}
        return kept

    def tag(self, name: str, ref: str) -> Commit:
        """Name a commit for ever; naming the same commit again is no error."""
        names.check_tag(name, self._name)
        commit = self.head(ref)
        try:
            self._server.create_tag(name, commit.id)
        except AlreadyExists:
            if self._server.head(name) != commit:
                raise
        return commit

    def tags(self) -> Mapping[str, str]:
        """Return tag name to commit id, sorted by name."""
        return dict(sorted(self._server.tags()))

    # Reading

    def list(self, ref: str, prefix: str = "", after: str = "") -> Iterator[LakeObject]:
        """Yield the objects under ``prefix``, sorted by path; checksums are the store's ETags."""
        self._check_ref(ref)
        folder = self._check_path(prefix)
        for item in self._objects(ref, folder, after=after):
            address = item["physical_address"]
            yield LakeObject(item["path"], item["size_bytes"], f"etag:{item['checksum']}", address)

    def fingerprint(self, ref: str, prefix: str) -> str | None:
        """Return a digest of paths, sizes and checksums, or None."""
        folder = self._check_path(prefix)
        digest = sha256()
        found = False
        for item in self.list(ref, prefix):
            found = True
            digest.update(f"{item.path[len(folder) :]}\n{item.size} {item.checksum}\n".encode())
        return digest.hexdigest() if found else None

    def path(self, ref: str, prefix: str) -> Snapshot:
        """Return where ``ref``'s commit of now is read: it is the commit that is named there."""
        folder = self._check_path(prefix)
        commit = ref if names.is_commit_id(ref) else self.head(ref).id
        if next(self._objects(commit, folder, limit=1), None) is None:
            raise self._server.missing(ref, folder)
        root = f"{self._id}/{commit}/{folder}".rstrip("/")
        return Snapshot(commit, folder, f"s3a://{root}", self._filesystem, root)

    def open_file(self, ref: str, path: str) -> NativeFile:
        """Open a file at ``ref``'s commit of now; see :meth:`Lake.open_file`."""
        place = self._check_path(path)
        commit = ref if names.is_commit_id(ref) else self.head(ref).id
        try:
            return self._filesystem.open_input_file(f"{self._id}/{commit}/{place}")
        except FileNotFoundError as error:
            raise PathNotFound("no file is there", repository=self._name, ref=ref, path=place) from error

    def diff(self, left: str, right: str, prefix: str = "") -> Diff:
        """Compare two refs; the server reads only ranges that differ."""
        for ref in (left, right):
            self._check_ref(ref)
        folder = self._check_path(prefix)
        found: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
        for item in self._server.diff(left, right, folder):
            if names.is_within(item["path"], folder) and not folders.is_marker(item["path"]):
                found[item["type"]].append(item["path"])
        return Diff(*(tuple(sorted(found[kind])) for kind in ("added", "removed", "changed")))

    def changes(self, branch: str) -> tuple[str, ...]:
        """Return paths that were written to a branch past this program, and are not committed."""
        self._check_ref(branch)
        return tuple(sorted(paths_of(self._server.uncommitted(branch))))

    # Writing

    @contextmanager
    def write(
        self,
        branch: str,
        prefix: str,
        mode: WriteMode = "overwrite",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        partitions: Sequence[str] | None = None,
        beside: Sequence[str] = (),
    ) -> Generator[Write]:
        """Open a writable place that becomes one commit; see :meth:`Lake.write`.

        A commit of lakeFS takes all that is staged on its branch, so each write has a branch of its own, committed
        and merged into ``branch`` as one commit.
        """
        if mode not in get_args(WriteMode):
            raise ValueError(f"mode is 'overwrite' or 'append', not {mode!r}")
        folder = names.check_folder(self._check_path(prefix), self._name, "prefix")
        targets = names.targets(folder, partitions, self._name)
        updated = names.apart(folder, [self._check_path(path) for path in beside], self._name)
        names.refuse_main(branch, self._name)
        self._check_ref(branch)
        with self._private(branch) as (place, began):
            held = [path for target in targets for path in paths_of(self._objects(place, target))]
            stays = [path for target in updated for path in paths_of(self._objects(place, target))]
            for path in (folder, *updated):
                self._refuse_file_in_the_way(place, path, [*held, *stays])
            if mode == "overwrite":
                self._server.delete(place, held)
            root = f"{self._id}/{place}/{folder}"
            places = {path: f"{self._id}/{place}/{path}" for path in updated}
            write = Write(f"s3a://{root}", self._filesystem, root, began, places, dict(metadata or {}))
            yield write
            removed = [path for path in write.removed if any(names.is_within(path, target) for target in updated)]
            self._server.delete(place, removed)
            written, gone = self._staged(place, folder, targets, updated, mode, partitions)
            if not written and not gone:
                head = self._server.head(branch)
                write.ended(head.id, lambda: head)
                return
            kept = [*held, *stays] if mode == "append" else stays
            if mixed := folders.in_the_way({*kept, *written} - set(gone)):
                reason = "is a file where another path needs a folder: choose other names"
                raise WriteRefused(reason, repository=self._name, ref=branch, path=min(mixed))
            options = {"replaced": mode == "overwrite", "whole": partitions is None}
            folders.touch(self._server, place, folder, targets, **options)
            for path in updated:
                folders.touch(self._server, place, path, [path], replaced=True, whole=True)
            _check_metadata(write.metadata)
            text = message.strip() or f"Write {folder}"
            self._server.commit(place, text, write.metadata, uuid4().hex)
            changed = [at for at in (folder, *updated) if any(names.is_within(path, at) for path in (*written, *gone))]
            told = {**write.metadata, WROTE: Written(began, tuple(changed)).render()}
            made = self._land(place, branch, began, [*targets, *updated], text, told)
            self._server.known.learn_written(made, Written(began, tuple(changed)))
            write.ended(made, lambda: self._server.commit_at(made))

    def _staged(
        self,
        place: str,
        folder: str,
        targets: Sequence[str],
        updated: Sequence[str],
        mode: str,
        partitions: Sequence[str] | None,
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Return the data paths that a write has put and removed; drop engines' markers, refuse unfinished work."""
        dropped: list[str] = []
        written: list[str] = []
        gone: list[str] = []
        for item in self._server.uncommitted(place):
            path: str = item["path"]

            def refuse(reason: str, path: str = path) -> WriteRefused:
                return WriteRefused(reason, repository=self._name, path=path)

            parts = path.rstrip("/").split("/")
            beside = any(names.is_within(path, target) for target in updated)
            inside = beside or any(names.is_within(path, target) for target in targets)
            if item["type"] == "removed" and inside:
                gone.append(path)
            elif any(names.is_unfinished(part) for part in parts[:-1] + parts[-1:] * path.endswith("/")):
                raise refuse("an unfinished write: let the engine commit its job before the write ends")
            elif path.endswith("/") or names.is_marker(parts[-1], item.get("size_bytes", 1)):
                dropped.append(path)
            else:
                names.check_path(path, self._name)
                if not inside:
                    where = ", ".join(partitions or [folder]) or "none"
                    raise refuse(f"outside the partitions being written: {where}")
                if mode == "append" and item["type"] == "changed" and not beside:
                    raise refuse("append replaces no file, and one is there already: choose other names")
                written.append(path)
        self._server.delete(place, dropped)
        return written, gone

    def _land(
        self,
        place: str,
        branch: str,
        began: str,
        targets: Sequence[str],
        message: str,
        metadata: Mapping[str, str],
    ) -> str:
        """Merge a committed private branch as one commit of one parent, and return its id."""
        for _ in range(_ROUNDS):
            try:
                made = self._server.merge(place, branch, message, metadata, uuid4().hex, squash_merge=True)
                return made or self._server.head(branch).id
            except ConflictError:
                head = self._server.head(branch).id
                since = [path for path in paths_of(self._server.diff(began, head)) if not folders.is_marker(path)]
                for target in targets:
                    if any(names.is_within(path, target) for path in since):
                        reason = "changed on the branch since this write began; nothing was committed: run it again"
                        raise WriteConflict(reason, repository=self._name, ref=branch, path=target) from None
                self._take_up(place, head)
        raise self._outrun(branch)

    def _take_up(self, place: str, head: str) -> None:
        """Merge a branch's head, which no data conflicts with, into a private branch, and renew its markers."""
        before = self._server.head(place).id
        base = self._server.merge_base(place, head)[2]
        mine = {path for path in paths_of(self._server.diff(base, before, folders.ROOT)) if folders.is_marker(path)}
        self._server.merge(head, place, f"Take up {head[:12]}", {}, uuid4().hex, strategy="dest-wins")
        folders.renew(self._server, place, sorted(mine))
        self._server.commit(place, "Renew markers", {}, uuid4().hex)

    # Merging

    def merge(
        self,
        source: str,
        into: str,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        audit: Audit | Override | None = None,
    ) -> Commit:
        """Merge ``source`` into a branch; see :meth:`Lake.merge`.

        The server puts two sides together path by path, and knows of no replaced folder but by our markers, which
        nobody else's commits change. So where ``into`` has moved, both sides are compared before.
        """
        for ref in (source, into):
            self._check_ref(ref)
        text = message.strip() or f"Merge {source} into {into}"
        given = recorded(into, metadata, audit, self._name)
        _check_metadata(given)
        if audit is not None:
            base, seen = self._refuse_unaudited(audit, source, into)
            merged = self._merge_looking(source, into, text, given)
            if merged.id != seen and len(merged.parents) > 1 and merged.parents[0] != seen:
                self._undo_mixture(merged, base, f"{source} into {into}")
            return merged
        if self._first_wholes(source, into):
            self._refuse_conflicts(source, into)
        return self._merge_looking(source, into, text, given)

    def _merge_looking(self, source: str, into: str, text: str, given: Mapping[str, str]) -> Commit:
        """Merge; where the server sees a conflict of nothing but markers, merge all the same."""
        try:
            return self._merge(source, into, text, given)
        except ConflictError:
            pass
        with self._private(source) as (place, _):
            for _ in range(_ROUNDS):
                # The very commit that was looked at: in it nothing but markers collides.
                self._take_up(place, self._refuse_conflicts(place, into))
                with suppress(ConflictError):
                    return self._merge(place, into, text, given)
        raise self._outrun(into)

    def _undo_mixture(self, merged: Commit, base: str, ref: str) -> None:
        """Undo a merge that mixed a folder with what somebody else's merge brought between the look and the merge.

        The server has no merge that is bound to the head that was looked at, and others' commits change no marker.
        """
        ours, theirs = merged.parents
        sides = (self._between(base, ours), self._between(base, theirs), self._between(ours, theirs))
        found = folders.conflicts(*sides)
        if not found:
            return
        back = {RECORD: record(Audit(merged.id, (Entry("", None, "", back_to=ours),)))}
        text = f"Undo {merged.id[:12]}: it mixed folders that both sides changed"
        with self._private(merged.id) as (place, _):
            self._server.revert(place, merged.id, text, back, uuid4().hex)
            self._merge(place, MAIN, text, back)
        reason = (
            "both sides changed the same folders in the same moment; it was undone: write them again on a new branch"
        )
        raise MergeConflict(reason, repository=self._name, ref=ref, paths=sorted(found))

    def _refuse_unaudited(self, audit: Audit | Override, source: str, into: str) -> tuple[str, str]:
        """Raise where a merge would change what its audit does not cover, or mix what both sides changed.

        Return the commit that both sides parted from, and the head of ``into`` that was looked at.
        """
        theirs, ours, base = self._server.merge_base(source, into)
        if base == theirs:
            return base, ours
        ref = f"{source} into {into}"
        places: dict[str, str | None] = {}
        if isinstance(audit, Audit):
            if theirs != audit.source:
                reason = f"the audit is of commit {audit.source}, not of {theirs}"
                raise Unaudited(reason, repository=self._name, ref=ref)
            places = {path: audit.place_of(path) for path in self._incoming(theirs, ours, base)}
            refuse_uncovered([path for path, place in places.items() if place is None], self._name, ref)
        if base != ours:
            self._refuse_conflicts(source, into)
            if isinstance(audit, Audit):
                changed = {audit.place_of(path) for path in paths_of(self._between(base, ours))}
                refuse_mixed([path for path, place in places.items() if place in changed], self._name, ref)
        return base, ours

    def _merge(self, source: str, into: str, message: str, metadata: Mapping[str, str]) -> Commit:
        made = self._server.merge(source, into, message, metadata, uuid4().hex)
        if made is None:
            theirs, ours, base = self._server.merge_base(source, into)
            if base == theirs:
                return self._server.head(ours)
            # Both sides hold the same by now; the merge is made all the same, and its metadata kept.
            made = self._server.merge(source, into, message, metadata, uuid4().hex, allow_empty=True)
        return self._server.head(made or into)

    def _first_wholes(self, source: str, into: str) -> bool:
        """Tell whether one side wrote a folder as a whole for the first time: the other did not know to collide."""
        return folders.wholes(self._server, source) != folders.wholes(self._server, into)

    def _refuse_conflicts(self, source: str, into: str) -> str:
        """Return the commit of ``into`` that ``source`` does not conflict with; raise where it does."""
        theirs, ours, base = self._server.merge_base(source, into)
        if base in (theirs, ours):
            return ours
        sides = (self._between(base, ours), self._between(base, theirs), self._between(ours, theirs))
        found = folders.conflicts(*sides)
        if found:
            reason = "both sides changed the same paths since they parted; write them again on a new branch"
            raise MergeConflict(reason, repository=self._name, ref=f"{source} into {into}", paths=sorted(found))
        return ours

    def revert(self, commit: str, branch: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """Undo a commit on a branch; where nothing of it is left to undo, the head is returned."""
        names.refuse_main(branch, self._name)
        self._check_ref(branch)
        undone = self.head(commit)
        if not undone.parents:
            return self._server.head(branch)
        text = message.strip() or f"Revert {undone.id[:12]}"
        given = dict(metadata or {})
        for _ in range(_ROUNDS):
            with self._private(branch) as (place, head):
                self._undo(undone, place, head, branch, text, given)
                if all(map(folders.is_marker, paths_of(self._server.diff(head, place)))):
                    return self._server.head(branch)
                with suppress(ConflictError):
                    made = self._server.merge(place, branch, text, given, uuid4().hex, squash_merge=True)
                    return self._server.head(made or branch)
        raise self._outrun(branch)

    def _undo(
        self, undone: Commit, place: str, head: str, branch: str, message: str, metadata: Mapping[str, str]
    ) -> None:
        """Undo a commit on a private branch at ``head``."""
        before = undone.parents[0]
        theirs = list(self._server.diff(undone.id, before))
        found = folders.conflicts(self._server.diff(undone.id, head), theirs, self._server.diff(head, before))
        if found:
            reason = "later commits changed the same paths: revert those first"
            raise MergeConflict(reason, repository=self._name, ref=f"{undone.id} on {branch}", paths=sorted(found))
        with suppress(ConflictError):
            self._server.revert(place, undone.id, message, metadata, uuid4().hex)
            return
        # Only markers are in the way: put them as the undone commit had them, and renew them afterwards.
        markers = [item for item in theirs if folders.is_marker(item["path"])]
        for item in markers:
            if item["type"] == "added":
                self._server.delete(place, [item["path"]])
            else:
                self._server.upload(place, item["path"], self._server.content(undone.id, item["path"]))
        self._server.commit(place, "Put markers back", {}, uuid4().hex)
        self._server.revert(place, undone.id, message, metadata, uuid4().hex)
        folders.renew(self._server, place, [item["path"] for item in markers])
        self._server.commit(place, "Renew markers", {}, uuid4().hex)

    # Keeping house

    def verify(self, ref: str, prefix: str = "") -> Iterator[str]:
        """Read every object under ``prefix`` and yield a line for each that is missing or of another size."""
        commit = self.head(ref).id
        for item in self.list(commit, prefix):
            try:
                with self._filesystem.open_input_file(f"{self._id}/{commit}/{item.path}") as file:
                    size = file.size()
            except OSError as error:
                yield f"{item.path}: cannot be read: {error}"
            else:
                if size != item.size:
                    yield f"{item.path}: {size} bytes where {item.size} are recorded"

    def leftovers(self) -> str:
        """Describe the branches of writes under way, or of killed writers; empty where there are none."""
        number = len(self.private_branches())
        return f"{number} branch(es) of writes under way, or of killed writers" if number else ""

    def caches(self) -> tuple[Cache, ...]:
        """Return nothing: what is read stays on the server."""
        return ()

    def clean(self) -> None:
        """Do nothing: there is no cache."""

    def garbage(self, grace: timedelta) -> NoReturn:
        """Refuse: lakeFS's own job collects its garbage."""
        reason = "lakeFS collects its garbage itself: `lake-assets expire` sets the rules and names lakeFS's own job"
        raise NotSupported(reason, repository=self._name)

    def collect_garbage(self, grace: timedelta) -> NoReturn:
        """Refuse: lakeFS's own job collects its garbage."""
        self.garbage(grace)

    def expire(
        self,
        before: datetime,
        keep: Sequence[str] = (),
        since: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        *,
        yes: bool = False,
    ) -> Removable:
        """Set the server's retention rule, in whole days, by which its own job goes; see :meth:`Lake.expire`."""
        if keep or prefixes:
            reason = "lakeFS keeps heads of branches, and by age alone: leave out what else is to be kept"
            raise NotSupported(reason, repository=self._name)
        now, day = datetime.now(timezone.utc), timedelta(days=1)
        # The caller has counted back from a moment ago.
        ages = [now - before - timedelta(minutes=1), *(now - self.head(commit).committed_at for commit in since)]
        days = max(1, ceil(max(ages) / day))
        if yes:
            self._server.keep_days(days)
        return Removable("object that only expired commits hold", 0, 0, RetentionRule(days, GARBAGE_JOB))

    def drop_changes(self, branch: str) -> None:
        """Drop what was written to a branch past this program, and is not committed."""
        self._check_ref(branch)
        self._server.reset(branch)

    def close(self) -> None:
        """Let go of nothing: snapshots are read where they are."""

    # Helpers

    @property
    def _filesystem(self) -> Any:
        if self._gateway is None:
            from lake_assets.lake.lakefs.filesystem import gateway

            self._gateway = gateway(*self._connect)
        return self._gateway

    @contextmanager
    def _private(self, source: str) -> Generator[tuple[str, str]]:
        """Yield a branch of one's own and the commit it began at; it is gone afterwards."""
        place = private.name_for(source)
        try:
            began = self._server.create_branch(place, source)
            yield place, began
        finally:
            # What ended the work is what is to be reported; a branch left behind is the sweeper's.
            with suppress(LakeError):
                self._server.delete_branch(place)

    def _objects(self, ref: str, folder: str, limit: int | None = None, after: str = "") -> Iterator[dict[str, Any]]:
        """Yield the data objects in a folder, or the one at that very path."""
        found = False
        # The markers come first in a listing of the whole lake.
        for item in self._server.objects(ref, f"{folder}/" if folder else "", None if not folder else limit, after):
            if not folders.is_marker(item["path"]):
                found = True
                yield item
        if folder and not found:
            single = self._server.object(ref, folder)
            if single is not None and folder > after:
                yield single

    def _refuse_file_in_the_way(self, place: str, folder: str, held: Iterable[str]) -> None:
        ahead = [path for path in (*names.ancestors(folder), folder) if self._server.object(place, path)]
        if ahead or folder in held:
            reason = "a file stands where this write needs a folder: choose another prefix"
            raise WriteRefused(reason, repository=self._name, path=(ahead or [folder])[0])

    def _outrun(self, branch: str) -> LakeUnavailable:
        reason = f"others changed the branch {_ROUNDS} times while this was being merged: run it again"
        return LakeUnavailable(reason, repository=self._name, ref=branch)

    def _check_ref(self, ref: str) -> None:
        # lakeFS has expressions such as main~1, which Git's lake has not.
        if not (names.is_branch(ref) or names.is_tag(ref) or names.is_commit_id(ref)):
            raise RefNotFound("no branch, tag or commit of that name", repository=self._name, ref=ref)

    def _check_path(self, path: str) -> str:
        folder = names.check_path(path, self._name)
        if folders.is_marker(folder):
            raise InvalidName(f"path lies in {folders.ROOT}, which is the lake's own", repository=self._name, path=path)
        return folder


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise TypeError(f"commit metadata is text: {key!r} is a {type(value).__name__}")
