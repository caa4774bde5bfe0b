"""The lake contract: one versioned store, whatever keeps it.

Every backend implements :class:`Lake` and passes the one contract suite in ``lake_assets_tests/lake``.
This folder knows nothing of Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

    from lake_assets.lake.audit import Audit, Override

MAIN = "main"
"""The protected branch: nothing but a merge moves it."""

WriteMode = Literal["overwrite", "append"]


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: what the lake held at one moment, and who made it so.

    Parameters
    ----------
    id
        The backend's commit id; stable for ever.
    parents
        Ids of the commits it follows; two for a merge, the branch merged into first.
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
    """A branch that one write or merge has for itself: the branch it works for, and when it began, in UTC."""

    works_for: str
    since: datetime


@dataclass(frozen=True, slots=True)
class LakeObject:
    """One data file of a snapshot: path in the lake, size in bytes, checksum, and where its bytes lie."""

    path: str
    size: int
    checksum: str
    physical_address: str


@dataclass(frozen=True, slots=True)
class Diff:
    """Paths that differ between two refs, each tuple sorted."""

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
    """A prefix as one commit holds it: what it holds never changes, and nothing may be written there.

    Parameters
    ----------
    commit
        Id of the commit it is pinned to.
    prefix
        The folder (or single file) in the lake.
    uri
        What Spark and DuckDB open, such as ``file:///…`` or ``s3a://repository/commit/prefix``.
    filesystem, root
        What PyArrow and pandas open: ``pyarrow.parquet.read_table(root, filesystem=filesystem)``.
    """

    commit: str
    prefix: str
    uri: str
    filesystem: FileSystem
    root: str


@dataclass(slots=True)
class Write:
    """A writable place that becomes one commit when its context ends normally.

    Parameters
    ----------
    uri
        An existing empty folder, for Spark: ``frame.write.mode("append").parquet(write.uri)``.
    filesystem, root
        The same folder, for PyArrow and pandas.
    base
        Id of the commit that the branch was at when the write began.
    beside
        The folders beside the prefix that are written, too, and for each where that is, for ``filesystem``.
    removed
        Paths in folders beside the prefix which the commit is not to hold any more.
    metadata
        Commit metadata; may be added to until the context ends, since row counts are known only after writing.
    commit_id
        Set when the context has ended normally: the id of the new commit, or of the head where nothing changed.
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
        """The commit of :attr:`commit_id`, which a server may have to be asked for; None until there is one."""
        return self._commit() if self._commit is not None else None

    def ended(self, commit_id: str, commit: Callable[[], Commit]) -> None:
        """Set what the write became; for the lake that opened it."""
        self.commit_id, self._commit = commit_id, commit

    def place(self, path: str) -> str:
        """Return where a path of the lake that lies in a folder beside the prefix is written."""
        folder = next(folder for folder in self.beside if path.startswith(f"{folder}/"))
        return self.beside[folder] + path[len(folder) :]


@dataclass(frozen=True, slots=True)
class Cache:
    """Folders of one kind that a store keeps beside its data: copies for readers, or writes under way.

    Parameters
    ----------
    kind
        Name of the folder that holds them.
    unused
        How many no live process uses.
    frees
        Bytes that removing those frees.
    in_use
        How many a live process uses.
    """

    kind: str
    unused: int
    frees: int
    in_use: int


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How many days a server keeps what only old commits hold, and the page that describes its own job."""

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
        What they are.
    count
        How many.
    frees
        Bytes on disk that removing them frees.
    rule
        The rule by which the store's own job removes them, which is then what counts them; None: this program does.
    held_by
        Where nothing may be removed, what needs data that ``main``'s head does not hold, the oldest commit first.
    """

    kind: str
    count: int
    frees: int
    rule: RetentionRule | None = None
    held_by: tuple[Holder, ...] = ()


