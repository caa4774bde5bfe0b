"""The lake on a lakeFS server: refs through the API, data through the S3 gateway."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lake_assets.lake import names
from lake_assets.lake.ancestors import refuse_brought_back
from lake_assets.lake.audit import (
    RECORD,
    UNDOES,
    Audit,
    Entry,
    Override,
    record,
    recorded,
    refuse_mixed,
    refuse_uncovered,
)
from lake_assets.lake.contract import (
    Aside,
    Cache,
    Checked,
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
from lake_assets.lake.lakefs.address import check_endpoint, check_keys, check_repository
from lake_assets.lake.lakefs.ancestors import other_bases
from lake_assets.lake.lakefs.api import PAGE, Api
from lake_assets.lake.lakefs.etag import RARE, USUAL, ETag
from lake_assets.lake.lakefs.known import WROTE, Written
from lake_assets.lake.lakefs.newest import find_newest
from lake_assets.lake.lakefs.server import END, ConflictError, Server, paths_of
from lake_assets.lake.spec import CommitStep, WriteSpec

if TYPE_CHECKING:
    from pyarrow import NativeFile

GARBAGE_JOB = "https://docs.lakefs.io/howto/garbage-collection/"
"""The page that describes lakeFS's garbage collection job."""

_ROUNDS = 30
"""How often a merge is repeated because the branch has moved."""

_TRIES = 3
"""How often an object is read to check it."""

_COMPARED = 3
"""Number of cached differences between commits: each side with the merge base, and the two sides."""
_LONGEST_KEPT = 10_000


