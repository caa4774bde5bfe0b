"""The NoSQL store on DynamoDB: a table is a table of DynamoDB, and a catalog beside them knows what they reflect."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.lake.contract import Cache
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
from lake_assets.nosql.dynamodb.attributes import check_names
from lake_assets.nosql.dynamodb.catalog import Catalog, Entry, Lease, create_table, delete_table
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.reading import Range, read
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.dynamodb.writing import Writing, check_items
from lake_assets.nosql.encoding import frame_schema, write_frame
from lake_assets.nosql.keys import encode_key
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
    import pandas
    from pyspark.sql import DataFrame as SparkDataFrame

    Frame = SparkDataFrame | pandas.DataFrame | pa.Table

_NAME_LENGTH = 255


class DynamoDBStore:
    """Tables of items by key in DynamoDB; see :class:`~lake_assets.nosql.contract.NoSQLStore`.

    Writers of one table wait for each other, in whatever process or machine they are. A write is not atomic for readers
    outside. If it is killed, the next write finishes it or replaces it, and until then the table says that it is
    unfinished.

    Parameters
    ----------
    prefix
        Name of the catalog's table, and what the names of all tables begin with.
    endpoint_url
        Endpoint of the server; AWS if None.
    region_name, profile_name, access_key_id, secret_access_key
        As of boto3. What is None comes from the AWS chain.
    parallel
        The number of requests at once.
    writes_per_second
        The most items to write in a second. None for no limit.
    lease_seconds
        How long a writer that was killed keeps others from its table.
    tags
        Tags of the tables.
    read_only
        Refuse writes.

    Raises
    ------
    NoSQLError
        There are no credentials or no region.
    """

    def __init__(
        self,
        prefix: str = "lake_assets",
        *,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        profile_name: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        parallel: int = 16,
        writes_per_second: float | None = None,
        lease_seconds: float = 20.0,
        tags: Mapping[str, str] | None = None,
        read_only: bool = False,
    ) -> None:
        self._prefix = prefix
        self._read_only = read_only
        self._client = Client(
            endpoint_url, region_name, profile_name, access_key_id, secret_access_key, parallel, writes_per_second
        )
        self._tags = [{"Key": name, "Value": value} for name, value in (tags or {}).items()]
        self._catalog = Catalog(self._client, _physical(prefix), lease_seconds, self._tags)

    def __repr__(self) -> str:
        return f"DynamoDBStore({self._prefix!r}, endpoint_url={self._client.name!r})"

    def caches(self) -> tuple[Cache, ...]:
        """Return nothing: a writer's folder is removed by the next one."""
        return ()

    def clean(self) -> None:
        """Do nothing: a writer's folder is removed by the next one."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return nothing: the tables are on a server."""
        return ()

    def backup(self, folder: Path) -> Callable[[], None]:
        """Copy nothing. DynamoDB has backups of its own (point-in-time recovery).

        Parameters
        ----------
        folder
            The folder of the copy.
        """
        del folder
        return lambda: None

    def close(self) -> None:
        """Release the store."""
        self._client.close()

    # --- reading

    def tables(self) -> tuple[str, ...]:
        """Return the names of all tables, sorted."""
        with self._client.translated():
            return self._catalog.names()

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table; see :meth:`NoSQLStore.schema`."""
        return self._entry(table).table.arrow_schema

    def key(self, table: str) -> tuple[str, ...]:
        """Return the names of the key columns; see :meth:`NoSQLStore.key`."""
        return self._entry(table).table.key

    def source_commit(self, table: str) -> str | None:
        """Return the lake commit that a table reflects; see :meth:`NoSQLStore.source_commit`."""
        entry = self._find(table)
        return entry.reflects if entry else None

    def row_count(self, table: str) -> int:
        """Return the number of items. It is counted only where a write is unfinished."""
        entry = self._entry(table)
        with self._client.translated(table):
            return entry.rows if entry.pending is None else self._client.count(self._name(table))

    def history(self, table: str) -> tuple[Operation, ...]:
        """Return the log of a table's operations; see :meth:`NoSQLStore.history`."""
        with self._client.translated(table):
            return self._catalog.history(table)

    def get(self, table: str, key: Key) -> dict[str, Any] | None:
        """Return one item, or None; see :meth:`NoSQLStore.get`."""
        found = self.get_many(table, [key]).to_pylist()
        return found[0] if found else None

    def get_many(self, table: str, keys: Sequence[Key]) -> pa.Table:
        """Return the items of several keys; see :meth:`NoSQLStore.get_many`."""
        layout = self._layout(table)
        encoded = sorted(_encoded(keys, layout))
        with self._client.translated(table):
            wanted = layout.keys(encoded) if encoded else []
            found = [item for items in self._client.read(self._name(table), wanted) for item in items]
        batch = layout.read(found)
        pairs = sorted(zip(*(column.to_pylist() for column in layout.encode(batch)), strict=True))
        return pa.Table.from_batches([layout.batch(pairs)] if pairs else [], layout.schema)

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
        """Yield items in key order; see :meth:`NoSQLStore.scan`."""
        layout = self._layout(table)
        wanted = Range(layout, start, end, prefix)
        selection = Selection(table, layout.schema, columns, where)

        def batches() -> Iterator[pa.RecordBatch]:
            with self._client.translated(table), self._spool() as folder:
                yield from read(self._client, self._name(table), layout, wanted, segment, batch_size, folder)

        return selection.of(batches())

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
        """Write items; see :meth:`NoSQLStore.write`.

        First, all items are encoded and checked. Then stored items are read, and only what differs from them is sent.
        """
        self._refuse_where_read_only()
        check_name(table)
        check_mode(table, mode)
        options = options or Options()
        options.check(table, source_commit)
        partial = options.update == "columns"
        incoming = frame_schema(items)

        def check(entry: Entry | None) -> pa.Schema | None:
            """Return the schema to write with, or None if there is nothing to do."""
            reflects = entry.reflects if entry else None
            if check_expected and reflects != expected_commit:
                raise StaleWrite(f"table {table!r} reflects commit {reflects}, not {expected_commit}: compute it again")
            if entry is not None and mode == "errorifexists":
                raise TableExists(f"DynamoDB at {self._client.name}: table {table!r} exists already")
            if entry is not None and mode == "ignore":
                return None
            record = entry.table if entry else None
            schema = fit(
                table,
                record,
                incoming,
                key=key,
                mode=mode,
                allow_overwrite_schema=allow_overwrite_schema,
                partial=partial,
            )
            check_names(table, schema, key)
            for name in newest_by:
                check_comparable(table, schema, name)
            check_counters(table, schema, key, options.counter)
            return schema

        while (schema := check(self._find(table))) is not None:
            encoded = incoming_schema(schema, incoming, partial)
            choice = Choice(table, schema, key, encoded.names, mode, newest_by, options)
            layout = Layout(table, schema, key)
            with self._client.translated(table), self._spool() as folder:
                runs = write_frame(table, items, encoded, key, folder)
                check_items(Layout(table, encoded, key), merge(folder, runs), choice)
                gone = [] if delete is None else _write_deletions(table, delete, schema, key, folder)
                with self._catalog.writing(table) as lease:
                    entry = self._find(table)
                    if check(entry) != schema:
                        continue
                    batch = options.batch
                    if entry is not None and batch is not None and self._catalog.applied(table, batch):
                        return WriteResult(0, 0, 0, self.row_count(table))
                    writing = Writing(self._client, self._catalog, lease, self._name(table), layout, choice)
                    # A table keeps its commit until a write sets another one, or overwrites the table.
                    kept = None if mode == "overwrite" or entry is None else entry.table.source_commit
                    after = TableRecord.of(schema, key, source_commit or kept)
                    return self._apply(
                        writing,
                        lease,
                        entry,
                        after,
                        mode,
                        folder,
                        merge(folder, gone),
                        merge(folder, runs),
                        options,
                        source_commit is not None,
                    )
        return WriteResult(put=0, deleted=0, kept=0, row_count=self.row_count(table))

    def _apply(
        self,
        writing: Writing,
        lease: Lease,
        entry: Entry | None,
        after: TableRecord,
        mode: SaveMode,
        folder: Path,
        gone: Iterator[list[Item]],
        blocks: Iterator[list[Item]],
        options: Options,
        fed: bool,
    ) -> WriteResult:
        """Write encoded items, while the lease is held."""
        table, schema, key = lease.table, after.arrow_schema, after.key
        name = self._name(table)
        physical = Layout(table, schema, key).physical_key
        batch = options.batch if options.counter else None
        had = entry.table if entry is not None else None
        replaced = 0
        if (
            had is not None
            and mode == "overwrite"
            and Layout(table, had.arrow_schema, had.key).physical_key != physical
        ):
            replaced, entry, had = self._client.count(name), None, None
        if entry is None or had is None:
            # What is there without a record is left over from a write that was killed.
            delete_table(self._client, name)
            self._catalog.forget(lease)
            pending = None
            create_table(self._client, name, physical, self._tags)
            count = writing.put_new(blocks, batch)
            result = WriteResult(count, replaced, 0, count)
        else:
            rows = entry.rows if entry.pending is None else self._client.count(name)
            # What only the next write of a commit ends stays unfinished.
            pending = None if not entry.pending or fed or mode == "overwrite" else entry.pending
            self._catalog.begin(lease, entry, pending or after.source_commit)
            if mode == "overwrite":
                comparable = had.arrow_schema == schema
                put, deleted = writing.replace(blocks, folder, comparable)
                result = WriteResult(put, deleted, 0, put)
            else:
                deleted = writing.delete(gone)
                put, kept, new = writing.put(blocks, batch)
                result = WriteResult(put, deleted, kept, rows - deleted + new)
        self._catalog.finish(lease, Entry(after, result.row_count, pending), "write", mode, result, options.batch)
        return result

    def delete(self, table: str, keys: Sequence[Key]) -> int:
        """Delete items; see :meth:`NoSQLStore.delete`."""
        self._refuse_where_read_only()
        self._entry(table)
        with self._client.translated(table), self._catalog.writing(table) as lease:
            entry = self._entry(table)
            record = entry.table
            layout = Layout(table, record.arrow_schema, record.key)
            encoded = sorted(_encoded(keys, layout))
            choice = Choice(table, layout.schema, layout.key, layout.schema.names)
            writing = Writing(self._client, self._catalog, lease, self._name(table), layout, choice)
            deleted = writing.delete([[(key, b"") for key in encoded]])
            # An unfinished write stays unfinished.
            rows = entry.rows - deleted if entry.pending is None else entry.rows
            result = WriteResult(0, deleted, 0, rows)
            self._catalog.finish(lease, replace(entry, rows=rows), "delete", "", result)
            return deleted

    def drop(self, table: str) -> None:
        """Remove a table; see :meth:`NoSQLStore.drop`."""
        self._refuse_where_read_only()
        self._entry(table)
        with self._client.translated(table), self._catalog.writing(table) as lease:
            rows = self.row_count(table)
            self._catalog.forget(lease)
            self._catalog.finish(lease, None, "drop", "", WriteResult(0, rows, 0, 0))
            delete_table(self._client, self._name(table))

    # --- inside

    def _refuse_where_read_only(self) -> None:
        if self._read_only:
            raise NoSQLError(f"DynamoDB at {self._client.name}: the store was opened read-only")

    def _name(self, table: str) -> str:
        return _physical(f"{self._prefix}.{table}")

    def _find(self, table: str) -> Entry | None:
        with self._client.translated(table):
            return self._catalog.find(table)

    def _entry(self, table: str) -> Entry:
        entry = self._find(table)
        if entry is None:
            raise TableNotFound(f"DynamoDB at {self._client.name}: there is no table {table!r}")
        return entry

    def _layout(self, table: str) -> Layout:
        record = self._entry(table).table
        return Layout(table, record.arrow_schema, record.key)

    @contextmanager
    def _spool(self) -> Generator[Path]:
        with spool(Path(tempfile.gettempdir()) / f"lake-assets-{os.getuid()}-dynamodb") as folder:
            yield folder


def _physical(name: str) -> str:
    """Return the name of a table in DynamoDB, which allows few characters."""
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    prefix, dot, table = name.partition(".")
    encoded = "".join(one if one in allowed else "".join(f".{byte:02x}" for byte in one.encode()) for one in table)
    found = f"{prefix}{dot}{encoded}"
    if not 3 <= len(found) <= _NAME_LENGTH:
        raise NoSQLError(f"DynamoDB: {found!r} has not 3 to {_NAME_LENGTH} characters: choose another name")
    return found


def _encoded(keys: Sequence[Key], layout: Layout) -> set[bytes]:
    return {
        encode_key(key, layout.schema, layout.key)
        for key in keys
        if "" not in (key if isinstance(key, tuple) else (key,))
    }


def _write_deletions(table: str, frame: Frame, schema: pa.Schema, key: Sequence[str], folder: Path) -> list[str]:
    keys = pa.schema([schema.field(name) for name in key])
    problems = differences(keys, frame_schema(frame), keys.names)
    if problems:
        raise SchemaMismatch(f"table {table!r}, the keys to delete: {'; '.join(problems)}")
    return write_frame(table, frame, keys, key, folder)
