"""The lake contract: the interface of a versioned store, independent of its backend.

Every backend implements :class:`Lake` and passes the contract suite in ``lake_assets_tests/lake``.
This folder does not know Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

    from lake_assets.lake.audit import Audit, Override

MAIN = "main"
"""The protected branch: only a merge changes it."""

WriteMode = Literal["overwrite", "append"]


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: an immutable state of the lake, with its message and metadata.

    Parameters
    ----------
    id
        The backend's commit id. It never changes.
    parents
        Ids of the parent commits. A merge has two; the first is that of the branch merged into.
    message
        First line and body, without the metadata.
    metadata
        ``str -> str``, as given to ``write``, ``merge`` or ``revert``.
    committed_at
        Aware UTC time, to the second.
    """

    id: str
    parents: tuple[str, ...]
    message: str
    metadata: Mapping[str, str]
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class PrivateBranch:
    """A temporary branch that one write or merge uses internally.

    Parameters
    ----------
    works_for
        The branch that the write or merge will change.
    since
        When it was created, in UTC.
    """

    works_for: str
    since: datetime


@dataclass(frozen=True, slots=True)
class LakeObject:
    """One data file of a snapshot.

    Parameters
    ----------
    path
        Path in the lake.
    size
        Size in bytes.
    checksum
        Checksum, with the name of its algorithm.
    physical_address
        URI of the stored bytes.
    """

    path: str
    size: int
    checksum: str
    physical_address: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a stored file back has shown.

    Parameters
    ----------
    hashed
        Whether its bytes were hashed and compared with the recorded checksum. Otherwise only their number was.
    fault
        What is wrong with it. Empty if nothing.
    """

    hashed: bool
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Diff:
    """Paths that differ between two refs.

    Parameters
    ----------
    added, removed, changed
        The paths by kind of difference, each sorted.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that differs, sorted."""
        return tuple(sorted((*self.added, *self.removed, *self.changed)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A read-only view of a prefix, pinned to one commit. Its content never changes.

    Parameters
    ----------
    commit
        Id of the commit it is pinned to.
    prefix
        The folder (or single file) in the lake.
    uri
        URI for Spark and DuckDB, such as ``file:///…`` or ``s3a://repository/commit/prefix``.
    filesystem, root
        File system and path for PyArrow and pandas: ``pyarrow.parquet.read_table(root, filesystem=filesystem)``.
    """

    commit: str
    prefix: str
    uri: str
    filesystem: FileSystem
    root: str


@dataclass(slots=True)
class Write:
    """A writable folder that becomes one commit when its context ends without an exception.

    Parameters
    ----------
    uri
        An existing empty folder, for Spark: ``frame.write.mode("append").parquet(write.uri)``.
    filesystem, root
        The same folder, for PyArrow and pandas.
    base
        Id of the branch's head when the write began.
    beside
        Each further folder that the write updates, to its path on ``filesystem``.
    removed
        Paths in those further folders that the commit removes.
    metadata
        Commit metadata. Entries may be added until the context ends, since row counts are known only after writing.
    commit_id
        Set when the context has ended: the id of the new commit, or of the branch's head if nothing changed.
    """

    uri: str
    filesystem: FileSystem
    root: str
    base: str
    beside: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    removed: set[str] = field(default_factory=set[str])
    commit_id: str = ""
    _commit: Callable[[], Commit] | None = None

    @property
    def commit(self) -> Commit | None:
        """The commit of :attr:`commit_id`, which may need a call to the server. None until the write has ended."""
        return self._commit() if self._commit is not None else None

    def ended(self, commit_id: str, commit: Callable[[], Commit]) -> None:
        """Set the resulting commit. Only the lake that opened the write calls this.

        Parameters
        ----------
        commit_id
            Id of the commit.
        commit
            Called for the commit itself, when it is asked for.
        """
        self.commit_id, self._commit = commit_id, commit

    def place(self, path: str) -> str:
        """Return the path on ``filesystem`` for a path of the lake.

        Parameters
        ----------
        path
            A path in one of the folders of :attr:`beside`.
        """
        folder = next(folder for folder in self.beside if path.startswith(f"{folder}/"))
        return self.beside[folder] + path[len(folder) :]


