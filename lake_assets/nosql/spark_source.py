"""Spark's DataSource ``lake_nosql``: tables read by segments and written from Spark's workers, in batches and streams.

Spark gives such a source no filters and no columns, so both are options. Its workers import this package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    DataSourceStreamWriter,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from lake_assets.nosql.contract import NoSQLError, NoSQLStore
from lake_assets.nosql.opening import open_store
from lake_assets.nosql.options import Options
from lake_assets.nosql.staging import Staging

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

_SEGMENTS = 4
_READING = {"segments", "columns", "where", "start", "end", "begins_with"}
_WRITING = {
    *("key", "sort_key", "partition", "spread", "ttl", "mode", "newest_by", "allow_overwrite_schema"),
    *("update", "condition", "counter", "set", "batch"),
}
_OF_SPARK = {"checkpointlocation", "queryname"}
"""Options of a stream that are Spark's own, but are given to its sink, too."""

_STORE = {"store", "table", "path", "endpoint", "region"}


class TableSource(DataSource):
    """The DataSource ``lake_nosql``.

    ``store`` is the address of the store (``lmdb:///FOLDER`` or ``dynamodb://PREFIX``, with ``endpoint`` and
    ``region``), and ``table`` the name of a table. Credentials come from the AWS chain of each worker. Values that are
    not text are JSON.

    A read takes ``segments`` (the number of partitions), ``columns``, ``where``, ``start``, ``end`` and
    ``begins_with``. A write takes ``key``, ``sort_key``, ``partition``, ``spread``, ``ttl``, ``mode``, ``newest_by``,
    ``allow_overwrite_schema``, ``update``, ``condition``, ``counter``, ``set`` and ``batch``. Names of columns are
    comma separated.

    Examples
    --------
    >>> spark.dataSource.register(TableSource)
    >>> spark.read.format("lake_nosql").option("store", "lmdb:///tables").option("table", "bars").load()
    """

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "lake_nosql"

    @property
    def _given(self) -> dict[str, str]:
        # Spark does not tell options apart by case.
        return {name.lower(): value for name, value in self.options.items()}

    def schema(self) -> StructType:
        """Return the wanted columns of the table."""
        given = _Given(self._given)
        with closing(given.open(read_only=True)) as store:
            schema = store.schema(given.table)
        columns = given.names("columns") or schema.names
        unknown = [name for name in columns if name not in schema.names]
        if unknown:
            raise NoSQLError(f"table {given.table!r} has no column {unknown[0]!r}: it has {', '.join(schema.names)}")
        return from_arrow_schema(pa.schema([schema.field(name) for name in columns]))

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return what reads the table.

        Parameters
        ----------
        schema
            The columns.
        """
        return _Reader(_Given(self._given, _READING), schema.fieldNames())

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:
        """Return what writes a frame.

        Parameters
        ----------
        schema
            Columns of the frame.
        overwrite
            Whether the frame replaces the table.
        """
        return _Writer(_Given(self._given, _WRITING), schema, overwrite)

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamWriter:  # noqa: N802
        """Return what writes the batches of a stream.

        Parameters
        ----------
        schema
            Columns of the stream.
        overwrite
            Whether each batch replaces the table, as in output mode "complete".
        """
        return _StreamWriter(_Given(self._given, _WRITING | _OF_SPARK), schema, overwrite)


class _Given:
    """The options of a read or write."""

    def __init__(self, options: dict[str, str], known: set[str] | None = None) -> None:
        unknown = sorted({*options} - known - _STORE) if known is not None else ()
        if unknown:
            raise NoSQLError(f"lake_nosql has no option {unknown[0]!r}: it has {', '.join(sorted(known or ()))}")
        self.options = options
        self.table = options.get("table") or options.get("path") or ""
        if not self.table or not options.get("store"):
            raise NoSQLError("lake_nosql: give the options store (lmdb:///FOLDER or dynamodb://PREFIX) and table")

    def open(self, *, read_only: bool = False) -> NoSQLStore:
        given = self.options
        return open_store(
            given["store"], endpoint=given.get("endpoint"), region=given.get("region"), read_only=read_only
        )

    def names(self, name: str) -> list[str]:
        given = self.options.get(name, "")
        found: Any = json.loads(given) if given.startswith("[") else [one.strip() for one in given.split(",") if one]
        return found

    def number(self, name: str, default: int) -> int:
        given = self.options.get(name)
        try:
            return default if given is None else int(given)
        except ValueError:
            raise NoSQLError(f"lake_nosql: option {name} is {given!r}, not a whole number") from None

    def key_bound(self, name: str) -> Any:
        """Return a key: text, or JSON of a number or a list."""
        given = self.options.get(name)
        if given is None:
            return None
        try:
            found = json.loads(given)
        except ValueError:
            return given
        return tuple(found) if isinstance(found, list) else found

    def write(self, rows: pa.Table, overwrite: bool, batch: str | None = None) -> None:
        """Write rows as the options say."""
        given = self.options
        options = Options(
            update=given.get("update", "replace"),  # pyright: ignore[reportArgumentType] - it is checked
            condition=given.get("condition"),
            counter=self.names("counter"),
            set=json.loads(given.get("set", "{}")),
            batch=batch or given.get("batch"),
            partition=self.names("partition"),
            spread=self.number("spread", 1),
            ttl=given.get("ttl"),
        )
        mode: Any = "overwrite" if overwrite else given.get("mode", "append")
        with closing(self.open()) as store:
            store.write(
                self.table,
                rows,
                key=[*self.names("key"), *self.names("sort_key")],
                mode=mode,
                newest_by=self.names("newest_by"),
                allow_overwrite_schema=given.get("allow_overwrite_schema", "").lower() == "true",
                options=options,
            )

    @property
    def by_workers(self) -> bool:
        """Whether each worker writes its rows itself: to DynamoDB, where rows do not depend on each other."""
        plain = {"mode", "counter", "set", "batch"}.isdisjoint(self.options)
        return self.options["store"].startswith("dynamodb:") and plain and bool(self.names("key"))


@dataclass
class _Segment(InputPartition):
    number: int


class _Reader(DataSourceReader):
    def __init__(self, given: _Given, columns: list[str]) -> None:
        self._given, self._columns = given, columns
        self._segments = given.number("segments", _SEGMENTS)
        if self._segments < 1:
            raise NoSQLError(f"lake_nosql: segments is {self._segments}, not 1 or more")

    def partitions(self) -> list[InputPartition]:
        return [_Segment(number) for number in range(self._segments)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        given, number = self._given, partition.number if isinstance(partition, _Segment) else 0
        with closing(given.open(read_only=True)) as store:
            yield from store.scan(
                given.table,
                given.key_bound("start"),
                given.key_bound("end"),
                10_000,
                prefix=given.key_bound("begins_with"),
                columns=self._columns,
                where=given.options.get("where"),
                segment=(number, self._segments),
            )


@dataclass
class _Staged(WriterCommitMessage):
    file: str | None


class _Writing(DataSourceArrowWriter):
    """Workers stage their rows in files, and the driver writes them at once, or workers write them themselves."""

    def __init__(self, given: _Given, schema: StructType, overwrite: bool) -> None:
        self._given, self._overwrite = given, overwrite
        self._schema = schema.json()
        self._staging = Staging(given.options["store"])

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        if self._overwrite or not self._given.by_workers:
            return _Staged(self._staging.add(iterator))
        for batch in iterator:
            self._given.write(pa.Table.from_batches([batch]), overwrite=False)
        return _Staged(None)

    def _commit(self, messages: list[WriterCommitMessage | None], batch: str | None = None) -> None:
        if self._overwrite or not self._given.by_workers:
            files = [message.file for message in messages if isinstance(message, _Staged) and message.file]
            with self._staging.rows(files, self._empty()) as rows:
                self._given.write(rows, self._overwrite, batch)

    def _empty(self) -> pa.Table:
        from pyspark.sql.types import StructType

        return to_arrow_schema(StructType.fromJson(json.loads(self._schema))).empty_table()


class _Writer(_Writing):
    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        self._commit(messages)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        del messages
        self._staging.clear()


class _StreamWriter(_Writing, DataSourceStreamWriter):
    """Writes batches of a stream. It is an Arrow writer, too, so that it gets Arrow batches and not rows."""

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # pyright: ignore # noqa: N803
        name = self._given.options.get("batch")
        self._commit(messages, None if name is None else f"{name} {batchId}")

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # pyright: ignore # noqa: N803
        del messages, batchId
        self._staging.clear()
