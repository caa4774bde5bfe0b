"""The embedded lake: a bare Git repository with its data as Git-LFS objects, on local disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pygit2
from pygit2 import Commit as GitCommit

from lake_assets.lake import names
from lake_assets.lake.ancestors import refuse_brought_back
from lake_assets.lake.audit import Audit, Override, recorded, refuse_mixed, refuse_uncovered
from lake_assets.lake.contract import (
    Cache,
    Checked,
    Commit,
    Copied,
    Diff,
    LakeObject,
    PrivateBranch,
    Removable,
    Snapshot,
    Write,
    WriteMode,
)
from lake_assets.lake.embedded import housekeeping, trailers
from lake_assets.lake.embedded.backup import back_up
from lake_assets.lake.embedded.commits import ATTRIBUTES, Commits, describe
from lake_assets.lake.embedded.content import Content, File
from lake_assets.lake.embedded.creation import format_of, open_or_create, set_format
from lake_assets.lake.embedded.durability import in_parallel
from lake_assets.lake.embedded.expiry import Expiry, ExpiryRecord, UnknownPrefixError
from lake_assets.lake.embedded.failures import REPAIR, by_system, disk_full_translated, translated
from lake_assets.lake.embedded.gc import Collector
from lake_assets.lake.embedded.git_objects import GitObjects, NotACommitError, ObjectMissingError
from lake_assets.lake.embedded.history import descends, merge_base, merge_bases, newest_first
from lake_assets.lake.embedded.links import Links, Piece, PieceGoneError
from lake_assets.lake.embedded.newest import Newest
from lake_assets.lake.embedded.objects import FileChangedError, Objects, Pointer
from lake_assets.lake.embedded.refs import Refs
from lake_assets.lake.embedded.scratch import Scratch
from lake_assets.lake.embedded.snapshots import Snapshots
from lake_assets.lake.embedded.staging import collect, not_removed
from lake_assets.lake.embedded.trees import FileInTheWayError, Node, Trees
from lake_assets.lake.errors import (
    DataCorrupted,
    Expired,
    InvalidName,
    LakeError,
    LakeNotFound,
    MergeConflict,
    NotSupported,
    PathNotFound,
    Unaudited,
    WriteConflict,
    WriteRefused,
)
from lake_assets.lake.format import check_format
from lake_assets.lake.permissions import sharing_of
from lake_assets.lake.spec import CommitStep, WriteSpec

if TYPE_CHECKING:
    from pyarrow import NativeFile


class GitLake:
    """A lake in a local folder, which any number of processes and threads of the machine can share.

    Parameters
    ----------
    home
        The folder. It holds ``lake.git`` (the repository), ``snapshots`` (the cache of :meth:`path`) and ``staging``
        (writes in progress). It is created if it is missing. All of it must be on one file system.
    any_format
        Also open a lake of another format, in order to migrate it.
    create
        Make the lake if it is missing.

    Raises
    ------
    FormatMismatch
        The lake has another format than this program supports.
    LakeUnavailable
        The folder cannot be created or read, or its ``lake.git`` is not a repository.
    InvalidName
        Spark and DuckDB would read the folder's name as a pattern.

    Examples
    --------
    >>> lake = GitLake(Path(".lake"))
    >>> _ = lake.create_branch("trial", "main")
    >>> with lake.write("trial", "stocks/csv", message="One file") as write:
    ...     _ = Path(write.root, "a.csv").write_text("ISIN,Price")
    >>> _ = lake.merge("trial", "main", audit=Override("ann", "the first try"))
    """

    def __init__(self, home: Path, *, any_format: bool = False, create: bool = True) -> None:
        self._home = Path(home).absolute()
        self._name = str(self._home)
        if set(self._name) & set("*?[]{}\\"):
            reason = "Spark and DuckDB would read this folder's name as a pattern: choose another folder"
            raise InvalidName(reason, repository=self._name)
        git_dir = self._home / "lake.git"
        sharing = sharing_of(git_dir)
        self._scratch = Scratch(self._home / "staging", sharing)
        with self._translated():
            if not create and not git_dir.exists() and not self._home.is_file():
                raise LakeNotFound("there is no lake in this folder", repository=self._name)
            self._git = open_or_create(git_dir, self._scratch)
            self.format = format_of(self._git)
            if not any_format:
                check_format(self.format, self._name)
            self._scratch.sweep()
        self._objects = Objects(git_dir / "lfs" / "objects", sharing)
        self._git_objects = git_objects = GitObjects(self._git, sharing)
        self._trees = Trees(git_objects)
        self._commits = Commits(git_objects, self._trees)
        self._content = Content(self._commits, self._trees, self._objects)
        self._refs = Refs(self._git, git_objects, git_dir, self._name, sharing)
        self._snapshots = Snapshots(self._home / "snapshots", self._scratch, Links(self._objects))
        self._newest = Newest(self._git, git_objects, sharing)
        self._collector = Collector(self._git, git_objects, self._objects, self._refs, self._newest.folder)
        self._expired = ExpiryRecord(git_dir / "lake_assets.expired", sharing)

    def __repr__(self) -> str:
        return f"GitLake({self._name!r})"

    @property
    def repository(self) -> str:
        """The lake's folder."""
        return self._name

    @property
    def folders(self) -> tuple[Path, ...]:
        """The lake's folder."""
        return (self._home,)

    def set_format(self, number: int) -> None:
        """Record the lake's format; see :meth:`Lake.set_format`."""
        with self._operation():
            set_format(self._git, number)
        self.format = number

    # Refs

    def branches(self) -> tuple[str, ...]:
        """Return the names of all branches, sorted."""
        with self._operation():
            return self._refs.branches()

    def private_branches(self) -> Mapping[str, PrivateBranch]:
        """Return an empty mapping: writes need no private branches here."""
        return {}

    def protected_branches(self) -> tuple[str, ...]:
        """Return ``main`` and the working branches; see :meth:`Lake.protected_branches`."""
        with self._operation():
            return tuple(name for name in self._refs.branches() if self._refs.is_protected(name))

    def create_branch(self, name: str, source: str, *, protected: bool = False) -> Commit:
        """Create a branch; see :meth:`Lake.create_branch`."""
        (names.check_working_branch if protected else names.check_branch)(name, self._name)
        with self._operation(name):
            commit = self._refs.resolve(source)
            self._refs.create_branch(name, commit, protected=protected)
            return describe(commit)

    def delete_branch(self, name: str) -> None:
        """Delete a branch; see :meth:`Lake.delete_branch`."""
        names.refuse_main(name, self._name)
        with self._operation(name):
            self._refs.delete_branch(name)

    def _is_protected(self, branch: str) -> bool:
        with self._operation(branch):
            return self._refs.is_protected(branch)

    def head(self, ref: str) -> Commit:
        """Return the commit of a ref, which may also be an abbreviated commit id."""
        with self._operation(ref):
            return describe(self._refs.resolve(ref))

    def log(self, ref: str, limit: int | None = None, prefix: str | None = None) -> Iterator[Commit]:
        """Yield commits, newest first and children before parents; see :meth:`Lake.log`. History is read lazily."""
        folder = names.check_path(prefix or "", self._name)
        with self._operation(ref, folder):
            found = 0
            start = self._refs.resolve(ref)
            if limit == 1 and folder:
                if newest := self._newest.find(start, folder, lambda commit: self._changed(commit, folder)):
                    yield describe(newest)
                return
            for commit in newest_first(start, self._git_objects.commit):
                if found == limit:
                    return
                if prefix is None or self._changed(commit, folder):
                    yield describe(commit)
                    found += 1

    def _changed(self, commit: GitCommit, folder: str) -> bool:
        """Tell whether a commit's content at ``folder`` differs from that of each of its parents."""
        before = [self._commits.node(parent, folder) for parent in self._git_objects.parents(commit)]
        return self._commits.node(commit, folder) not in (before or [None])

    def tag(self, name: str, ref: str) -> Commit:
        """Tag a commit; see :meth:`Lake.tag`."""
        names.check_tag(name, self._name)
        names.refuse_taken(self._is_protected(name), name, self._name)
        with self._operation(name):
            commit = self._refs.resolve(ref)
            self._refs.create_tag(name, commit)
            return describe(commit)

    def tags(self) -> Mapping[str, str]:
        """Return the commit id of each tag, sorted by name."""
        with self._operation():
            return self._refs.tags()

    def first_parents(self, ref: str, prefix: str | None = None) -> Iterator[Commit]:
        """Yield the first-parent history of a ref; see :meth:`Lake.first_parents`."""
        folder = names.check_path(prefix or "", self._name)
        with self._operation(ref, folder):
            commit = self._refs.resolve(ref)
            here = self._commits.node(commit, folder)
            while commit.parent_ids:
                before = self._git_objects.commit(commit.parent_ids[0])
                there = self._commits.node(before, folder) if folder else None
                if not folder or here != there:
                    yield describe(commit)
                commit, here = before, there
            if not folder or here is not None:
                yield describe(commit)

    def unreached(self, refs: Sequence[str], commits: Iterable[str]) -> tuple[str, ...]:
        """Return the commits that no ref reaches; see :meth:`Lake.unreached`."""
        with self._operation(", ".join(refs)):
            heads = [self._refs.resolve(ref).id for ref in refs]
            return tuple(sorted(commit for commit in set(commits) if not self._is_reached(commit, heads)))

    def _is_reached(self, commit: str, heads: Sequence[pygit2.Oid]) -> bool:
        if not names.is_commit_id(commit) or commit not in self._git:
            return False
        found = pygit2.Oid(hex=commit)
        with suppress(NotACommitError):
            return any(head == found or descends(head, found, self._git_objects.commit) for head in heads)
        return False

    def incoming(self, source: str, into: str) -> tuple[str, ...]:
        """Return the paths that a merge would change; see :meth:`Lake.incoming`."""
        with self._operation(f"{source} into {into}"):
            theirs, ours = self._refs.resolve(source), self._refs.resolve(into)
            base = merge_base(ours, theirs, self._git_objects.commit)
            before = self._commits.root(base) if base else None
            theirs_root, ours_root = self._commits.root(theirs), self._commits.root(ours)
            changed = {path for path, _, _ in self._trees.differences(before, theirs_root)}
            differing = (path for path, _, _ in self._trees.differences(ours_root, theirs_root))
            return tuple(sorted(path for path in differing if path in changed))

    # Reading

    def list(self, ref: str, prefix: str = "", after: str = "") -> Iterator[LakeObject]:
        """Yield the objects under a prefix; see :meth:`Lake.list`. Checksums are ``sha256:…``.

        What another program committed to Git itself has Git's own id, ``git:…``.
        """
        folder = names.check_path(prefix, self._name)
        with self._operation(ref, folder):
            for file in self._content.files(self._refs.resolve(ref), folder, after):
                yield self._content.described(file)

    def fingerprint(self, ref: str, prefix: str) -> str | None:
        """Return the Git id of the tree or file at a prefix, or None; see :meth:`Lake.fingerprint`."""
        folder = names.check_path(prefix, self._name)
        with self._operation(ref, folder):
            node = self._commits.node(self._refs.resolve(ref), folder)
            return node.id.hex() if node else None

    def path(self, ref: str, prefix: str) -> Snapshot:
        """Return a folder (or file) of hard links, cached by content; see :meth:`Lake.path`."""
        from pyarrow.fs import LocalFileSystem

        folder = names.check_path(prefix, self._name)
        with self._operation(ref, folder):
            commit = self._refs.resolve(ref)
            node = self._commits.node(commit, folder)
            if node is None:
                raise PathNotFound("nothing is there", repository=self._name, ref=ref, path=folder)
            # A single file is linked in a folder of its own.
            name = "" if node.is_folder else folder.rpartition("/")[2]
            key = sha256(node.id + name.encode()).hexdigest() if name else node.id.hex()
            files = {name or file.path[len(folder) :].lstrip("/"): file for file in self._content.files(commit, folder)}
            if name and (foreign := files[name].foreign) and not node.is_file:
                raise PathNotFound(foreign, repository=self._name, ref=ref, path=folder)
            try:
                root = self._snapshots.folder(key, self._pieces(files)) / name
            except PieceGoneError as error:
                raise self._gone(error.pointer, str(commit.id), files[error.name].path) from error
        return Snapshot(str(commit.id), folder, f"file://{root}", LocalFileSystem(), str(root))

    def open_file(self, ref: str, path: str) -> NativeFile:
        """Open the object of a file; see :meth:`Lake.open_file`."""
        from pyarrow import BufferReader
        from pyarrow.fs import LocalFileSystem

        place = names.check_path(path, self._name)
        with self._operation(ref, place):
            commit = self._refs.resolve(ref)
            file = self._content.file(commit, place)
            if file is None or not file.node.is_file:
                reason = "no file is there" if file is None else str(file.foreign)
                raise PathNotFound(reason, repository=self._name, ref=ref, path=place)
            if file.pointer is None:
                return BufferReader(self._content.bytes_in_git(file))
            if not self._objects.holds(file.pointer):
                raise self._gone(file.pointer, str(commit.id), place)
            return LocalFileSystem().open_input_file(str(self._objects.path(file.pointer)))

    def _pieces(self, files: Mapping[str, File]) -> dict[str, Piece]:
        """Return what each file of a snapshot holds. Links and submodules lead out of the lake, and are left out."""
        return {
            name: self._content.bytes_in_git(file) if file.pointer is None else file.pointer
            for name, file in files.items()
            if file.node.is_file
        }

    def _gone(self, pointer: Pointer, ref: str, path: str) -> LakeError:
        """Return the error for a missing data object."""
        if when := self._expired.when(pointer.sha256):
            reason = f"its data expired at {when}: only the commit and its metadata are left"
            return Expired(reason, repository=self._name, ref=ref, path=path)
        reason = (
            f"object {pointer.sha256} is missing or damaged: write the file again, or restore it from a copy by "
            "`lake-assets doctor --repair`"
        )
        return DataCorrupted(reason, repository=self._name, ref=ref, path=path)

    def diff(self, left: str, right: str, prefix: str = "") -> Diff:
        """Compare two refs; see :meth:`Lake.diff`. Only folders that differ are read."""
        folder = names.check_path(prefix, self._name)
        added: list[str] = []
        removed: list[str] = []
        changed: list[str] = []
        with self._operation(f"{left}..{right}", folder):
            here = self._commits.node(self._refs.resolve(left), folder)
            there = self._commits.node(self._refs.resolve(right), folder)
            for path, before, after in self._trees.differences(here, there, folder):
                if path != ATTRIBUTES:
                    (changed if before and after else added if after else removed).append(path)
        return Diff(*(tuple(sorted(paths)) for paths in (added, removed, changed)))

    def changes(self, branch: str) -> tuple[str, ...]:
        """Return an empty tuple: a branch has no uncommitted changes here."""
        with self._operation(branch):
            self._refs.branch(branch)
        return ()

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

        Data files are added by hard link. The commit follows the branch's head at the end of the write, so that
        concurrent writes of disjoint prefixes all succeed.
        """
        from pyarrow.fs import LocalFileSystem

        spec = WriteSpec(
            branch=branch,
            prefix=prefix,
            mode=mode,
            message=message,
            metadata=metadata or {},
            partitions=partitions,
            beside=beside,
        ).checked(self._name)
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        with ExitStack() as owned:
            with self._operation(branch, spec.prefix):
                head = self._refs.branch(branch)
                own = owned.enter_context(self._scratch.folder())
                place = own / "data"
                places = {path: own / f"beside-{number}" for number, path in enumerate(spec.beside)}
                for path in (place, *places.values()):
                    path.mkdir()
            write = Write(
                f"file://{place}",
                LocalFileSystem(),
                str(place),
                str(head.id),
                {path: str(at) for path, at in places.items()},
                dict(spec.metadata),
            )
            with (
                not_removed(own, self._name, branch, spec.prefix),
                disk_full_translated(self._name, branch, spec.prefix),
            ):
                yield write
            with self._operation(branch, spec.prefix):
                began = {target: self._commits.node(head, target) for target in (*spec.targets, *spec.beside)}
                files = collect(place, spec.prefix, spec.partitions, self._name)
                for path, at in places.items():
                    files |= collect(at, path, None, self._name)
                pointers = self._take_in(files, branch, spec.prefix)
                written = {path: self._trees.write_file(pointer.render()) for path, pointer in pointers.items()}
                held = self._files_in(head, spec.beside) | written
                gone = {path for path in write.removed if spec.updates(path)}
                staged = self._trees.graft(None, {path: node for path, node in held.items() if path not in gone})
                successor = self._writing(spec, began, staged, write.metadata)

                def with_data(head: GitCommit) -> GitCommit | None:
                    self._objects.keep(files, pointers)
                    return successor(head)

                made = describe(self._refs.advance(branch, with_data))
                write.ended(made.id, lambda: made)

    def _files_in(self, commit: GitCommit, folders: Sequence[str]) -> dict[str, Node]:
        held: dict[str, Node] = {}
        for folder in folders:
            found = self._commits.node(commit, folder)
            if found is not None and not found.is_folder:
                reason = "there is a file where this write needs a folder: choose another one"
                raise WriteRefused(reason, repository=self._name, path=folder)
            held.update(self._trees.files(found, folder))
        return held

    def _take_in(self, files: Mapping[str, Path], branch: str, folder: str) -> dict[str, Pointer]:
        try:
            return self._objects.put_all(files)
        except FileChangedError as error:
            reason = f"{error} was changed while it was committed: close every file before the write ends"
            raise WriteRefused(reason, repository=self._name, ref=branch, path=folder) from error

    def _writing(
        self, spec: WriteSpec, began: Mapping[str, Node | None], staged: Node | None, metadata: Mapping[str, str]
    ) -> Callable[[GitCommit], GitCommit | None]:
        """Return a function that makes a new commit from a branch's head, with the targets replaced by staged files.

        When files are appended, the targets also keep theirs.
        """
        step = CommitStep(
            message=trailers.clean_message(spec.message) or f"Write {spec.prefix}",
            metadata=metadata,
        )
        added_to = spec.targets if spec.appends else []

        def successor(head: GitCommit) -> GitCommit | None:
            grafts: dict[str, Node | None] = {}
            for target, before in began.items():
                grafts[target] = self._trees.find(staged, target)
                if self._commits.node(head, target) != before:
                    reason = "changed on the branch since this write began; nothing was committed: run it again"
                    raise WriteConflict(reason, repository=self._name, ref=spec.branch, path=target)
                if target in added_to:
                    grafts[target], taken = self._trees.merge(None, before, grafts[target], target)
                    if taken:
                        reason = f"append cannot replace files, and {len(taken)} exist already: choose other names"
                        raise WriteRefused(reason, repository=self._name, ref=spec.branch, path=min(taken))
            root = self._commits.root(head)
            try:
                after = self._trees.graft(root, grafts)
            except FileInTheWayError as error:
                reason = "there is a file where this write needs a folder: choose another prefix"
                raise WriteRefused(reason, repository=self._name, ref=spec.branch, path=min(grafts)) from error
            if after == root:
                return None
            replaces = [target for target in began if target not in added_to]
            return self._commits.make(after, [head], step, replaces)

        return successor

    @property
    def shared(self) -> bool:
        """False: it is for one machine."""
        return False

    def aside(self, ref: str) -> NoReturn:
        """Raise :class:`NotSupported`: engines write into local folders here."""
        reason = "an embedded lake has no place to which machines could write directly: use lakeFS, or a folder"
        raise NotSupported(reason, repository=self.repository, ref=ref)

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
        """Graft entries of another commit's tree; see :meth:`Lake.restore`."""
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        text = trailers.clean_message(message) or f"Restore {source}"
        step = CommitStep(message=text, metadata=metadata or {})

        def successor(head: GitCommit) -> GitCommit | None:
            self._refuse_unsound(origin, files, sound)
            root = self._commits.root(head)
            # A file may stand where a folder stood, so everything is removed first.
            after = self._trees.graft(self._trees.graft(root, dict.fromkeys(paths)), _without_none(restored))
            return None if after == root else self._commits.make(after, [head], step, replaces)

        with self._operation(branch, ""):
            origin = self._refs.resolve(source)
            files = {path: self._content.file(origin, path) for path in paths}
            restored = {path: file.node if file is not None else None for path, file in files.items()}
            sound = self._sound(files)
            return describe(self._refs.advance(branch, successor))

    def _sound(self, files: Mapping[str, File | None]) -> set[Pointer]:
        """Hash the objects of files that come back from an older commit, and return the pointers of sound ones.

        That takes time, so it comes before the lock of refs.
        """
        pointers = {file.pointer for file in files.values() if file is not None and file.pointer is not None}
        faults = in_parallel(lambda pointer: (pointer, self._objects.fault(pointer)), pointers)
        return {pointer for pointer, fault in faults if fault is None}

    def _refuse_unsound(self, commit: GitCommit, files: Mapping[str, File | None], sound: Collection[Pointer]) -> None:
        for path, file in files.items():
            pointer = file.pointer if file is not None else None
            if pointer is not None and not (pointer in sound and self._objects.holds(pointer)):
                raise self._gone(pointer, str(commit.id), path)

    def merge(
        self,
        source: str,
        into: str,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        audit: Audit | Override | None = None,
    ) -> Commit:
        """Merge a ref into a branch; see :meth:`Lake.merge`.

        Files are merged by path, never line by line. A folder that ``source`` overwrote and that ``into`` changed is a
        conflict even if no single path is, because the merge would mix two sets of files.
        """

        def successor(head: GitCommit) -> GitCommit | None:
            # Under the lock, so that its objects are not collected meanwhile.
            theirs = self._refs.resolve(source)
            bases = merge_bases(head, theirs, self._git_objects.commit)
            base = bases[0] if bases else None
            if base is not None and base.id == theirs.id:
                return None
            root, conflicts = self._three_way(base, head, theirs, self._commits.replaced(head, theirs))
            if conflicts:
                reason = "both sides changed the same paths since their merge base; write them again on a new branch"
                raise MergeConflict(reason, repository=self._name, ref=f"{source} into {into}", paths=conflicts)
            refuse_brought_back(self._brought_back(bases, head, theirs), self._name, f"{source} into {into}")
            if isinstance(audit, Audit):
                self._refuse_unaudited(audit, head, root, theirs, f"{source} into {into}")
            text = trailers.clean_message(message) or f"Merge {source} into {into}"
            return self._commits.make(root, [head, theirs], CommitStep(message=text, metadata=with_audit))

        with_audit = recorded(into, self._is_protected(into), metadata, audit, self._name)
        with self._operation(into):
            return describe(self._refs.advance(into, successor))

    def _refuse_unaudited(self, audit: Audit, head: GitCommit, root: Node | None, theirs: GitCommit, ref: str) -> None:
        """Raise if a merge would change paths that its audit does not cover, or combine them with other changes."""
        if str(theirs.id) != audit.source:
            reason = f"the audit is of commit {audit.source}, not of {theirs.id}"
            raise Unaudited(reason, repository=self._name, ref=ref)
        changed = [path for path, _, _ in self._trees.differences(self._commits.root(head), root)]
        places = {path: audit.place_of(path) for path in changed}
        mixed = {
            place
            for place in {place for place in places.values() if place is not None}
            for folder in (place, names.beside(place))
            if self._trees.find(root, folder) != self._trees.find(self._commits.root(theirs), folder)
        }
        refuse_uncovered([path for path, place in places.items() if place is None], self._name, ref)
        refuse_mixed([path for path, place in places.items() if place in mixed], self._name, ref)

    def _three_way(
        self, base: GitCommit | None, ours: GitCommit, theirs: GitCommit, replaced: Collection[str]
    ) -> tuple[Node | None, tuple[str, ...]]:
        """Return the merged tree and the conflicts. In ``replaced`` folders any change of both sides is a conflict."""
        sides = self._commits.root(base) if base else None, self._commits.root(ours), self._commits.root(theirs)
        root, paths = self._trees.merge(*sides)
        conflicts = set(paths)
        for folder in replaced:
            before, mine, other = (self._trees.find(side, folder) for side in sides)
            if mine not in (before, other) and other != before:
                conflicts.update(path for path, _, _ in self._trees.differences(mine, other, folder))
        return root, tuple(conflicts)

    def _brought_back(self, bases: Sequence[GitCommit], ours: GitCommit, theirs: GitCommit) -> set[str]:
        """Return the paths that another merge base changed, and that one side alone changed since the first one."""
        found: set[str] = set()
        for another in bases[1:]:
            began = merge_bases(bases[0], another, self._git_objects.commit)
            base, mine, other, *older = (self._commits.root(one) for one in (bases[0], ours, theirs, *began))
            for path, before, there in self._trees.differences(base, self._commits.root(another)):
                # What the first one alone changed is compared with the right state.
                if all(self._trees.find(root, path) == there for root in older):
                    continue
                if (self._trees.find(mine, path) == before) != (self._trees.find(other, path) == before):
                    found.add(path)
        return found

    def note(self, branch: str, message: str, metadata: Mapping[str, str]) -> Commit:
        """Make a commit that changes no file; see :meth:`Lake.note`."""
        names.refuse_protected(self._is_protected(branch), branch, self._name)
        step = CommitStep(message=trailers.clean_message(message), metadata=metadata)
        with self._operation(branch):
            made = self._refs.advance(branch, lambda head: self._commits.make(self._commits.root(head), [head], step))
            return describe(made)

    def revert(self, commit: str, branch: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """Undo a commit on a branch; see :meth:`Lake.revert`. If nothing is left to undo, the head is returned."""
        names.refuse_protected(self._is_protected(branch), branch, self._name)

        def successor(head: GitCommit) -> GitCommit | None:
            replaced = sorted(self._commits.replaced(before, undone))
            root, conflicts = self._three_way(undone, head, before, replaced)
            if conflicts:
                reason = "later commits changed the same paths: revert those first"
                raise MergeConflict(reason, repository=self._name, ref=f"{commit} on {branch}", paths=conflicts)
            if root == self._commits.root(head):
                return None
            back = self._changed_files(self._commits.root(head), root)
            self._refuse_unsound(before, back, sound)
            text = trailers.clean_message(message) or f"Revert {str(undone.id)[:12]}"
            return self._commits.make(root, [head], CommitStep(message=text, metadata=metadata or {}), replaced)

        with self._operation(branch):
            undone = self._refs.resolve(commit)
            before = self._git_objects.commit(undone.parent_ids[0]) if undone.parent_ids else undone
            sound = self._sound(self._changed_files(self._commits.root(undone), self._commits.root(before)))
            return describe(self._refs.advance(branch, successor))

    def _changed_files(self, left: Node | None, right: Node | None) -> dict[str, File]:
        """Return the files of the right side that differ on the left, by their paths."""
        changed = self._trees.differences(left, right)
        return {path: self._content.at(path, node) for path, _, node in changed if node is not None}

    # Maintenance

    def verify(self, ref: str, prefix: str = "") -> Iterator[str]:
        """Hash every object under a prefix again; see :meth:`Lake.verify`."""
        folder = names.check_path(prefix, self._name)
        try:
            with self._operation(ref, folder):
                for file in self._content.files(self._refs.resolve(ref), folder):
                    if fault := self._fault(file):
                        yield f"{file.path}: {fault}"
        except DataCorrupted as error:
            yield str(error)

    def check(self, commit: str, item: LakeObject) -> Checked:
        """Hash one object again; see :meth:`Lake.check`."""
        try:
            with self._operation(commit, item.path):
                (file,) = self._content.files(self._refs.resolve(commit), item.path)
                fault = self._fault(file) or ""
                if fault and file.pointer is not None and not self._objects.exists(file.pointer):
                    return Checked(False, f"cannot be read: {fault}")
                return Checked(file.pointer is not None, fault)
        except LakeError as error:
            return Checked(False, error.reason)

    def _fault(self, file: File) -> str | None:
        pointer = file.pointer
        if pointer is None:
            return file.foreign
        if (fault := self._objects.fault(pointer)) is None or self._objects.exists(pointer):
            return fault
        when = self._expired.when(pointer.sha256)
        return fault if when is None else f"its data expired at {when}"

    def stale(self) -> tuple[tuple[Path, int], ...]:
        """Return the folders that :meth:`clean` would remove, with the bytes that this frees.

        Those are the folders of killed writers, and snapshots that no running reader uses.
        """
        with self._operation():
            paths = [*self._scratch.abandoned(), *self._snapshots.unused()]
            return tuple((path, housekeeping.freed_by_removing(path)) for path in paths)

    def caches(self) -> tuple[Cache, ...]:
        """Return the snapshots, and the folders of writes in progress."""
        stale = self.stale()
        found: list[Cache] = []
        for folder in ("snapshots", "staging"):
            unused = {path.name: size for path, size in stale if path.parent.name == folder}
            in_use = sum(path.name not in unused for path in (self._home / folder).glob("[!.]*"))
            found.append(Cache(folder, len(unused), sum(unused.values()), in_use))
        return tuple(cache for cache in found if cache.unused or cache.in_use)

    def clean(self) -> None:
        """Remove the folders that :meth:`stale` returns. Committed data stay."""
        with self._operation():
            self._scratch.sweep()
            self._snapshots.clean()

    def garbage(self, grace: timedelta) -> tuple[Removable, ...]:
        """Return what :meth:`collect_garbage` would remove now; see :meth:`Lake.garbage`."""
        with self._operation():
            return self._collector.find(grace)

    def collect_garbage(self, grace: timedelta) -> tuple[Removable, ...]:
        """Pack Git objects and remove unreachable ones; see :meth:`Lake.collect_garbage`."""
        with self._operation():
            self._scratch.sweep()
            self._snapshots.clean()
            return self._collector.collect(grace)

    def expire(
        self,
        before: datetime,
        keep: Sequence[str] = (),
        from_commits: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        *,
        yes: bool = False,
    ) -> Removable:
        """Find the data objects that only old commits hold, and remove them if ``yes``; see :meth:`Lake.expire`.

        Raises
        ------
        PathNotFound
            No commit has ever had data in one of the ``prefixes``. Nothing was removed.
        """
        with self._operation():
            expiry = Expiry(
                git_objects=self._git_objects,
                objects=self._objects,
                commits=self._commits,
                refs=self._refs,
                collector=self._collector,
                record=self._expired,
            )
            folders = [names.check_path(prefix, self._name) for prefix in prefixes]
            if yes:
                self._snapshots.clean()
            kept, sinks = ([self._refs.resolve(ref) for ref in refs] for refs in (keep, from_commits))
            try:
                return expiry.run(before, kept, sinks, folders, yes)
            except UnknownPrefixError as error:
                reason = "no commit has ever had data there, so nothing was removed: see `lake-assets ls`"
                raise PathNotFound(reason, repository=self._name, path=str(error)) from error

    def leftovers(self) -> str:
        """Describe the folders that :meth:`stale` returns. Empty if there are none."""
        stale = self.stale()
        return (
            f"{len(stale)} unused snapshot(s) or folder(s), {sum(size for _, size in stale):,} bytes" if stale else ""
        )

    def unprotected(self) -> tuple[str, ...]:
        """Return an empty tuple: Git on local disk has no rules of its own."""
        return ()

    def protect_again(self) -> None:
        """Do nothing: Git on local disk has no rules of its own."""

    def drop_changes(self, branch: str) -> None:
        """Do nothing: a branch has no uncommitted changes here."""

    def backup(self, target: Path, *, link: bool = True, check: bool = False, replace: bool = False) -> Copied:
        """Bring a copy of this lake up to date; see :meth:`Lake.backup`. The copy is a lake in ``target``, too."""
        with self._operation():
            return back_up(self._home, target, link=link, check=check, replace=replace)

    def close(self) -> None:
        """Release the snapshots that :meth:`path` returned."""
        self._snapshots.close()

    # Helpers

    @contextmanager
    def _operation(self, ref: str = "", path: str = "") -> Generator[None]:
        """Yield with objects as they are on the disk now: a pack may have been cut off since the last operation."""
        with self._translated(ref, path):
            self._git_objects.refresh()
            yield

    @contextmanager
    def _translated(self, ref: str = "", path: str = "") -> Generator[None]:
        with translated(self._name, ref, path):
            try:
                yield
            except ObjectMissingError as error:
                raise self._git_damage(str(error), ref, path) from error
            except (KeyError, pygit2.GitError) as error:
                # libgit2 says no more of a missing object than its id, and of a damaged one begins with it.
                found = str(error.args[0])[:40]
                if not names.is_commit_id(found) or by_system(error):
                    raise
                raise self._git_damage(found, ref, path) from error

    def _git_damage(self, name: str, ref: str, path: str) -> DataCorrupted:
        reason = f"Git object {name} is missing or damaged: {REPAIR}"
        return DataCorrupted(reason, repository=self._name, ref=ref, path=path)


def _without_none(nodes: Mapping[str, Node | None]) -> dict[str, Node | None]:
    return {path: node for path, node in nodes.items() if node is not None}