class LakeFSLake:
    """A repository on a lakeFS server, shared by any number of machines.

    Parameters
    ----------
    endpoint
        The server, such as ``http://127.0.0.1:8000``.
    access_key, secret_key
        Credentials. They never appear in a repr, message or log.
    repository
        Repository id. The repository is created if it is missing, with a protected ``main``.
    storage_namespace
        Where a new repository keeps its objects, such as ``s3://bucket/lake`` or ``local://lake``.
    deadline
        Seconds that a call may take, with all its tries. Data may take a second more for each MiB.
    any_format
        Also open a lake of another format, in order to migrate it.
    create
        Create the repository if it is missing.
    commit_metadata
        Metadata that every commit carries besides its own, such as what a hook of the repository requires.

    Raises
    ------
    FormatMismatch
        The lake has another format than this program supports.
    LakeNotFound
        There is no such repository, and ``create`` is False.
    LakeUnavailable
        The server does not answer, or refuses the credentials.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        repository: str,
        *,
        storage_namespace: str = "",
        deadline: float = 60.0,
        any_format: bool = False,
        create: bool = True,
        commit_metadata: Mapping[str, str] | None = None,
    ) -> None:
        endpoint = check_endpoint(endpoint)
        check_repository(repository, endpoint)
        check_keys(access_key, secret_key, f"{endpoint}/{repository}")
        self._id = repository
        self.api = Api(endpoint, access_key, secret_key, repository, deadline)
        _check_metadata(commit_metadata or {})
        self._server = Server(self.api, commit_metadata)
        self._name = self.api.name
        self._connect = (endpoint, access_key, secret_key, deadline)
        self._gateway: Any = None
        self._compared: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {}
        self._server.open(storage_namespace or f"local://{repository}", create=create)
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
        """Record the lake's format; see :meth:`Lake.set_format`."""
        self._server.set_format(number)
        self.format = number

    # Refs

    def branches(self) -> tuple[str, ...]:
        """Return the names of all branches except private ones, sorted."""
        return tuple(sorted(name for name, _ in self._server.branches() if private.parse_name(name) is None))

    def private_branches(self) -> Mapping[str, PrivateBranch]:
        """Return the private branches by name; see :meth:`Lake.private_branches`."""
        found = ((name, private.parse_name(name)) for name, _ in self._server.branches())
        return {name: branch for name, branch in found if branch is not None}

    def protected_branches(self) -> tuple[str, ...]:
        """Return ``main`` and the working branches; see :meth:`Lake.protected_branches`."""
        protected = self._server.protected()
        return tuple(sorted(name for name, _ in self._server.branches() if name in protected))

    def create_branch(self, name: str, source: str, *, protected: bool = False) -> Commit:
        """Create a branch; see :meth:`Lake.create_branch`."""
        (names.check_working_branch if protected else names.check_branch)(name, self._name)
        self._check_ref(source)
        if not protected:
            made = self._server.commit_at(self._server.create_branch(name, source))
            if self._is_protected(name):
                # A process was killed between the protection and its branch.
                self._server.unprotect(name)
            return made
        started = self._server.head(source)
        if name in dict(self._server.branches()) or name in dict(self._server.tags()):
            raise AlreadyExists("this name is taken: choose another one", repository=self._name, ref=name)
        # The protection comes first, so that a killed process leaves no branch without it.
        self._server.protect(name)
        return self._server.commit_at(self._server.create_branch(name, started.id))

    def delete_branch(self, name: str) -> None:
        """Delete a branch; see :meth:`Lake.delete_branch`."""
        names.refuse_main(name, self._name)
        self._check_ref(name)
        self._server.delete_branch(name)
        if not names.is_temporary(name) and name in self._server.protected():
            self._server.unprotect(name)

    def _is_protected(self, branch: str) -> bool:
        return not names.is_temporary(branch) and self._server.is_protected(branch)

    def head(self, ref: str) -> Commit:
        """Return the commit of a ref, which may also be an abbreviated commit id."""
        self._check_ref(ref)
        return self._server.head(ref)

    def log(self, ref: str, limit: int | None = None, prefix: str | None = None) -> Iterator[Commit]:
        """Yield commits, newest first; see :meth:`Lake.log`."""
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
        """Yield the first-parent history of a ref; see :meth:`Lake.first_parents`."""
        self._check_ref(ref)
        folder = self._check_path(prefix or "")
        # The server's log of a prefix leaves out merges, by which nearly all of `main` is made.
        for commit in self._server.log(ref, None, None, first_parent=True):
            if not folder or self._changed(commit, folder):
                yield commit

    def _changed(self, commit: Commit, folder: str) -> bool:
        """Tell whether a commit's content at a folder or file differs from that of its first parent."""
        if not commit.parents:
            return next(self._objects(commit.id, folder, 1), None) is not None
        differing = self._server.diff(commit.parents[0], commit.id, folder)
        return any(names.is_within(item["path"], folder) for item in differing)

    def unreached(self, refs: Sequence[str], commits: Iterable[str]) -> tuple[str, ...]:
        """Return the commits that no ref reaches; see :meth:`Lake.unreached`."""
        left = set(commits)
        for ref in refs:
            self._check_ref(ref)
            left.difference_update(self._server.known.line(ref))
            found = self._server.log(ref, None, None)
            while left and (commit := next(found, None)) is not None:
                left.discard(commit.id)
        return tuple(sorted(left))

    def incoming(self, source: str, into: str) -> tuple[str, ...]:
        """Return the paths that a merge would change; see :meth:`Lake.incoming`."""
        for ref in (source, into):
            self._check_ref(ref)
        return self._incoming(*self._server.merge_base(source, into))

    def _incoming(self, theirs: str, ours: str, base: str) -> tuple[str, ...]:
        changed = {item["path"] for item in self._between(base, theirs) if not folders.is_marker(item["path"])}
        # If the branch is still at the merge base, the differences are the source's changes.
        differing = changed if base == ours else paths_of(self._between(ours, theirs))
        return tuple(sorted(changed.intersection(differing)))

    def _between(self, left: str, right: str) -> Sequence[Mapping[str, Any]]:
        """Return the differences between two commits. The last few results are cached.

        A merge needs the same comparisons as its audit just before.
        """
        kept = self._compared.get((left, right))
        if kept is None:
            kept = [] if left == right else list(self._server.diff(left, right))
            if len(kept) <= _LONGEST_KEPT:
                self._compared = {**dict(list(self._compared.items())[1 - _COMPARED :]), (left, right): kept}
        return kept

    def tag(self, name: str, ref: str) -> Commit:
        """Tag a commit; see :meth:`Lake.tag`."""
        names.check_tag(name, self._name)
        names.refuse_taken(self._is_protected(name), name, self._name)
        commit = self.head(ref)
        try:
            self._server.create_tag(name, commit.id)
        except AlreadyExists:
            if self._server.head(name) != commit:
                raise
        return commit

    def tags(self) -> Mapping[str, str]:
        """Return the commit id of each tag, sorted by name."""
        return dict(sorted(self._server.tags()))

    # Reading

    def list(self, ref: str, prefix: str = "", after: str = "") -> Iterator[LakeObject]:
        """Yield the objects under a prefix; see :meth:`Lake.list`. Checksums are the store's ETags."""
        self._check_ref(ref)
        folder = self._check_path(prefix)
        for item in self._objects(ref, folder, after=after):
            address = item["physical_address"]
            yield LakeObject(item["path"], item["size_bytes"], f"etag:{item['checksum']}", address)

    def fingerprint(self, ref: str, prefix: str) -> str | None:
        """Return a digest of paths, sizes and checksums, or None; see :meth:`Lake.fingerprint`."""
        folder = self._check_path(prefix)
        digest = sha256()
        found = False
        for item in self.list(ref, prefix):
            found = True
            digest.update(f"{item.path[len(folder) :]}\n{item.size} {item.checksum}\n".encode())
        return digest.hexdigest() if found else None

    def path(self, ref: str, prefix: str) -> Snapshot:
        """Return a snapshot of the ref's current commit; see :meth:`Lake.path`."""
        folder = self._check_path(prefix)
        commit = ref if names.is_commit_id(ref) else self.head(ref).id
        if next(self._objects(commit, folder, limit=1), None) is None:
            raise self._server.missing(ref, folder)
        root = f"{self._id}/{commit}/{folder}".rstrip("/")
        return Snapshot(commit, folder, f"s3a://{root}", self._filesystem, root)

    def open_file(self, ref: str, path: str) -> NativeFile:
        """Open a file of the ref's current commit; see :meth:`Lake.open_file`."""
        place = self._check_path(path)
        commit = ref if names.is_commit_id(ref) else self.head(ref).id
        try:
            return self._filesystem.open_input_file(f"{self._id}/{commit}/{place}")
        except FileNotFoundError as error:
            raise PathNotFound("no file is there", repository=self._name, ref=ref, path=place) from error

    def diff(self, left: str, right: str, prefix: str = "") -> Diff:
        """Compare two refs; see :meth:`Lake.diff`. The server reads only ranges that differ."""
        for ref in (left, right):
            self._check_ref(ref)
        folder = self._check_path(prefix)
        found: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
        for item in self._server.diff(left, right, folder):
            if names.is_within(item["path"], folder) and not folders.is_marker(item["path"]):
                found[item["type"]].append(item["path"])
        return Diff(*(tuple(sorted(found[kind])) for kind in ("added", "removed", "changed")))

    def changes(self, branch: str) -> tuple[str, ...]:
        """Return the uncommitted paths of a branch, which another program wrote."""
        self._check_ref(branch)
        return tuple(sorted(paths_of(self._server.uncommitted(branch))))

    # Writing

    @contextmanager
    def write(
        self,
        branch: str,
        prefix: str,
        *,
        mode: WriteMode = "overwrite",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        partitions: Sequence[str] | None = None,
        beside: Sequence[str] = (),
    ) -> Generator[Write]:
        """Open a writable folder that becomes one commit; see :meth:`Lake.write`.

        lakeFS commits everything that is staged on a branch. So each write uses a private branch, which is committed
        and then merged into ``branch`` as one commit.
        """
        spec = WriteSpec(
            branch=branch,
            prefix=self._check_path(prefix),
            mode=mode,
            message=message,
            metadata=metadata or {},
            partitions=partitions,
            beside=[self._check_path(path) for path in beside],
        ).checked(self._name)
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        self._check_ref(branch)
        with self._private(branch) as (place, began):
            held = paths_of(self._server.inside(place, spec.targets))
            stays = paths_of(self._server.inside(place, spec.beside))
            for path in spec.roots:
                self._refuse_file_in_the_way(place, path, [*held, *stays])
            if not spec.appends:
                self._server.delete(place, held)
            root = f"{self._id}/{place}/{spec.prefix}"
            places = {path: f"{self._id}/{place}/{path}" for path in spec.beside}
            write = Write(f"s3a://{root}", self._filesystem, root, began, places, dict(spec.metadata))
            yield write
            self._server.delete(place, [path for path in write.removed if spec.updates(path)])
            written, gone = self._staged(place, spec)
            if not written and not gone:
                head = self._server.head(branch)
                write.ended(head.id, lambda: head)
                return
            kept = [*held, *stays] if spec.appends else stays
            if mixed := folders.in_the_way({*kept, *written} - set(gone)):
                reason = "this path is a file, and another one needs it as a folder: choose other names"
                raise WriteRefused(reason, repository=self._name, ref=branch, path=min(mixed))
            folders.touch(self._server, place, spec)
            _check_metadata(write.metadata)
            step = CommitStep(message=spec.message.strip() or f"Write {spec.prefix}", metadata=write.metadata)
            self._server.commit(place, step)
            changed = [at for at in spec.roots if any(names.is_within(path, at) for path in (*written, *gone))]
            wrote = Written(began, tuple(changed))
            made = self._land(place, began, spec, replace(step, metadata={**step.metadata, WROTE: wrote.render()}))
            self._server.known.learn_written(made, wrote)
            write.ended(made, lambda: self._server.commit_at(made))

    def _staged(self, place: str, spec: WriteSpec) -> tuple[Sequence[str], Sequence[str]]:
        """Return the data paths that a write has put and removed. Drop marker files, and refuse unfinished writes."""
        dropped: list[str] = []
        written: list[str] = []
        gone: list[str] = []
        changing = {*spec.targets, *spec.beside}
        for item in self._server.uncommitted(place):
            path: str = item["path"]

            def refuse(reason: str, path: str = path) -> WriteRefused:
                return WriteRefused(reason, repository=self._name, path=path)

            parts = path.rstrip("/").split("/")
            inside = not changing.isdisjoint((path, *names.ancestors(path)))
            if item["type"] == "removed" and inside:
                gone.append(path)
            elif any(names.is_unfinished(part) for part in parts[:-1] + parts[-1:] * path.endswith("/")):
                raise refuse("an unfinished write: let the engine commit its job before the write ends")
            elif path.endswith("/") or names.is_marker(parts[-1], item.get("size_bytes", 1)):
                dropped.append(path)
            else:
                names.check_path(path, self._name)
                if not inside:
                    where = ", ".join([spec.prefix] if spec.partitions is None else spec.partitions) or "none"
                    raise refuse(f"outside the partitions being written: {where}")
                if spec.appends and item["type"] == "changed" and not spec.updates(path):
                    raise refuse("append cannot replace a file, and this one exists already: choose another name")
                written.append(path)
        self._server.delete(place, dropped)
        return written, gone

    def _land(self, place: str, began: str, spec: WriteSpec, step: CommitStep) -> str:
        """Merge a committed private branch as one commit with one parent, and return its id."""
        for _ in range(_ROUNDS):
            try:
                made = self._server.merge(place, spec.branch, step, squash_merge=True)
                return made or self._server.head(spec.branch).id
            except ConflictError:
                head = self._server.head(spec.branch).id
                since = [path for path in paths_of(self._server.diff(began, head)) if not folders.is_marker(path)]
                for target in (*spec.targets, *spec.beside):
                    if any(names.is_within(path, target) for path in since):
                        reason = "changed on the branch since this write began; nothing was committed: run it again"
                        raise WriteConflict(reason, repository=self._name, ref=spec.branch, path=target) from None
                self._take_up(place, head, step)
        raise self._outrun(spec.branch)

    def _take_up(self, place: str, head: str, step: CommitStep) -> None:
        """Merge a commit without conflicting data into a private branch, and renew the markers of this branch."""
        before = self._server.head(place).id
        base = self._server.merge_base(place, head)[2]
        mine = {path for path in paths_of(self._server.diff(base, before, folders.ROOT)) if folders.is_marker(path)}
        # A hook may require of these commits what it requires of the one that they are made for.
        own = {key: value for key, value in step.metadata.items() if key not in (RECORD, WROTE)}
        self._server.merge(head, place, CommitStep(message=f"Take up {head[:12]}", metadata=own), strategy="dest-wins")
        folders.renew(self._server, place, sorted(mine), avoid=[(base, before), (base, head)])
        self._server.commit(place, CommitStep(message="Renew markers", metadata=own))

    @property
    def shared(self) -> bool:
        """True: it is on a server."""
        return True

    @contextmanager
    def aside(self, ref: str) -> Generator[Aside]:
        """Open a private copy of a commit; see :meth:`Lake.aside`. It is a private branch that is never committed."""
        self._check_ref(ref)
        with self._private(ref) as (place, _):
            root = f"{self._id}/{place}"
            yield Aside(place, f"s3a://{root}", self._filesystem, root, partial(self._take, place))

    def _take(self, place: str, write: Write, paths: Mapping[str, str]) -> None:
        """Link objects of a private branch on that of a write."""
        target = write.root.split("/")[1]
        found = {item["path"]: item for item in self._server.inside(place, list(paths))}
        for path, to in paths.items():
            if path not in found:
                raise PathNotFound("no file is there", repository=self._name, ref=place, path=path)
            self._server.link(target, {**found[path], "path": to})

    def restore(
        self,
        branch: str,
        source: str,
        paths: Sequence[str],
        *,
        replaces: Sequence[str] = (),
        message: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Commit:
        """Link objects of another commit, by their exact paths; see :meth:`Lake.restore`."""
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        for ref in (branch, source):
            self._check_ref(ref)
        _check_metadata(metadata or {})
        step = CommitStep(message=message.strip() or f"Restore {source}", metadata=metadata or {})
        origin = self._server.head(source).id
        with self._private(branch) as (place, began):
            self._server.delete(place, paths)
            for item in filter(None, (self._server.object(origin, path) for path in paths)):
                self._server.link(place, item)
            if not any(True for _ in self._server.uncommitted(place)):
                return self._server.head(branch)
            for folder in replaces:
                folders.touch_folders(self._server, place, [folder], replaced=True, whole=False)
            self._server.commit(place, step)
            try:
                made = self._server.merge(place, branch, step, squash_merge=True)
            except ConflictError as error:
                reason = f"changed on the branch meanwhile, at {began[:12]}; nothing was committed: run it again"
                raise WriteConflict(reason, repository=self._name, ref=branch) from error
            return self._server.head(made or branch)

    # Merging

    def merge(
        self,
        source: str,
        into: str,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        audit: Audit | Override | None = None,
    ) -> Commit:
        """Merge a ref into a branch; see :meth:`Lake.merge`.

        The server merges path by path. It detects replaced folders only through our markers, and commits of other
        programs do not change these. So if ``into`` has moved, both sides are compared before the merge.
        """
        for ref in (source, into):
            self._check_ref(ref)
        with_audit = recorded(into, self._is_protected(into), metadata, audit, self._name)
        _check_metadata(with_audit)
        step = CommitStep(message=message.strip() or f"Merge {source} into {into}", metadata=with_audit)
        if audit is not None:
            base, seen = self._refuse_unaudited(audit, source, into)
            merged = self._merge_despite_markers(source, into, step)
            if merged.id != seen and len(merged.parents) > 1 and merged.parents[0] != seen:
                self._undo_mixture(merged, base, source, into)
            return merged
        if self._first_wholes(source, into):
            self._refuse_conflicts(source, into)
        else:
            brought = self._brought_back(*self._server.merge_base(source, into))
            refuse_brought_back(brought, self._name, f"{source} into {into}")
        return self._merge_despite_markers(source, into, step)

    def _merge_despite_markers(self, source: str, into: str, step: CommitStep) -> Commit:
        """Merge. If the server reports a conflict, and only markers conflict, merge through a private branch."""
        try:
            return self._merge(source, into, step)
        except ConflictError:
            pass
        with self._private(source) as (place, _):
            for _ in range(_ROUNDS):
                # Merge exactly the checked commit, in which only markers conflict.
                self._take_up(place, self._refuse_conflicts(place, into), step)
                with suppress(ConflictError):
                    return self._merge(place, into, step)
        raise self._outrun(into)

    def _undo_mixture(self, merged: Commit, base: str, source: str, into: str) -> None:
        """Undo a merge that mixed files in a folder, because another merge came between the check and the merge.

        The server cannot bind a merge to the checked head, and commits of other programs change no markers.
        """
        ours, theirs = merged.parents
        sides = (self._between(base, ours), self._between(base, theirs), self._between(ours, theirs))
        found = self._conflicts(sides, base, theirs)
        found |= self._brought_back(*self._server.merge_base(theirs, ours))
        if not found:
            return
        step = CommitStep(
            message=f"Undo {merged.id[:12]}: it mixed folders that both sides changed",
            metadata={RECORD: record(Audit(merged.id, (Entry("", None, "", back_to=ours),))), UNDOES: merged.id},
        )
        with self._private(merged.id) as (place, _):
            self._server.revert(place, merged.id, step)
            self._merge(place, into, step)
        reason = "both sides changed the same folders at once; the merge was undone: write them again on a new branch"
        raise MergeConflict(reason, repository=self._name, ref=f"{source} into {into}", paths=sorted(found))

    def _refuse_unaudited(self, audit: Audit | Override, source: str, into: str) -> tuple[str, str]:
        """Raise if a merge would change paths that its audit does not cover, or mix changes of both sides.

        Return the merge base, and the checked head of ``into``.
        """
        theirs, ours, base = self._server.merge_base(source, into)
        if base != ours:
            self._refuse_undone(source, into, base, ours)
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

    def _brought_back(self, theirs: str, ours: str, base: str) -> set[str]:
        """Return the paths where one side undid what the other has: the server's merge base is not the only one."""
        if base in (theirs, ours):
            return set()
        passed: set[str] = set()
        for another in other_bases(self._server, theirs, ours, base):
            began = self._server.merge_base(another, base)[2]
            # What the base alone changed is compared with the right state.
            changed = set(paths_of(self._server.diff(began, another)))
            passed |= changed.intersection(paths_of(self._server.diff(base, another)))
        if not passed:
            return passed
        mine, other = (set(paths_of(self._between(base, side))) for side in (ours, theirs))
        return {path for path in passed & (mine ^ other) if not folders.is_marker(path)}

    def _refuse_undone(self, source: str, into: str, base: str, ours: str) -> None:
        """Raise if ``source`` was merged before and that merge was undone: its data are in the history, not on it."""
        if len(self._server.commit_at(base).parents) != 1:
            # A merge of the branch's own line, or the first commit. Nothing else of ``source`` was merged.
            return
        # The commit at which the source began is on both lines.
        line = {commit.id for commit in self._server.log(base, PAGE, None, first_parent=True)}
        undone: dict[str, str] = {}
        for commit in self._server.log(ours, None, None, first_parent=True):
            if commit.id in line:
                return
            if UNDOES in commit.metadata:
                undone[commit.metadata[UNDOES]] = commit.id
            if commit.id in undone and any(item.id == base for item in self._server.log(commit.parents[1], 5, None)):
                changed = paths_of(self._between(commit.parents[0], commit.id))
                reason = (
                    f"its merge {commit.id} mixed folders that both sides changed, and was undone by commit "
                    f"{undone[commit.id]}: write them again on a new branch"
                )
                paths = [path for path in changed if not folders.is_marker(path)]
                raise MergeConflict(reason, repository=self._name, ref=f"{source} into {into}", paths=paths)

    def _merge(self, source: str, into: str, step: CommitStep) -> Commit:
        made = self._server.merge(source, into, step)
        if made is None:
            theirs, ours, base = self._server.merge_base(source, into)
            if base == theirs:
                return self._server.head(ours)
            # Both sides have the same content. Make an empty merge, so that its metadata are kept.
            made = self._server.merge(source, into, step, allow_empty=True)
        return self._server.head(made or into)

    def _first_wholes(self, source: str, into: str) -> bool:
        """Tell whether only one side has written some folder as a whole, so that the markers show no conflict."""
        return folders.wholes(self._server, source) != folders.wholes(self._server, into)

    def _conflicts(
        self,
        sides: tuple[Iterable[Mapping[str, Any]], Iterable[Mapping[str, Any]], Iterable[Mapping[str, Any]]],
        base: str,
        theirs: str,
    ) -> set[str]:
        """Return the paths at which two sides conflict; see :func:`folders.conflicts`."""
        return folders.conflicts(*sides, lambda folder: folders.is_replaced(self._server, base, theirs, folder))

    def _refuse_conflicts(self, source: str, into: str) -> str:
        """Raise if ``source`` conflicts with ``into``, or brings back what one undid. Return the head of ``into``."""
        theirs, ours, base = self._server.merge_base(source, into)
        if base in (theirs, ours):
            return ours
        sides = (self._between(base, ours), self._between(base, theirs), self._between(ours, theirs))
        found = self._conflicts(sides, base, theirs)
        if found:
            reason = "both sides changed the same paths since their merge base; write them again on a new branch"
            raise MergeConflict(reason, repository=self._name, ref=f"{source} into {into}", paths=sorted(found))
        refuse_brought_back(self._brought_back(theirs, ours, base), self._name, f"{source} into {into}")
        return ours

    def note(self, branch: str, message: str, metadata: Mapping[str, str]) -> Commit:
        """Make a commit that changes no file; see :meth:`Lake.note`. It is a merge of nothing, so nothing is sealed."""
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        self._check_ref(branch)
        step = CommitStep(message=message.strip(), metadata=metadata)
        head = self._server.head(branch)
        made = self._server.merge(head.id, branch, step, allow_empty=True, squash_merge=True)
        return self._server.head(made or branch)

    def revert(self, commit: str, branch: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """Undo a commit on a branch; see :meth:`Lake.revert`. If nothing is left to undo, the head is returned."""
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        self._check_ref(branch)
        undone = self.head(commit)
        if not undone.parents:
            return self._server.head(branch)
        step = CommitStep(message=message.strip() or f"Revert {undone.id[:12]}", metadata=metadata or {})
        for _ in range(_ROUNDS):
            with self._private(branch) as (place, head):
                self._undo(undone, place, head, branch, step)
                if all(map(folders.is_marker, paths_of(self._server.diff(head, place)))):
                    return self._server.head(branch)
                with suppress(ConflictError):
                    made = self._server.merge(place, branch, step, squash_merge=True)
                    return self._server.head(made or branch)
        raise self._outrun(branch)

    def _undo(self, undone: Commit, place: str, head: str, branch: str, step: CommitStep) -> None:
        """Undo a commit on a private branch at ``head``."""
        before = undone.parents[0]
        theirs = list(self._server.diff(undone.id, before))
        sides = (self._server.diff(undone.id, head), theirs, self._server.diff(head, before))
        found = self._conflicts(sides, undone.id, before)
        if found:
            reason = "later commits changed the same paths: revert those first"
            raise MergeConflict(reason, repository=self._name, ref=f"{undone.id} on {branch}", paths=sorted(found))
        markers = [item for item in theirs if folders.is_marker(item["path"])]
        try:
            self._server.revert(place, undone.id, step)
        except ConflictError:
            # Only markers conflict: restore them as of the undone commit.
            for item in markers:
                if item["type"] == "added":
                    self._server.delete(place, [item["path"]])
                else:
                    self._server.upload(place, item["path"], self._server.content(undone.id, item["path"]))
            self._server.commit(place, replace(step, message="Put markers back"))
            self._server.revert(place, undone.id, step)
        if markers:
            # What undoes a replacement is one itself.
            paths = [item["path"] for item in markers]
            folders.renew(self._server, place, paths, avoid=[(before, undone.id, head)])
            self._server.commit(place, replace(step, message="Renew markers"))

    # Maintenance

    def verify(self, ref: str, prefix: str = "") -> Iterator[str]:
        """Hash every object under a prefix again; see :meth:`Lake.verify`."""
        commit = self.head(ref).id
        for item in self.list(commit, prefix):
            if fault := self.check(commit, item).fault:
                yield f"{item.path}: {fault}"

    def check(self, commit: str, item: LakeObject) -> Checked:
        """Read an object through the server, and compare it with its ETag; see :meth:`Lake.check`."""
        found = self._read_back(commit, item, USUAL) or self._read_back(commit, item, RARE)
        assert found is not None
        return found

    def _read_back(self, commit: str, item: LakeObject, parts: Sequence[int]) -> Checked | None:
        """Check an object against its ETag, for some sizes of parts. None if it may have parts of other sizes."""
        for tries in range(1, _TRIES + 1):
            etag = ETag(item.checksum.removeprefix("etag:"), item.size, parts)
            size = 0
            try:
                for block in self._server.blocks(commit, item.path):
                    etag.update(block)
                    size += len(block)
            except LakeUnavailable as error:
                if tries == _TRIES:
                    return Checked(False, f"cannot be read: {error.reason}")
            except LakeError as error:
                return Checked(False, f"cannot be read: {error.reason}")
            else:
                if size != item.size:
                    return Checked(True, f"has {size} bytes instead of {item.size}")
                fault = etag.fault()
                return None if fault and etag.may_be_rare else Checked(etag.is_known, fault)
        raise AssertionError("the last try returns")

    def leftovers(self) -> str:
        """Describe the private branches. Empty if there are none."""
        number = len(self.private_branches())
        return f"{number} private branch(es) of writes in progress, or of killed writers" if number else ""

    def caches(self) -> tuple[Cache, ...]:
        """Return an empty tuple: nothing is cached locally."""
        return ()

    def clean(self) -> None:
        """Do nothing: nothing is cached locally."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return an empty tuple: the lake is on a server."""
        return ()

    def backup(self, target: Path, *, link: bool = True, check: bool = False, replace: bool = False) -> NoReturn:
        """Raise :class:`NotSupported`: a lakeFS server is backed up with its database and its object store."""
        del target, link, check, replace
        reason = (
            "lakeFS holds the data: back up its database and its object store, the database first; the commits of "
            "branches and tags are recorded here"
        )
        raise NotSupported(reason, repository=self._name)

    def garbage(self, grace: timedelta) -> NoReturn:
        """Raise :class:`NotSupported`: lakeFS has its own garbage collection job."""
        reason = "lakeFS has its own garbage collection job: `lake-assets expire` sets its rules and links to the job"
        raise NotSupported(reason, repository=self._name)

    def collect_garbage(self, grace: timedelta) -> NoReturn:
        """Raise :class:`NotSupported`: lakeFS has its own garbage collection job."""
        self.garbage(grace)

    def expire(
        self,
        before: datetime,
        keep: Sequence[str] = (),
        from_commits: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        *,
        yes: bool = False,
    ) -> Removable:
        """Set the retention rule of the server's own job, in whole days; see :meth:`Lake.expire`."""
        if keep or prefixes:
            reason = (
                "lakeFS keeps heads of branches and recent commits only: do not give further refs or prefixes to keep"
            )
            raise NotSupported(reason, repository=self._name)
        now, day = datetime.now(timezone.utc), timedelta(days=1)
        # The caller computed ``before`` a moment ago.
        ages = [now - before - timedelta(minutes=1), *(now - self.head(commit).committed_at for commit in from_commits)]
        days = max(1, ceil(max(ages) / day))
        if yes:
            self._server.keep_days(days)
        return Removable("object that only expired commits hold", 0, 0, RetentionRule(days, GARBAGE_JOB))

    def unprotected(self) -> tuple[str, ...]:
        """Return the branches whose rule was removed from the server; see :meth:`Lake.unprotected`."""
        return tuple(self._server.without_rule())

    def protect_again(self) -> None:
        """Restore the rules of the server; see :meth:`Lake.protect_again`."""
        for branch in self._server.without_rule():
            self._server.set_rule(branch, wanted=True)

    def drop_changes(self, branch: str) -> None:
        """Drop the uncommitted changes of a branch, which another program wrote."""
        self._check_ref(branch)
        self._server.reset(branch)

    def close(self) -> None:
        """Do nothing: snapshots are read from the server."""

    # Helpers

    @property
    def _filesystem(self) -> Any:
        if self._gateway is None:
            from lake_assets.lake.lakefs.filesystem import gateway

            self._gateway = gateway(*self._connect)
        return self._gateway

    @contextmanager
    def _private(self, source: str) -> Generator[tuple[str, str]]:
        """Yield a new private branch and the commit at which it begins. It is deleted afterwards."""
        place = private.name_for(source)
        try:
            began = self._server.create_branch(place, source)
            yield place, began
        finally:
            # An error of the cleanup must not hide another error. The sweeper deletes a branch that is left behind.
            with suppress(LakeError):
                self._server.delete_branch(place)

    def _objects(self, ref: str, folder: str, limit: int | None = None, after: str = "") -> Iterator[dict[str, Any]]:
        """Yield the data objects in a folder, or the single object at exactly this path."""
        found = False
        # A listing of the whole lake begins with markers, so the limit does not apply to it.
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
            reason = "there is a file where this write needs a folder: choose another prefix"
            raise WriteRefused(reason, repository=self._name, path=(ahead or [folder])[0])

    def _outrun(self, branch: str) -> LakeUnavailable:
        reason = f"the branch was changed {_ROUNDS} times during this merge: run it again"
        return LakeUnavailable(reason, repository=self._name, ref=branch)

    def _check_ref(self, ref: str) -> None:
        # lakeFS allows expressions such as main~1, which the embedded lake does not.
        if not (names.is_branch(ref) or names.is_tag(ref) or names.is_commit_id(ref)):
            raise RefNotFound("no branch, tag or commit of that name", repository=self._name, ref=ref)

    def _check_path(self, path: str) -> str:
        folder = names.check_path(path, self._name)
        if f"{folder}/".encode() > END.encode():
            reason = "path sorts behind the object that ends each merge of lakeFS: begin it with another character"
            raise InvalidName(reason, repository=self._name, path=path)
        if folders.is_marker(folder):
            raise InvalidName(f"path lies in {folders.ROOT}, which is reserved", repository=self._name, path=path)
        return folder


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise TypeError(f"commit metadata must be strings: {key!r} is a {type(value).__name__}")
