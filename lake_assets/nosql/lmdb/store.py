"""The NoSQL store on LMDB: a store is an environment, a table is a named database, a write is a transaction."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from lake_assets.lake.contract import Cache
from lake_assets.lake.embedded.housekeeping import freed_by_removing
from lake_assets.lake.embedded.scratch import Scratch
from lake_assets.lake.permissions import sharing_near
from lake_assets.nosql.choice import Choice
from lake_assets.nosql.contract import (
    Key,
    NoSQLError,
    Operation,
    Options,
    SaveMode,
    SchemaMismatch,
    StaleWrite,
    TableExists,
    TableNotFound,
    WriteResult,
)
from lake_assets.nosql.disk_errors import DAMAGED
from lake_assets.nosql.encoding import frame_schema, write_frame
from lake_assets.nosql.keys import decode_columns, encode_key, encode_prefix
from lake_assets.nosql.lmdb import environment as environments
from lake_assets.nosql.lmdb.backup import copy_tables
from lake_assets.nosql.lmdb.log import BATCHES, HISTORY, Log, read_history
from lake_assets.nosql.lmdb.table_write import TableWrite
from lake_assets.nosql.rows import decode_rows
from lake_assets.nosql.runs import Item, merge, spool
from lake_assets.nosql.selection import Selection
from lake_assets.nosql.table_schema import (
    TableRecord,
    check_comparable,
    check_counters,
    check_mode,
    check_name,
    differences,
    fit,
    incoming_schema,
)

if TYPE_CHECKING:
    import lmdb
    import pandas
    from pyspark.sql import DataFrame as SparkDataFrame

    Frame = SparkDataFrame | pandas.DataFrame | pa.Table

_META, _SPOOL = "meta", "spool"
_MAP_SIZE = 1 << 36
"""64 GiB of address space. The file is only as large as its pages."""

_key_of = itemgetter(0)


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
        meta = self._environment.handle(_META)
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
            layout = _Layout(record)
            encoded = encode_key(key, layout.schema, record.key)
            row = transaction.get(encoded, db=items) if encoded else None
            return None if row is None else layout.batch([(encoded, row)]).to_pylist()[0]

    def get_many(self, table: str, keys: Sequence[Key]) -> pa.Table:
        """Return the items of several keys; see :meth:`NoSQLStore.get_many`."""
        with self._reading(table) as (transaction, record, items):
            layout = _Layout(record)
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

        A bound may consist of the first components of the key only. The snapshot is taken at the first batch, and
        released when the iterator ends or is closed.
        """
        record = self._record(table)
        for bound in (start, end):
            if bound is not None:
                encode_key(bound, record.arrow_schema, record.key, prefix=True)
        if prefix is not None:
            encode_prefix(prefix, record.arrow_schema, record.key)
        selection = Selection(table, record.arrow_schema, columns, where)
        return selection.of(self._scan(table, start, end, prefix, segment, batch_size))

    def _scan(
        self,
        table: str,
        start: Key | None,
        end: Key | None,
        prefix: Key | None,
        segment: tuple[int, int] | None,
        batch_size: int,
    ) -> Iterator[pa.RecordBatch]:
        with self._reading(table) as (transaction, record, items):
            layout = _Layout(record)
            first, last = (
                None if bound is None else encode_key(bound, layout.schema, record.key, prefix=True)
                for bound in (start, end)
            )
            if prefix is not None:
                begin = encode_prefix(prefix, layout.schema, record.key)
                first = max(first or b"", begin)
                last = _least([last, _after(begin)])
            cursor = transaction.cursor(items)
            if segment is not None:
                low, high = _segment(cursor, transaction.stat(items)["entries"], *segment)
                first = max(first or b"", low)
                last = _least([last, high])
            found = cursor.set_range(first) if first else cursor.first()
            pairs = cursor.iternext() if found else iter(())
            while block := list(islice(pairs, batch_size)):
                wanted = block if last is None else block[: bisect_left(block, last, key=_key_of)]
                if wanted:
                    yield layout.batch(wanted)
                if len(wanted) < len(block):
                    return

    # --- writing

    def write(
        self,
        table: str,
        items: Frame,
        *,
        key: Sequence[str],
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
        check_name(table)
        check_mode(table, mode)
        options = options or Options()
        options.check(table, source_commit)
        partial = options.update == "columns"
        incoming = frame_schema(items)

        def check(record: TableRecord | None) -> pa.Schema | None:
            """Return the schema to write with, or None if there is nothing to do."""
            reflects = record.source_commit if record else None
            if check_expected and reflects != expected_commit:
                raise StaleWrite(
                    f"store {self.folder}: table {table!r} reflects commit {reflects}, "
                    f"not {expected_commit}: compute the write again"
                )
            if record is not None and mode == "errorifexists":
                raise TableExists(f"store {self.folder}: table {table!r} exists already")
            if record is not None and mode == "ignore":
                return None
            schema = fit(
                table,
                record,
                incoming,
                key=key,
                mode=mode,
                allow_overwrite_schema=allow_overwrite_schema,
                partial=partial,
            )
            for name in newest_by:
                check_comparable(table, schema, name)
            check_counters(table, schema, key, options.counter)
            return schema

        def attempt(schema: pa.Schema) -> WriteResult | None:
            """Write with ``schema``. Return None if the table's schema was changed meanwhile."""
            with spool(self.folder / _SPOOL) as folder:
                encoded = incoming_schema(schema, incoming, partial)
                choice = Choice(table, schema, key, encoded.names, mode, newest_by, options)
                runs = write_frame(table, items, encoded, key, folder)
                gone = [] if delete is None else self._write_deletions(table, delete, schema, key, folder)

                def apply(transaction: lmdb.Transaction[bytes]) -> WriteResult | None:
                    meta = self._environment.create(transaction, _META)
                    record = _find_in(transaction, meta, table)
                    if check(record) != schema:
                        return None
                    log = self._log(transaction, table)
                    handle = self._environment.create(transaction, _database(table))
                    target = TableWrite(transaction, handle)
                    if options.batch is not None and not log.begin(options.batch):
                        return WriteResult(0, 0, 0, target.row_count())
                    kept_on = None if mode == "overwrite" else record
                    deleted = target.empty() if kept_on is None else 0
                    deleted += target.delete(key for block in merge(folder, gone) for key, _ in block)
                    put, kept = target.put(merge(folder, runs), choice)
                    # A table keeps its commit until a write sets another one, or overwrites the table.
                    commit = source_commit or (kept_on.source_commit if kept_on else None)
                    stored = msgspec.msgpack.encode(TableRecord.of(schema, key, commit))
                    transaction.put(table.encode(), stored, db=meta)
                    result = WriteResult(put, deleted, kept, target.row_count())
                    log.add("write", result, mode, commit)
                    return result

                return self._environment.write(apply)

        # The check is made before the frame is computed, which can take long, and again in the transaction. If
        # another write changed the columns in between, the rows are encoded again.
        while (schema := check(self._find(table))) is not None:
            if (result := attempt(schema)) is not None:
                return result
        return WriteResult(put=0, deleted=0, kept=0, row_count=self.row_count(table))

    def delete(self, table: str, keys: Sequence[Key]) -> int:
        """Delete items in one transaction; see :meth:`NoSQLStore.delete`."""
        self._refuse_where_read_only()

        def apply(transaction: lmdb.Transaction[bytes]) -> int:
            record, handle = self._open_in(transaction, table)
            encoded = {encode_key(key, record.arrow_schema, record.key) for key in keys}
            target = TableWrite(transaction, handle)
            deleted = target.delete(sorted(encoded - {b""}))
            result = WriteResult(0, deleted, 0, target.row_count())
            self._log(transaction, table).add("delete", result, "", record.source_commit)
            return deleted

        return self._environment.write(apply)

    def drop(self, table: str) -> None:
        """Remove a table; see :meth:`NoSQLStore.drop`."""
        self._refuse_where_read_only()

        def apply(transaction: lmdb.Transaction[bytes]) -> None:
            _, handle = self._open_in(transaction, table)
            dropped = WriteResult(0, transaction.stat(handle)["entries"], 0, 0)
            log = self._log(transaction, table)
            log.forget()
            log.add("drop", dropped, "", None)
            # The empty database stays, since other threads may have its handle.
            transaction.drop(handle, delete=False)
            transaction.delete(table.encode(), db=self._environment.create(transaction, _META))

        self._environment.write(apply)

    # --- inside

    def _refuse_where_read_only(self) -> None:
        if self._read_only:
            raise NoSQLError(f"store {self.folder}: it was opened read-only")

    def _write_deletions(
        self, table: str, frame: Frame, schema: pa.Schema, key: Sequence[str], folder: Path
    ) -> list[str]:
        keys = pa.schema([schema.field(name) for name in key])
        problems = differences(keys, frame_schema(frame), keys.names)
        if problems:
            raise SchemaMismatch(f"table {table!r}, the keys to delete: {'; '.join(problems)}")
        return write_frame(table, frame, keys, key, folder)

    def _log(self, transaction: lmdb.Transaction[bytes], table: str) -> Log:
        create = self._environment.create
        return Log(transaction, create(transaction, HISTORY), create(transaction, BATCHES), table)

    def _find(self, table: str) -> TableRecord | None:
        meta = self._environment.handle(_META)
        if meta is None:
            return None
        with self._environment.reading() as transaction:
            return _find_in(transaction, meta, table)

    def _record(self, table: str) -> TableRecord:
        record = self._find(table)
        if record is None:
            raise self._absent(table)
        return record

    def _open_in(self, transaction: lmdb.Transaction[bytes], table: str) -> tuple[TableRecord, Any]:
        """Return the table's record and handle within a write transaction."""
        record = _find_in(transaction, self._environment.create(transaction, _META), table)
        if record is None:
            raise self._absent(table)
        return record, self._environment.create(transaction, _database(table))

    @contextmanager
    def _reading(self, table: str) -> Generator[tuple[lmdb.Transaction[bytes], TableRecord, Any], None, None]:
        """Yield a snapshot with the table's record and the handle of its items."""
        self._record(table)
        meta, items = self._environment.handle(_META), self._environment.handle(_database(table))
        with self._environment.reading() as transaction:
            record = _find_in(transaction, meta, table)
            if record is None:
                raise self._absent(table)
            yield transaction, record, items

    def _absent(self, table: str) -> TableNotFound:
        return TableNotFound(f"store {self.folder}: there is no table {table!r}")


class _Layout:
    """Converts a table's stored items to Arrow columns."""

    def __init__(self, record: TableRecord) -> None:
        self.schema = record.arrow_schema
        types = self.schema.types
        self._key_types, self._row_types = types[: len(record.key)], types[len(record.key) :]

    def batch(self, items: Sequence[Item]) -> pa.RecordBatch:
        keys, rows = zip(*items, strict=True)
        columns = decode_columns(keys, self._key_types) + decode_rows(rows, self._row_types)
        return pa.record_batch(columns, schema=self.schema)


def _after(prefix: bytes) -> bytes | None:
    """Return the least key that is greater than all with a prefix. None if there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None


def _least(bounds: Sequence[bytes | None]) -> bytes | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _segment(cursor: lmdb.Cursor[bytes], count: int, number: int, segments: int) -> tuple[bytes, bytes | None]:
    """Return the first key of a segment, and the one before which it ends."""
    if not 0 <= number < segments:
        raise NoSQLError(f"segment {number} of {segments}: count them from 0")
    low, high = number * count // segments, (number + 1) * count // segments
    if low == high:
        return b"", b""
    keys = cursor.iternext(keys=True, values=False) if cursor.first() else iter(())
    first = next(islice(keys, low, None), b"")
    return first, next(islice(keys, high - low - 1, None), None)


def _database(table: str) -> str:
    return f"table:{table}"


def _find_in(transaction: lmdb.Transaction[bytes], meta: Any, table: str) -> TableRecord | None:
    stored = transaction.get(table.encode(), db=meta) if table else None
    if stored is None:
        return None
    try:
        record = msgspec.msgpack.decode(stored, type=TableRecord)
        record.arrow_schema  # noqa: B018 - damage is found here, where the table's name is known
    except (msgspec.DecodeError, pa.ArrowException, OSError) as error:
        raise NoSQLError(f"table {table!r}: its columns cannot be read: {error}{DAMAGED}") from error
    return record
