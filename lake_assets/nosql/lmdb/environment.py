"""The LMDB environment of a folder: shared by all stores of a process, and growing automatically."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import msgspec

from lake_assets.lake.permissions import sharing_near
from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.disk_errors import DAMAGED, remedy

T = TypeVar("T")

MAX_TABLES = 1024
_MAX_READERS = 512
_SECONDS_FOR_READERS = 30.0
"""How long growing the map waits for readers of this process, which it would interrupt."""


class Environment:
    """An open LMDB environment, shared by all stores and threads of this process.

    The handle of a named database stays valid, because databases are emptied but never removed. LMDB requires that no
    two transactions open handles at the same time. So handles are opened in write transactions, of which LMDB allows
    only one. Therefore the first use of a table waits for a running write, unless the environment is read-only.
    """

    def __init__(self, folder: Path, *, read_only: bool, map_size: int) -> None:
        self.folder = folder
        self.users = 0
        self.process = os.getpid()
        self._map_size = map_size
        self._quiet = threading.Condition(threading.RLock())
        self._active = 0
        self._handles: dict[str, Any] = {}
        self._pending: dict[str, Any] = {}
        self._open(read_only)

    def _open(self, read_only: bool) -> None:
        with self._translated():
            self._lmdb = lmdb.open(
                str(self.folder),
                map_size=self._map_size,
                max_dbs=MAX_TABLES + 3,
                max_readers=_MAX_READERS,
                # A spare transaction would make closing in a forked child unsafe.
                max_spare_txns=0,
                readonly=read_only,
                create=not read_only,
                mode=0o666,
            )
            # A reader makes the file of locks, too, except on a read-only disk.
            with suppress(OSError) if read_only else nullcontext():
                sharing_near(self.folder).adjust(*(self.folder / name for name in ("data.mdb", "lock.mdb")))
            self._lmdb.reader_check()
            with suppress(OSError):
                self._complete()
        self.read_only = read_only
        self._handles.clear()

    def _complete(self) -> None:
        """Fill up a file that was cut off, with zeros.

        Reading a page behind the end of the file would kill the process (SIGBUS). A page of zeros is an error of LMDB.
        LMDB itself may leave out unused pages at the end. This never shortens a file that grows meanwhile.
        """
        data = self.folder / "data.mdb"
        wanted = (self._lmdb.info()["last_pgno"] + 1) * self._lmdb.stat()["psize"]
        if (size := data.stat().st_size) < wanted:
            file = os.open(data, os.O_RDWR)
            try:
                os.posix_fallocate(file, size, wanted - size)
            finally:
                os.close(file)

    @property
    def idle(self) -> bool:
        """Whether this process has no open transaction."""
        return self._active == 0

    def make_writable(self) -> None:
        """Reopen a read-only environment for writing."""
        with self._alone():
            if self.read_only:
                self._lmdb.close()
                self._open(read_only=False)

    def close(self) -> None:
        """Close the environment. An iterator that is still reading ends with an error."""
        self._lmdb.close()

    @property
    def last_transaction(self) -> int:
        """Number of the last committed transaction."""
        with self._translated():
            return self._lmdb.info()["last_txnid"]

    def copy(self, folder: Path) -> None:
        """Copy all tables as they are at one transaction into an empty folder. Writers may go on."""
        with self._translated():
            self._begin(write=False).abort()  # It adopts the map's size that another process has set.
            self._end()
            self._lmdb.copy(str(folder), compact=True)

    @contextmanager
    def reading(self) -> Generator[lmdb.Transaction[bytes], None, None]:
        """Yield a read transaction, which is a consistent snapshot. It does not block writers."""
        with self._translated():
            transaction = self._begin(write=False)
            try:
                yield transaction
            finally:
                transaction.abort()
                self._end()

    def write(self, work: Callable[[lmdb.Transaction[bytes]], T]) -> T:
        """Run ``work`` in a write transaction and commit it. It is run again if the map was full."""
        with self._translated():
            while True:
                try:
                    with self._begin(write=True) as transaction:
                        # Slots of killed readers would prevent the reuse of old pages.
                        self._lmdb.reader_check()
                        self._pending = dict(self._handles)
                        result = work(transaction)
                        pending = self._pending
                    self._handles = pending
                    return result
                except lmdb.MapFullError:
                    size = self._lmdb.info()["map_size"] * 2
                finally:
                    self._end()
                self._resize(size)

    def create(self, transaction: lmdb.Transaction[bytes], name: str) -> Any:
        """Return the handle of a named database within a write transaction. It is created if it is missing."""
        if name not in self._pending:
            self._pending[name] = self._lmdb.open_db(name.encode(), txn=transaction)
        return self._pending[name]

    def handle(self, name: str) -> Any | None:
        """Return the handle of a named database for later transactions, or None."""
        if name not in self._handles:
            try:
                if self.read_only:
                    with self._quiet, self._translated():
                        self._handles[name] = self._lmdb.open_db(name.encode(), create=False)
                else:
                    self.write(lambda transaction: self._open_existing(transaction, name))
            except lmdb.NotFoundError:
                return None
        return self._handles.get(name)

    def _open_existing(self, transaction: lmdb.Transaction[bytes], name: str) -> None:
        self._pending[name] = self._lmdb.open_db(name.encode(), txn=transaction, create=False)

    def _begin(self, *, write: bool) -> lmdb.Transaction[bytes]:
        while True:
            with self._quiet:
                self._active += 1
            try:
                return self._lmdb.begin(write=write)
            except lmdb.MapResizedError:
                self._end()
                self._resize(0)
            except lmdb.ReadersFullError:
                self._end()
                if not self._lmdb.reader_check():
                    raise
            except BaseException:
                self._end()
                raise

    def _end(self) -> None:
        with self._quiet:
            self._active -= 1
            self._quiet.notify_all()

    def _resize(self, size: int) -> None:
        """Set the map's size; 0 adopts the size that another process has set."""
        with self._alone():
            self._lmdb.set_mapsize(size)

    @contextmanager
    def _alone(self) -> Generator[None, None, None]:
        """Wait until this process has no open transaction, and block new ones."""
        with self._quiet:
            if not self._quiet.wait_for(lambda: self._active == 0, _SECONDS_FOR_READERS):
                raise NoSQLError(
                    f"store {self.folder}: its map must be reopened, but {self._active} scans or writes "
                    "of this process are still open: finish the scans, then write"
                )
            yield

    @contextmanager
    def _translated(self) -> Generator[None, None, None]:
        """Translate LMDB's errors to :class:`NoSQLError`."""
        try:
            yield
        except (lmdb.MapFullError, lmdb.NotFoundError):
            raise
        except (lmdb.Error, OSError) as error:
            raise NoSQLError(f"store {self.folder}: {error}{remedy(error)}") from error
        except msgspec.DecodeError as error:
            raise NoSQLError(f"store {self.folder}: an item cannot be read: {error}{DAMAGED}") from error