class Lake(Protocol):
    """A versioned lake. ``ref`` is a branch, a tag or a commit id; ``prefix`` a folder such as ``stocks/parquet``.

    Every error is a :class:`~lake_assets.lake.errors.LakeError` that names repository, ref and path.
    """

    @property
    def repository(self) -> str:
        """What names this lake in errors and metadata; never holds credentials."""
        ...

    @property
    def format(self) -> int:
        """Number of the lake's format; see :mod:`lake_assets.lake.format`."""
        ...

    def set_format(self, number: int) -> None:
        """Record that the lake has this format now."""
        ...

    def branches(self) -> tuple[str, ...]:
        """Names of all branches but the private ones, sorted."""
        ...

    def private_branches(self) -> Mapping[str, PrivateBranch]:
        """Return the branches of writes and merges under way, or whose process was killed, by name."""
        ...

    def create_branch(self, name: str, source: str) -> Commit:
        """Make a branch at ``source``'s commit: metadata only, no byte is copied.

        Raises
        ------
        AlreadyExists
            A branch of that name is there already, wherever it points.
        RefNotFound
            ``source`` is no branch, tag or commit.
        """
        ...

    def delete_branch(self, name: str) -> None:
        """Remove a branch; ``main`` is refused (:class:`ProtectedBranch`).

        Its commits stay readable by id: for ever where another ref reaches them, else until garbage is collected
        (`lake-assets gc`), which leaves them the grace time GC_GRACE_DAYS; on lakeFS until its own job removes them.
        """
        ...

    def head(self, ref: str) -> Commit:
        """Return the commit that ``ref`` names."""
        ...

    def log(self, ref: str, limit: int | None = None, prefix: str | None = None) -> Iterator[Commit]:
        """Yield commits reachable from ``ref``, newest first; with ``prefix`` only those that changed it."""
        ...

    def first_parents(self, ref: str, prefix: str | None = None) -> Iterator[Commit]:
        """Yield what a branch itself was, newest first: no commit of a branch that was merged into it.

        With ``prefix`` only the commits that changed it.
        """
        ...

    def unreached(self, refs: Sequence[str], commits: Iterable[str]) -> tuple[str, ...]:
        """Return those of the commit ids that none of the refs reaches, sorted."""
        ...

    def incoming(self, source: str, into: str) -> tuple[str, ...]:
        """Return the paths that ``source`` changed since it and ``into`` parted, and that differ there, sorted."""
        ...

    def tag(self, name: str, ref: str) -> Commit:
        """Name ``ref``'s commit for ever. A tag never moves: another commit under it is :class:`AlreadyExists`."""
        ...

    def tags(self) -> Mapping[str, str]:
        """Return tag name to commit id."""
        ...

    def list(self, ref: str, prefix: str = "", after: str = "") -> Iterator[LakeObject]:
        """Yield the objects under ``prefix``, sorted by path. A prefix matches whole folder names, or one file.

        Only those whose path sorts behind ``after``: what comes before is not read.
        """
        ...

    def fingerprint(self, ref: str, prefix: str) -> str | None:
        """Return what names the exact files below ``prefix``, or None where there are none. No file is read."""
        ...

    def path(self, ref: str, prefix: str) -> Snapshot:
        """Return a place Spark, pandas/PyArrow and DuckDB can read, pinned to ``ref``'s commit now.

        It stays readable as long as this lake object is open, even where the branch is deleted meanwhile.

        Raises
        ------
        PathNotFound
            The commit holds nothing under ``prefix``.
        """
        ...

    def open_file(self, ref: str, path: str) -> NativeFile:
        """Open one file for reading; nothing is copied or kept, so any number of files may be read one by one.

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
        mode: WriteMode = "overwrite",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        partitions: Sequence[str] | None = None,
        beside: Sequence[str] = (),
    ) -> AbstractContextManager[Write]:
        """Open a writable place; leaving it normally makes one commit, by an exception leaves the branch as it was.

        ``overwrite`` replaces all that is under ``prefix``, or, with ``partitions`` (folders below ``prefix``, such
        as ``day=2017-07-28/hour=08``), just those folders; a file outside them is refused. ``append`` adds files and
        refuses to replace one. Spark's markers (``_SUCCESS``, ``.crc``, zero-byte folder markers) are dropped;
        an unfinished write (``_temporary``, ``__magic``) is refused. No reader ever sees part of it. A write that
        changes no file returns the branch's head and makes no commit. Writers of disjoint prefixes on one branch
        all land; a writer whose prefix changed under it since it began gets :class:`WriteConflict`.

        ``beside`` names folders of the lake, none at or in ``prefix`` or each other, that are updated in the same
        commit, whatever the mode: what stands there stays, but for files written there again
        (:attr:`Write.beside`) or named in :attr:`Write.removed`. Two writes of one of them conflict as those of a
        prefix do.

        Raises
        ------
        ProtectedBranch
            ``branch`` is ``main``.
        InvalidName
            A folder ``beside`` lies in another one that is written, or the other way round.
        """
        ...

    def changes(self, branch: str) -> tuple[str, ...]:
        """Return paths written but not yet committed (lakeFS staging); empty by construction when embedded."""
        ...

    def diff(self, left: str, right: str, prefix: str = "") -> Diff:
        """Compare what two refs hold now: ``added`` is in ``right`` only, ``removed`` in ``left`` only."""
        ...

    def merge(
        self,
        source: str,
        into: str,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        audit: Audit | Override | None = None,
    ) -> Commit:
        """Merge all of ``source`` into the branch ``into``, atomically, and return its new head.

        Where ``into`` holds all of ``source`` already, its head is returned and nothing is written. A merge
        always makes a merge commit (no fast-forward), so that ``metadata`` is kept.

        Into ``main`` goes only what an ``audit`` covers, in the very state that was audited; the merge commit records
        it (:mod:`lake_assets.lake.audit`). An override alone covers all of ``source``.

        Raises
        ------
        Unaudited
            ``into`` is ``main``, and there is no audit, or one that does not cover all that would change.
        MergeConflict
            Both sides changed the same path since they parted, or ``source`` overwrote a folder (a prefix or
            partition) that ``into`` changed: engines name their files at random, and two sets of them would
            mix unseen. Names the paths, and ``into`` is as before.
        """
        ...

    def revert(self, commit: str, branch: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """Undo on ``branch`` what ``commit`` changed (a merge: against its first parent), as a new commit.

        ``main`` is refused: revert on a branch and merge it.

        Raises
        ------
        MergeConflict
            A later commit changed the same path, or a folder that ``commit`` overwrote.
        """
        ...

    # Keeping house

    def verify(self, ref: str, prefix: str = "") -> Iterator[str]:
        """Check the stored bytes of every file under ``prefix`` and yield a line for each that is bad or missing."""
        ...

    def leftovers(self) -> str:
        """Describe in one line what finished or killed processes left behind; empty where there is nothing."""
        ...

    def caches(self) -> tuple[Cache, ...]:
        """Return the folders that the lake keeps beside its data; empty where it has none."""
        ...

    def clean(self) -> None:
        """Remove what no live process uses of :meth:`caches`. Data that any commit ever held stays."""
        ...

    def drop_changes(self, branch: str) -> None:
        """Drop what :meth:`changes` names."""
        ...

    def garbage(self, grace: timedelta) -> tuple[Removable, ...]:
        """Return what :meth:`collect_garbage` would remove now.

        Raises
        ------
        NotSupported
            The store's own job collects its garbage.
        """
        ...

    def collect_garbage(self, grace: timedelta) -> tuple[Removable, ...]:
        """Remove what no branch, tag or reader has needed for the grace time, and return what went.

        What a deleted branch held stays for that time, readable by its commits' ids. Writers and readers may go on
        meanwhile.

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
        since: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        *,
        yes: bool = False,
    ) -> Removable:
        """Find the data that only commits from before a time hold, and remove them if ``yes``.

        Commits, their ids and what they say stay; reading what is gone is :class:`Expired`. Heads of branches, tags,
        and what branches began at are kept. Where the store's own job removes data, this sets its rule.

        Parameters
        ----------
        before
            Aware time.
        keep
            Further refs to keep.
        since
            Commits that are kept with all that is not older than them, such as those that sinks reflect.
        prefixes
            Folders that are kept in all commits.
        yes
            Do it.

        Raises
        ------
        NotSupported
            The store's own job cannot keep what is asked for.
        """
        ...

    def close(self) -> None:
        """Let go of the snapshots handed out by :meth:`path`."""
        ...
