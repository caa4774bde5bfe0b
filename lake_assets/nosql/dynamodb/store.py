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
from lake_assets.nosql.contract import Key, NoSQLError, Operation, Options, SaveMode, TableNotFound, WriteResult
from lake_assets.nosql.dynamodb.access import Access
from lake_assets.nosql.dynamodb.administration import delete_table
from lake_assets.nosql.dynamodb.attributes import check_names
from lake_assets.nosql.dynamodb.catalog import Catalog
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.entry import Entry, settle
from lake_assets.nosql.dynamodb.incoming import Incoming, InRuns
from lake_assets.nosql.dynamodb.lease import Lease
from lake_assets.nosql.dynamodb.names import physical
from lake_assets.nosql.dynamodb.reading import Range, read
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.dynamodb.table_write import TableWrite
from lake_assets.nosql.dynamodb.workers import OnWorkers
from lake_assets.nosql.dynamodb.writing import Writing
from lake_assets.nosql.keys import MAX_KEY_BYTES, encode_key
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.runs import Item, merge, spool, write_runs
from lake_assets.nosql.selection import Selection

if TYPE_CHECKING:
    import pandas
    from pyspark.sql import DataFrame as SparkDataFrame

    Frame = SparkDataFrame | pandas.DataFrame | pa.Table


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
            Access(
                endpoint_url,
                region_name,
                profile_name,
                access_key_id,
                secret_access_key,
                parallel=parallel,
                writes_per_second=writes_per_second,
            )
        )
        self._tags = [{"Key": name, "Value": value} for name, value in (tags or {}).items()]
        self._catalog = Catalog(self._client, physical(prefix), lease_seconds, self._tags)

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
        """Return the number of items. It is counted only where items expire, or a write is unfinished."""
        entry = self._entry(table)
        with self._client.translated(table):
            return entry.rows if entry.is_counted else self._client.count(self._name(table))

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
        return pa.Table.from_batches([layout.there(pairs)] if pairs else [], layout.schema)

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
        wanted = Range(layout, start, end, prefix, where)
        selection = Selection(table, layout.schema, columns, where, batch_size)

        def batches() -> Iterator[pa.RecordBatch]:
            with self._client.translated(table), self._spool() as folder:
                yield from read(
                    self._client,
                    self._name(table),
                    layout,
                    wanted,
                    segment=segment,
                    batch_size=batch_size,
                    folder=folder,
                )

        return selection.of(batches())

    def items(self, table: str) -> Iterator[list[Item]]:
        """Yield all encoded items; see :meth:`NoSQLStore.items`."""
        layout, name = self._layout(table), self._name(table)
        with self._client.translated(table), self._spool() as folder:
            pages = (layout.encoded(page) for page in self._client.scan(name) if page)
            for block in merge(folder, list(write_runs(folder, pages))):
                yield layout.unexpired(block)

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
        """Write items; see :meth:`NoSQLStore.write`.

        First, all items are encoded and checked. Then stored items are read, and only what differs from them is sent.
        """
        self._refuse_where_read_only()
        plan = Plan(
            f"DynamoDB at {self._client.name}",
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
        while (target := settle(plan, self._find(table))) is not None:
            check_names(table, target.schema, target.key)
            if (result := self._attempt(plan, target)) is not None:
                return result
        return WriteResult(put=0, deleted=0, kept=0, row_count=self.row_count(table))

    def _attempt(self, plan: Plan, target: Target) -> WriteResult | None:
        """Write, unless the table is another one than its target was made for."""
        table = plan.table
        with self._client.translated(table), self._spool() as folder:
            gone = plan.deletions(target, folder)
            with self._incoming(plan, target, folder) as (incoming, after):
                incoming.check(Layout(table, plan.encoded_by(target)))
                with self._catalog.writing(table) as lease:
                    entry = self._find(table)
                    if settle(plan, entry) != target:
                        return None
                    batch = plan.options.batch
                    if entry is not None and batch is not None and self._catalog.applied(table, batch):
                        return WriteResult(0, 0, 0, self.row_count(table))
                    writing = self._writing(lease, target, plan.choice(target))
                    write = TableWrite(
                        self._client, self._catalog, lease, name=self._name(table), writing=writing, tags=self._tags
                    )
                    return write.apply(plan, after, entry, merge(folder, gone), incoming)

    @contextmanager
    def _incoming(self, plan: Plan, target: Target, folder: Path) -> Generator[tuple[Incoming, Target]]:
        """Yield the encoded items: on the workers of a Spark frame, or here; and what the table is after them."""
        if plan.is_for_workers(target):
            with OnWorkers(self._client, self._catalog, self._name(plan.table), plan, target) as incoming:
                yield incoming, target
        else:
            runs, after = plan.encode(target, folder)
            yield InRuns(folder, runs, plan.choice(target)), after

    def delete(self, table: str, keys: Sequence[Key] = (), *, where: str | None = None) -> int:
        """Delete items; see :meth:`NoSQLStore.delete`."""
        self._refuse_where_read_only()
        self._entry(table)
        with self._client.translated(table), self._catalog.writing(table) as lease:
            entry = self._entry(table)
            target = Target.of(entry.table)
            layout = Layout(table, target)
            choice = Choice(table, layout.schema, layout.key, layout.schema.names)
            writing = self._writing(lease, target, choice)
            deleted = writing.delete([[(key, b"") for key in sorted(_encoded(keys, layout))]])
            if where is not None:
                deleted += writing.delete_where(where)
            # An unfinished write stays unfinished.
            rows = entry.rows - deleted if entry.pending is None else entry.rows
            result = WriteResult(0, deleted, 0, rows)
            self._catalog.finish(lease, replace(entry, rows=rows), "delete", result)
            return deleted

    def drop(self, table: str) -> None:
        """Remove a table; see :meth:`NoSQLStore.drop`."""
        self._refuse_where_read_only()
        self._entry(table)
        with self._client.translated(table), self._catalog.writing(table) as lease:
            rows = self.row_count(table)
            self._catalog.forget(lease)
            self._catalog.finish(lease, None, "drop", WriteResult(0, rows, 0, 0))
            delete_table(self._client, self._name(table))

    # --- inside

    def _refuse_where_read_only(self) -> None:
        if self._read_only:
            raise NoSQLError(f"DynamoDB at {self._client.name}: the store was opened read-only")

    def _name(self, table: str) -> str:
        return physical(f"{self._prefix}.{table}")

    def _find(self, table: str) -> Entry | None:
        with self._client.translated(table):
            return self._catalog.find(table)

    def _entry(self, table: str) -> Entry:
        entry = self._find(table)
        if entry is None:
            raise TableNotFound(f"DynamoDB at {self._client.name}: there is no table {table!r}")
        return entry

    def _layout(self, table: str) -> Layout:
        return Layout(table, Target.of(self._entry(table).table))

    def _writing(self, lease: Lease, target: Target, choice: Choice) -> Writing:
        name, layout = self._name(lease.table), Layout(lease.table, target)
        return Writing(self._client, self._catalog, lease, name=name, layout=layout, choice=choice)

    @contextmanager
    def _spool(self) -> Generator[Path]:
        with spool(Path(tempfile.gettempdir()) / f"lake-assets-{os.getuid()}-dynamodb") as folder:
            yield folder


def _encoded(keys: Sequence[Key], layout: Layout) -> set[bytes]:
    """Return the encoded keys, without those that no item can have, and that DynamoDB would refuse."""
    encoded = {
        encode_key(key, layout.schema, layout.key)
        for key in keys
        if "" not in (key if isinstance(key, tuple) else (key,))
    }
    return {key for key in encoded if len(key) <= MAX_KEY_BYTES}