def sync_folders(folders: Iterable[Path]) -> None:
    """Wait until the entries of folders are on disk.

    Raises
    ------
    NoSQLError
        The disk reports an error.
    """
    for folder in dict.fromkeys(folders):
        try:
            file = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise NoSQLError(f"store {folder}: it cannot be synced: {error}{remedy(error)}") from error


_open_environments: dict[Path, Environment] = {}
_registry_lock = threading.Lock()


def _forget_in_child() -> None:
    """Close idle environments after a fork. LMDB forbids using the parent's environments, so they are reopened."""
    global _registry_lock
    _registry_lock = threading.Lock()
    for folder, environment in list(_open_environments.items()):
        if environment.idle:
            del _open_environments[folder]
            environment.close()


os.register_at_fork(after_in_child=_forget_in_child)


def acquire(folder: Path, *, read_only: bool, map_size: int) -> Environment:
    """Return this process's environment of a folder. It is opened if necessary, but only once, as LMDB requires.

    Parameters
    ----------
    folder
        The folder.
    read_only
        Whether the caller only reads.
    map_size
        Initial size of the map in bytes.

    Raises
    ------
    NoSQLError
        The folder does not exist (read-only), or cannot be read or written.
    """
    with _registry_lock:
        environment = _open_environments.get(folder)
        if environment is None:
            environment = Environment(folder, read_only=read_only, map_size=map_size)
            _open_environments[folder] = environment
        elif environment.process != os.getpid():
            raise NoSQLError(
                f"store {folder}: it was in use when this process was forked, so LMDB forbids it here: "
                "start processes by 'spawn'"
            )
        elif environment.read_only and not read_only:
            environment.make_writable()
        environment.users += 1
        return environment


def release(environment: Environment) -> None:
    """Release an environment. It is closed when nobody uses it any more."""
    with _registry_lock:
        if _open_environments.get(environment.folder) is not environment:
            return
        environment.users -= 1
        if environment.users == 0:
            del _open_environments[environment.folder]
            environment.close()
