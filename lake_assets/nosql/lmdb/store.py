"""The NoSQL store on LMDB: a store is an environment, a table is a named database, a write is a transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.lake.contract import Cache
from lake_assets.lake.embedded.housekeeping import freed_by_removing
from lake_assets.lake.embedded.scratch import Scratch
from lake_assets.lake.permissions import sharing_near
from lake_assets.nosql.contract import Key, NoSQLError, Operation, Options, SaveMode, WriteResult
from lake_assets.nosql.encoding import encode_batch
from lake_assets.nosql.keys import encode_key
from lake_assets.nosql.lmdb import environment as environments
from lake_assets.nosql.lmdb.backup import copy_tables
from lake_assets.nosql.lmdb.log import HISTORY, read_history
from lake_assets.nosql.lmdb.reading import Layout, Range
from lake_assets.nosql.lmdb.writing import META, Writing, absent, database, find_in, settle
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.runs import Item, merge, spool
from lake_assets.nosql.selection import Selection
from lake_assets.nosql.table_schema import TableRecord

if TYPE_CHECKING:
    import lmdb
    import pandas
    from pyspark.sql import DataFrame as SparkDataFrame

    Frame = SparkDataFrame | pandas.DataFrame | pa.Table

_SPOOL = "spool"
_MAP_SIZE = 1 << 36
"""64 GiB of address space. The file is only as large as its pages."""


class LMDBStore:
    """Tables of items by key in one folder; see :class:`~lake_assets.nosql.contract.NoSQLStore`.

    Any number of threads and processes can read while one writes. Writers wait for each other. In each process the
    first use of a table waits for a running write, except in a ``read_only`` store. A store can be used after a fork.

    Parameters
    ----------
    folder
        Folder of the store. It is created if it is missing, unless ``read_only``. It must not be on a network file
        system.
    read_only
        Refuse writes. Then the data need not be writable.
    map_size
        Initial bytes of address space. It is doubled when the data need more.

    Raises
    ------
    NoSQLError
        The folder cannot be created, read or written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, map_size: int = _MAP_SIZE) -> None:
        self.folder = Path(folder).absolute()
        self._read_only = read_only
        self._map_size = map_size
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        if not read_only:
            try:
                sharing_near(self.folder).make_folder(self.folder)
            except OSError as error:
                raise NoSQLError(f"store {self.folder}: the folder cannot be created: {error}") from error
        self.folder = self.folder.resolve()
        self._acquired: environments.Environment | None = None
        self._closed = False
        self._environment  # noqa: B018 - an unusable folder is refused here, not at first use
        if not read_only:
            # LMDB syncs the bytes of each commit, but not the entries of its files and folders.
            environments.sync_folders([self.folder, self.folder.parent, *(path.parent for path in missing)])

    def __repr__(self) -> str:
        return f"LMDBStore({str(self.folder)!r})"

    @property
    def _environment(self) -> environments.Environment:
        if self._closed:
            raise NoSQLError(f"store {self.folder}: it is closed")
        if self._acquired is None or self._acquired.process != os.getpid():
            self._acquired = environments.acquire(self.folder, read_only=self._read_only, map_size=self._map_size)
        return self._acquired

    def caches(self) -> tuple[Cache, ...]:
        """Return the spool folders of killed and of running writers."""
        root = self.folder / _SPOOL
        frees = {path: freed_by_removing(path) for path in Scratch(root).abandoned()}
        in_use = sum(path not in frees for path in root.glob("*"))
        return (Cache(_SPOOL, len(frees), sum(frees.values()), in_use),) if frees or in_use else ()

    def clean(self) -> None:
        """Remove the spool folders of killed writers, as each new write does."""
        if (self.folder / _SPOOL).is_dir():
            with spool(self.folder / _SPOOL):
                pass

    @property
    def folders(self) -> tuple[Path, ...]:
        """The store's folder."""
        return (self.folder,)

    def backup(self, folder: Path) -> Callable[[], None]:
        """Copy all tables at one transaction; see :meth:`NoSQLStore.backup`. The copy is an LMDB store, too."""
        return copy_tables(self._environment, folder)

    def close(self) -> None:
        """Release the store. A running scan ends with an error."""
        if self._acquired is not None and not self._closed:
            environments.release(self._acquired)
        self._closed = True

    # --- reading

    def tables(self) -> tuple[str, ...]:
        """Return the names of all tables, sorted."""
        meta = self._environment.handle(META)
        if meta is None:
            return ()
        with self._environment.reading() as transaction:
            names = transaction.cursor(meta).iternext(keys=True, values=False)
            return tuple(sorted(name.decode() for name in names))

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table; see :meth:`NoSQLStore.schema`."""
        return self._record(table).arrow_schema

    def key(self, table: str) -> tuple[str, ...]:
        """Return the names of the key columns; see :meth:`NoSQLStore.key`."""
        return self._record(table).key

    def source_commit(self, table: str) -> str | None:
        """Return the lake commit that a table reflects; see :meth:`NoSQLStore.source_commit`."""
        record = self._find(table)
        return record.source_commit if record else None

    def row_count(self, table: str) -> int:
        """Return the number of items, without a scan."""
        with self._reading(table) as (transaction, _, items):
            return transaction.stat(items)["entries"]

    def get(self, table: str, key: Key) -> dict[str, Any] | None:
        """Return one item, or None; see :meth:`NoSQLStore.get`."""
        with self._reading(table) as (transaction, record, items):
            layout = Layout(record)
            encoded = encode_key(key, layout.schema, record.key)
            row = transaction.get(encoded, db=items) if encoded else None
            found = [] if row is None else layout.batch([(encoded, row)]).to_pylist()
            return found[0] if found else None

    def get_many(self, table: str, keys: Sequence[Key]) -> pa.Table:
        """Return the items of several keys; see :meth:`NoSQLStore.get_many`."""
        with self._reading(table) as (transaction, record, items):
            layout = Layout(record)
            encoded = sorted({encode_key(key, layout.schema, record.key) for key in keys} - {b""})
            found = transaction.cursor(items).getmulti(encoded)
            batches = [layout.batch(found)] if found else []
            return pa.Table.from_batches(batches, layout.schema)

    def history(self, table: str) -> tuple[Operation, ...]:
        """Return the log of a table's operations; see :meth:`NoSQLStore.history`."""
        log = self._environment.handle(HISTORY)
        if log is None:
            return ()
        with self._environment.reading() as transaction:
            return read_history(transaction, log, table)

    def scan(
        self,
        table: str,
        start: Key | None = None,
        end: Key | None = None,
        batch_size: int = 65_536,
        *,
        prefix: Key | None = None,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        segment: tuple[int, int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield items in key order; see :meth:`NoSQLStore.scan`.

        The snapshot is taken at the first batch, and released when the iterator ends or is closed.
        """
        wanted = Range(self._record(table), start, end, prefix, where)
        selection = Selection(table, wanted.schema, columns, where, batch_size)

        def batches() -> Iterator[pa.RecordBatch]:
            with self._reading(table) as (transaction, record, items):
                now = Range(record, start, end, prefix, where)
                for block in now.blocks(transaction, items, segment, batch_size):
                    # The filter may name any column.
                    yield Layout(record, None if where else columns).batch(block)

        return selection.of(batches())

    def items(self, table: str) -> Iterator[list[Item]]:
        """Yield all encoded items; see :meth:`NoSQLStore.items`."""
        schema, key = self.schema(table), self.key(table)
        for batch in self.scan(table):
            keys, rows = encode_batch(batch, schema, key)
            yield list(zip(keys.to_pylist(), rows.to_pylist(), strict=True))

    # --- writing

    def write(
        self,
        table: str,
        items: Frame,
        *,
        key: Sequence[str] = (),
        mode: SaveMode = "append",
        newest_by: Sequence[str] = (),
        delete: Frame | None = None,
        allow_overwrite_schema: bool = False,
        source_commit: str | None = None,
        expected_commit: str | None = None,
        check_expected: bool = False,
        options: Options | None = None,
    ) -> WriteResult:
        """Write items in one transaction; see :meth:`NoSQLStore.write`.

        Before the transaction the frame is computed once, into sorted runs in a folder beside the data. These are about
        as large as the items. The transaction merges them into the table. LMDB keeps up to 512 MiB of changed pages in
        memory until the store is closed. No other memory grows with the number of items.
        """
        self._refuse_where_read_only()
        plan = Plan(
            f"store {self.folder}",
            table,
            items,
            key=key,
            mode=mode,
            newest_by=newest_by,
            delete=delete,
            allow_overwrite_schema=allow_overwrite_schema,
            source_commit=source_commit,
            expected_commit=expected_commit,
            check_expected=check_expected,
            options=options,
        )
        # The check is made before the frame is computed, which can take long, and again in the transaction. If
        # another write changed the columns in between, the rows are encoded again.
        while (target := settle(plan, self._find(table))) is not None:
            if (result := self._attempt(plan, target)) is not None:
                return result
        return WriteResult(put=0, deleted=0, kept=0, row_count=self.row_count(table))

    def _attempt(self, plan: Plan, target: Target) -> WriteResult | None:
        """Write, unless the table is another one than its target was made for."""
        with spool(self.folder / _SPOOL) as folder:
            runs, after = plan.encode(target, folder)
            gone = plan.deletions(target, folder)
            choice = plan.choice(target)

            def work(transaction: lmdb.Transaction[bytes]) -> WriteResult | None:
                writing = self._writing(transaction, plan.table)
                return writing.apply(plan, target, after, choice, merge(folder, gone), merge(folder, runs))

            return self._environment.write(work)

    def delete(self, table: str, keys: Sequence[Key] = (), *, where: str | None = None) -> int:
        """Delete items in one transaction; see :meth:`NoSQLStore.delete`."""
        self._refuse_where_read_only()
        return self._environment.write(lambda transaction: self._writing(transaction, table).delete(keys, where))

    def drop(self, table: str) -> None:
        """Remove a table; see :meth:`NoSQLStore.drop`."""
        self._refuse_where_read_only()
        self._environment.write(lambda transaction: self._writing(transaction, table).drop())

    # --- inside

    def _refuse_where_read_only(self) -> None:
        if self._read_only:
            raise NoSQLError(f"store {self.folder}: it was opened read-only")

    def _writing(self, transaction: lmdb.Transaction[bytes], table: str) -> Writing:
        return Writing(self._environment, transaction, table)

    def _find(self, table: str) -> TableRecord | None:
        meta = self._environment.handle(META)
        if meta is None:
            return None
        with self._environment.reading() as transaction:
            return find_in(transaction, meta, table)

    def _record(self, table: str) -> TableRecord:
        record = self._find(table)
        if record is None:
            raise absent(self.folder, table)
        return record

    @contextmanager
    def _reading(self, table: str) -> Generator[tuple[lmdb.Transaction[bytes], TableRecord, Any], None, None]:
        """Yield a snapshot with the table's record and the handle of its items."""
        self._record(table)
        meta, items = self._environment.handle(META), self._environment.handle(database(table))
        with self._environment.reading() as transaction:
            record = find_in(transaction, meta, table)
            if record is None:
                raise absent(self.folder, table)
            yield transaction, record, items