@dataclass(frozen=True, slots=True)
class Aside:
    """A private copy of a commit, on which engines write. Nothing of it is committed but what a write takes.

    Parameters
    ----------
    ref
        Name of the copy, for :meth:`Lake.list`.
    uri
        The folder of the whole copy, for Spark.
    filesystem, root
        The same folder, for PyArrow.
    """

    ref: str
    uri: str
    filesystem: FileSystem
    root: str
    _take: Callable[[Write, Mapping[str, str]], None]

    def give(self, write: Write, paths: Mapping[str, str]) -> None:
        """Add files to a write. No byte is copied, and what becomes of the files later does not matter.

        Parameters
        ----------
        write
            The write.
        paths
            Path in this copy to the path in the lake, in a folder that the write may change.

        Raises
        ------
        PathNotFound
            A file is not there.
        """
        self._take(write, paths)


@dataclass(frozen=True, slots=True)
class Cache:
    """Temporary folders of one kind that a store keeps: copies for readers, or writes in progress.

    Parameters
    ----------
    kind
        Name of their parent folder.
    unused
        Number of folders that no running process uses.
    frees
        Bytes that are freed by removing the unused ones.
    in_use
        Number of folders that a running process uses.
    """

    kind: str
    unused: int
    frees: int
    in_use: int


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """A server's retention rule.

    Parameters
    ----------
    days
        Days for which the server keeps data that only old commits hold.
    job
        URL of the page that describes the server's own garbage collection job.
    """

    days: int
    job: str


@dataclass(frozen=True, slots=True)
class Holder:
    """What needs old data: a branch, a tag or the like, and the id of the commit that it needs."""

    what: str
    commit: str


@dataclass(frozen=True, slots=True)
class Removable:
    """Data of one kind that may be removed.

    Parameters
    ----------
    kind
        Description of the kind.
    count
        Number of them.
    frees
        Bytes on disk that are freed by removing them.
    rule
        The retention rule, if the store's own job removes the data. Then ``count`` and ``frees`` are 0.
    held_by
        If nothing may be removed: what needs data that ``main``'s head does not hold, the oldest commit first.
    """

    kind: str
    count: int
    frees: int
    rule: RetentionRule | None = None
    held_by: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup or restore of a lake copied.

    Parameters
    ----------
    main
        Id of the commit that ``main`` has in the copy.
    copied, linked
        Number of data files whose bytes were copied, and of those that are hard links to the same bytes.
    size
        Size of both in bytes.
    missing
        The files whose data the origin lacks or holds damaged, and the copy lacks, too.
    """

    main: str
    copied: int
    linked: int
    size: int
    missing: tuple[str, ...]


class Lake(Protocol):
    """A versioned lake. ``ref`` is a branch, a tag or a commit id; ``prefix`` a folder such as ``stocks/parquet``.

    Every error is a :class:`~lake_assets.lake.errors.LakeError` that names repository, ref and path.
    """

    @property
    def repository(self) -> str:
        """Name of this lake in errors and metadata. It never contains credentials."""
        ...

    @property
    def folders(self) -> tuple[Path, ...]:
        """The local folders that this lake is stored in. Empty if it is on a server."""
        ...

    @property
    def format(self) -> int:
        """Number of the lake's format. See :mod:`lake_assets.lake.format`."""
        ...

    def set_format(self, number: int) -> None:
        """Record the lake's format.

        Parameters
        ----------
        number
            Number of the format.
        """
        ...

    def branches(self) -> tuple[str, ...]:
        """Return the names of all branches except private ones, sorted."""
        ...

    def private_branches(self) -> Mapping[str, PrivateBranch]:
        """Return, by name, the private branches of writes and merges that are in progress or were killed."""
        ...

    def protected_branches(self) -> tuple[str, ...]:
        """Return the names of the branches that only a merge changes, sorted: ``main`` and the working branches."""
        ...

    def create_branch(self, name: str, source: str, *, protected: bool = False) -> Commit:
        """Create a branch at ``source``'s commit. No data are copied.

        Parameters
        ----------
        name
            Name of the new branch.
        source
            The ref that it starts at.
        protected
            Make a working branch. As with ``main``, only a merge changes it, and each merge needs an audit.

        Raises
        ------
        AlreadyExists
            A branch of that name exists, at any commit. For a working branch: also a tag.
        InvalidName
            No branch may have this name, or, for a working branch, it is the name of a temporary branch.
        RefNotFound
            ``source`` is not a branch, tag or commit.
        """
        ...

    def delete_branch(self, name: str) -> None:
        """Delete a branch.

        Its commits stay readable by id as long as another ref reaches them. Otherwise they stay until garbage
        collection (`lake-assets gc`), which keeps them for at least GC_GRACE_DAYS, or until lakeFS's own job.

        Parameters
        ----------
        name
            Name of the branch.

        Raises
        ------
        ProtectedBranch
            The branch is ``main``.
        """
        ...

    def head(self, ref: str) -> Commit:
        """Return the commit of a ref.

        Parameters
        ----------
        ref
            A branch, a tag or a commit id.
        """
        ...

    def log(self, ref: str, limit: int | None = None, prefix: str | None = None) -> Iterator[Commit]:
        """Yield the commits that are reachable from a ref, newest first.

        Parameters
        ----------
        ref
            The ref to start at.
        limit
            Maximal number of commits. None for all.
        prefix
            Yield only commits that changed this folder or file.
        """
        ...

    def first_parents(self, ref: str, prefix: str | None = None) -> Iterator[Commit]:
        """Yield the first-parent history of a ref, newest first: no commits of branches that were merged into it.

        Parameters
        ----------
        ref
            The ref to start at.
        prefix
            Yield only commits that changed this folder or file.
        """
        ...

    def unreached(self, refs: Sequence[str], commits: Iterable[str]) -> tuple[str, ...]:
        """Return the commits that are not reachable from any of the refs, sorted.

        Parameters
        ----------
        refs
            The refs.
        commits
            Ids of the commits to look for.
        """
        ...

    def incoming(self, source: str, into: str) -> tuple[str, ...]:
        """Return the paths that a merge would change, sorted.

        Those are the paths that ``source`` changed since the merge base and that differ in ``into``.

        Parameters
        ----------
        source
            The ref that would be merged.
        into
            The branch that would be merged into.
        """
        ...

    def tag(self, name: str, ref: str) -> Commit:
        """Tag a commit. Tagging the same commit again does nothing.

        Parameters
        ----------
        name
            Name of the tag.
        ref
            The ref whose commit is tagged.

        Raises
        ------
        AlreadyExists
            The tag exists at another commit, since a tag never moves; or a working branch has this name.
        """
        ...

    def tags(self) -> Mapping[str, str]:
        """Return the commit id of each tag, by name."""
        ...

    def list(self, ref: str, prefix: str = "", after: str = "") -> Iterator[LakeObject]:
        """Yield the objects under a prefix, sorted by path.

        Parameters
        ----------
        ref
            The ref to read.
        prefix
            A folder or a file. It matches whole folder names only.
        after
            Yield only paths that sort after this one. Earlier ones are not read.
        """
        ...

    def fingerprint(self, ref: str, prefix: str) -> str | None:
        """Return a digest of the exact files under a prefix, or None if there are none. No file is read.

        Parameters
        ----------
        ref
            The ref to look at.
        prefix
            A folder or a file.
        """
        ...

    def path(self, ref: str, prefix: str) -> Snapshot:
        """Return a snapshot for Spark, pandas, PyArrow and DuckDB, pinned to the ref's current commit.

        It stays readable as long as this lake object is open, even if the branch is deleted meanwhile.

        Parameters
        ----------
        ref
            The ref to read.
        prefix
            A folder or a file.

        Raises
        ------
        PathNotFound
            The commit holds nothing under ``prefix``.
        """
        ...

    def open_file(self, ref: str, path: str) -> NativeFile:
        """Open one file for reading. Nothing is copied or cached, so any number of files may be read in turn.

        Parameters
        ----------
        ref
            The ref to read.
        path
            Path of the file in the lake.

        Raises
        ------
        PathNotFound
            The commit holds no file at ``path``.
        """
        ...

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
    ) -> AbstractContextManager[Write]:
        """Open a writable folder. It becomes one commit at the end; after an exception the branch is unchanged.

        Readers never see a part of a write. Spark's marker files (``_SUCCESS``, ``.crc``, empty folder markers) are
        dropped. An unfinished Spark write (``_temporary``, ``__magic``) is refused. A write that changes no file
        makes no commit. Concurrent writes of disjoint prefixes on one branch all succeed.

        Parameters
        ----------
        branch
            The branch to commit to.
        prefix
            The folder to write.
        mode
            ``overwrite`` replaces everything under ``prefix``. ``append`` adds files and refuses to replace one.
        message
            Commit message.
        metadata
            Commit metadata.
        partitions
            Folders below ``prefix``, such as ``day=2017-07-28/hour=08``. Only these are replaced or extended, and a
            file outside of them is refused. When no partitions are given, the whole prefix is written.
        beside
            Further folders that the same commit updates. None of them may contain ``prefix`` or another one, or lie
            in it. Their files stay, except those that are written again (:attr:`Write.beside`) or listed in
            :attr:`Write.removed`.

        Raises
        ------
        ProtectedBranch
            ``branch`` is ``main``, or a working branch.
        InvalidName
            One of the folders that are written lies in another.
        WriteConflict
            Another commit changed one of the folders since the write began. Raised at the end of the context.
        """
        ...

    @property
    def shared(self) -> bool:
        """Whether several machines write to it, so that it has :meth:`aside`."""
        ...

    def aside(self, ref: str) -> AbstractContextManager[Aside]:
        """Open a private copy of a commit, which is removed at the end.

        Parameters
        ----------
        ref
            The ref whose commit is copied. No byte is.

        Raises
        ------
        NotSupported
            Engines cannot write to the lake directly.
        """
        ...

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
        """Make files as they are at another commit, and remove those that it does not hold, as one commit.

        No byte is copied. The paths are taken exactly, also those that no write could make.

        Parameters
        ----------
        branch
            The branch to commit to.
        source
            The ref whose files are restored.
        paths
            Their paths.
        replaces
            The folders that count as overwritten. A merge with other changes of them is a conflict.
        message
            Commit message.
        metadata
            Commit metadata.

        Raises
        ------
        Expired, DataCorrupted, LakeUnavailable
            The data of a file do not exist any longer.
        """
        ...

    def changes(self, branch: str) -> tuple[str, ...]:
        """Return the uncommitted paths of a branch (lakeFS staging). Always empty in the embedded lake.

        Parameters
        ----------
        branch
            The branch.
        """
        ...

    def diff(self, left: str, right: str, prefix: str = "") -> Diff:
        """Compare the content of two refs: ``added`` is only in ``right``, ``removed`` is only in ``left``.

        Parameters
        ----------
        left, right
            The two refs.
        prefix
            Compare only this folder or file.
        """
        ...

    def merge(
        self,
        source: str,
        into: str,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        audit: Audit | Override | None = None,
    ) -> Commit:
        """Merge a ref into a branch, atomically, and return the branch's new head.

        If the branch already contains the ref, nothing is written. A merge always makes a merge commit, never a
        fast-forward, so that its metadata are kept.

        Parameters
        ----------
        source
            The ref to merge.
        into
            The branch to merge into.
        message
            Commit message.
        metadata
            Commit metadata.
        audit
            Required for ``main`` and for a working branch: every changed path must be covered by the audit and be in
            the audited state. An override alone covers all of ``source``. The merge commit records it
            (:mod:`lake_assets.lake.audit`).

        Raises
        ------
        Unaudited
            ``into`` is protected, and there is no audit, or it does not cover all changes.
        MergeConflict
            Both sides changed the same path since the merge base, or ``source`` overwrote a folder (a prefix or a
            partition) that ``into`` changed. In the second case a merge by path would mix two sets of files, since
            engines choose random file names. Or there are several common ancestors, and the merge would bring back
            what one side undid (:mod:`lake_assets.lake.ancestors`). The error lists the paths, and ``into`` is
            unchanged.
        """
        ...

    def note(self, branch: str, message: str, metadata: Mapping[str, str]) -> Commit:
        """Make a commit that changes no file, so that its metadata stand on a branch.

        Parameters
        ----------
        branch
            The branch to commit to.
        message
            Commit message.
        metadata
            Commit metadata.

        Raises
        ------
        ProtectedBranch
            The branch is ``main``, or a working branch.
        """
        ...

    def revert(self, commit: str, branch: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """Undo the changes of a commit, as a new commit on a branch. A merge is undone against its first parent.

        Parameters
        ----------
        commit
            The commit to undo.
        branch
            The branch to commit to.
        message
            Commit message.
        metadata
            Commit metadata.

        Raises
        ------
        ProtectedBranch
            The branch is ``main``, or a working branch: revert on another branch and merge that.
        MergeConflict
            A later commit changed the same path, or a folder that ``commit`` overwrote.
        """
        ...

    # Maintenance

    def verify(self, ref: str, prefix: str = "") -> Iterator[str]:
        """Check the stored bytes of every file under a prefix, and yield one line for each damaged or missing file.

        Parameters
        ----------
        ref
            The ref to check.
        prefix
            Check only this folder or file.
        """
        ...

    def check(self, commit: str, item: LakeObject) -> Checked:
        """Read one stored file whole, and compare it with what is recorded. Several threads may do that at once.

        Parameters
        ----------
        commit
            Id of the commit.
        item
            The file, as :meth:`list` yields it.
        """
        ...

    def leftovers(self) -> str:
        """Describe in one line what finished or killed processes left behind. Empty if there is nothing."""
        ...

    def caches(self) -> tuple[Cache, ...]:
        """Return the lake's temporary folders, by kind. Empty if there are none."""
        ...

    def clean(self) -> None:
        """Remove the folders of :meth:`caches` that no running process uses. Committed data stay."""
        ...

    def unprotected(self) -> tuple[str, ...]:
        """Return the protected branches that other programs can change, because the store's own rule was removed.

        Always empty in the embedded lake.
        """
        ...

    def protect_again(self) -> None:
        """Restore the store's own rules for the branches of :meth:`unprotected`."""
        ...

    def drop_changes(self, branch: str) -> None:
        """Drop the uncommitted changes of a branch; see :meth:`changes`.

        Parameters
        ----------
        branch
            The branch.
        """
        ...

    def garbage(self, grace: timedelta) -> tuple[Removable, ...]:
        """Return what :meth:`collect_garbage` would remove now.

        Parameters
        ----------
        grace
            Data that were needed within this time stay.

        Raises
        ------
        NotSupported
            The store's own job collects its garbage.
        """
        ...

    def collect_garbage(self, grace: timedelta) -> tuple[Removable, ...]:
        """Remove data that no branch, tag or reader has needed for the grace time, and return what was removed.

        The data of a deleted branch stay for that time, readable by the ids of its commits. Writers and readers may
        run at the same time.

        Parameters
        ----------
        grace
            The grace time.

        Raises
        ------
        NotSupported
            The store's own job collects its garbage.
        """
        ...

    def expire(
        self,
        before: datetime,
        keep: Sequence[str] = (),
        from_commits: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        *,
        yes: bool = False,
    ) -> Removable:
        """Find the data that only old commits hold, and remove them if ``yes``.

        The commits stay, with their ids and metadata. Reading removed data raises :class:`Expired`. The heads of
        branches, the commits at which branches began, and tags are kept. If the store's own job removes data, this
        sets its retention rule.

        Parameters
        ----------
        before
            Commits before this time are old. A time with a time zone.
        keep
            Further refs to keep.
        from_commits
            Commits that are kept together with everything newer, such as those that sinks reflect.
        prefixes
            Folders that are kept in all commits.
        yes
            Remove the data. Otherwise only report them.

        Raises
        ------
        NotSupported
            The store's own job cannot keep these refs or prefixes.
        """
        ...

    def backup(self, target: Path, *, link: bool = True, check: bool = False, replace: bool = False) -> Copied:
        """Bring a copy of this lake up to date: its branches and tags as they are at one moment, and all their data.

        Writers may run at the same time. A backup that is killed leaves the branches and tags of the earlier one.

        Parameters
        ----------
        target
            Folder of the copy, in which nobody writes. It is created if it is missing.
        link
            Add data files by hard link where the file system allows it.
        check
            Also hash what the copy holds of the newest commits, and replace what is damaged.
        replace
            Also replace a copy whose ``main`` this lake's ``main`` does not reach.

        Raises
        ------
        NotSupported
            The store has a backup of its own.
        AlreadyExists
            The copy has another history than this lake.
        """
        ...

    def close(self) -> None:
        """Release the snapshots that :meth:`path` returned."""
        ...
