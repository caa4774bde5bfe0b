"""Encoding an Arrow table, or a frame of Spark or pandas, into items, which are written as sorted runs.

Spark's workers encode and write the runs themselves (``mapInArrow``: Arrow columns in, names of runs out). So the
driver collects a few names and no rows. A retried task writes new runs, and only the runs of successful attempts are
returned. LMDB works on one machine: where a worker does not see the store's folder, all encoded batches come to the
driver, one partition after the other, and it writes the runs. That is slower.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.nosql.contract import NoSQLError, SchemaMismatch
from lake_assets.nosql.disk_errors import remedy
from lake_assets.nosql.keys import RefusedValueError, encode_columns
from lake_assets.nosql.rows import encode_rows
from lake_assets.nosql.runs import write_runs

if TYPE_CHECKING:
    import pandas
    from pyspark.sql import DataFrame as SparkDataFrame

    Frame = SparkDataFrame | pandas.DataFrame | pa.Table

_BATCH_ROWS = 65_536
_ITEMS = pa.schema([pa.field("key", pa.binary()), pa.field("row", pa.binary())])
_AWAY = "away"
_UNFIT = (pa.ArrowException, UnicodeError, OverflowError, TypeError)
_log = logging.getLogger(__name__)


def frame_schema(frame: Frame) -> pa.Schema:
    """Return a frame's columns as an Arrow schema.

    Raises
    ------
    NoSQLError
        The store does not support this kind of frame, or a column has no Arrow type.
    """
    if isinstance(frame, pa.Table):
        return frame.schema
    if is_spark(frame):
        from pyspark.errors import PySparkException
        from pyspark.sql.pandas.types import to_arrow_type

        fields: list[tuple[str, pa.DataType]] = []
        for field in frame.schema:
            try:
                fields.append((field.name, to_arrow_type(field.dataType)))
            except PySparkException as error:
                raise SchemaMismatch(
                    f"column {field.name!r} has type {field.dataType.simpleString()}, which the store does not support"
                ) from error
        return pa.schema(fields)
    columns = _pandas(frame).columns
    if not columns.is_unique:
        raise SchemaMismatch(f"the frame has column {str(columns[columns.duplicated()][0])!r} more than once")
    try:
        return pa.Schema.from_pandas(_pandas(frame), preserve_index=False)
    except _UNFIT as error:
        name, reason = _unfit(_pandas(frame)) or ("", error)
        raise SchemaMismatch(f"column {name!r} has values that are not of one type: {reason}: cast it") from error


def write_frame(name: str, frame: Frame, schema: pa.Schema, key: Sequence[str], folder: Path) -> list[str]:
    """Encode a frame into sorted runs, and return their names.

    Parameters
    ----------
    name
        Name of the table, for errors.
    frame
        The rows.
    schema
        The table's schema.
    key
        Names of the key columns.
    folder
        Where the runs are written.

    Raises
    ------
    SchemaMismatch
        A key is null, empty or too long, or a value does not fit its column's type.
    NoSQLError
        A run cannot be written.
    """
    names = frame_schema(frame).names
    writing = _writer(schema, key, folder, names)
    if is_spark(frame):
        # Rename the columns by position, since mapInArrow does not find names with a dot or backtick.
        frame = frame.toDF(*(f"f{at}" for at in range(len(names))))
        # One column has the name of a run, the other one a problem. Spark would retry and log an exception.
        outcomes: Any = frame.mapInArrow(writing, "run string, problem string").collect()
        if any(problem == _AWAY for _, problem in outcomes):
            _log.warning(
                "table %r: not all of Spark's workers see the store's folder %s, so its items come to the driver: "
                "that is slower",
                name,
                folder.parent.parent,
            )
            outcomes = _written_here(frame, _encoder(schema, key, names), folder)
    else:
        table: pa.Table = frame if isinstance(frame, pa.Table) else _from_pandas(frame, schema)
        batches = table.to_batches(max_chunksize=_BATCH_ROWS)
        outcomes = [row for batch in writing(iter(batches)) for row in zip(*batch.to_pydict().values(), strict=True)]
    for _, problem in outcomes:
        if problem is not None:
            kind, _, reason = problem.partition(":")
            raise (SchemaMismatch if kind == "value" else NoSQLError)(f"table {name!r}: {reason}")
    return [run for run, _ in outcomes]


def encoded_frame(frame: SparkDataFrame, schema: pa.Schema, key: Sequence[str]) -> SparkDataFrame:
    """Return the items of a Spark frame, which its workers encode: ``key``, ``row``, and a ``problem`` in their place.

    Parameters
    ----------
    frame
        The rows.
    schema
        The table's schema.
    key
        Names of the key columns.
    """
    names, key = frame_schema(frame).names, tuple(key)

    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for keys, rows in _encoded(batches, names, schema, key):
                yield pa.record_batch({"key": keys, "row": rows, "problem": pa.nulls(len(keys), pa.string())})
        except RefusedValueError as error:
            nothing = pa.nulls(1, pa.binary())
            yield pa.record_batch({"key": nothing, "row": nothing, "problem": pa.array([str(error)])})

    renamed = frame.toDF(*(f"f{at}" for at in range(len(names))))
    return renamed.mapInArrow(encode, "key binary, row binary, problem string")


def encode_batch(batch: pa.RecordBatch, schema: pa.Schema, key: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Encode a batch of rows, with columns in any order, into keys and rows of a table's schema."""
    columns: dict[str, pa.Array] = {}
    for field in schema:
        column = batch.column(batch.schema.get_field_index(field.name))
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except pa.ArrowInvalid as error:
                raise RefusedValueError(f"column {field.name!r} does not fit {field.type}: {error}") from error
        columns[field.name] = column
    keys = encode_columns([columns[name] for name in key], key)
    rows = encode_rows({name: columns[name] for name in schema.names if name not in key}, batch.num_rows)
    return keys, pa.array(rows, pa.binary())


def _encoded(
    batches: Iterable[pa.RecordBatch], names: list[str], schema: pa.Schema, key: Sequence[str]
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Encode the batches of a frame, or of one partition of Spark. An error names the row by its number, from 1."""
    before = 0
    for batch in batches:
        try:
            yield encode_batch(batch.rename_columns(names), schema, key)
        except RefusedValueError as error:
            if error.row is None:
                raise
            raise RefusedValueError(f"{error} (row {before + error.row + 1:,}{_of_partition()})") from None
        before += batch.num_rows


def _of_partition() -> str:
    """Return which of Spark's partitions this is. Nothing if it is none."""
    spark = sys.modules.get("pyspark")
    task = spark.TaskContext.get() if spark is not None else None
    return "" if task is None else f" of Spark's partition {task.partitionId()}"


def _writer(
    schema: pa.Schema, key: Sequence[str], folder: Path, names: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that a worker which sees the folder runs over its partition. It writes runs."""
    key = tuple(key)

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if not folder.is_dir():
            yield _outcome(problem=_AWAY)
            return
        try:
            for name in write_runs(folder, _encoded(batches, names, schema, key)):
                yield _outcome(run=name)
        except RefusedValueError as error:
            yield _outcome(problem=f"value:{error}")
        except OSError as error:
            yield _outcome(problem=_cannot_write(folder, error))

    return write


def _encoder(
    schema: pa.Schema, key: Sequence[str], names: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that a worker elsewhere runs over its partition. Each batch of items is an Arrow stream."""
    key = tuple(key)

    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for keys, rows in _encoded(batches, names, schema, key):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, _ITEMS) as stream:
                    stream.write_batch(pa.record_batch([keys, rows], schema=_ITEMS))
                yield _sent(items=sink.getvalue().to_pybytes())
        except RefusedValueError as error:
            yield _sent(problem=f"value:{error}")

    return encode


def _written_here(
    frame: Any, encode: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]], folder: Path
) -> list[tuple[str | None, str | None]]:
    """Write runs of what workers encode, and return the outcomes. One partition at a time is in memory."""
    problems: list[str] = []

    def items() -> Iterator[tuple[pa.Array, pa.Array]]:
        for sent, problem in frame.mapInArrow(encode, "items binary, problem string").toLocalIterator():
            if problem is not None:
                problems.append(problem)
                return
            for batch in pa.ipc.open_stream(bytes(sent)):
                yield batch.column(0), batch.column(1)

    runs: list[str] = []
    try:
        runs += write_runs(folder, items())
    except OSError as error:
        problems.append(_cannot_write(folder, error))
    return [*((run, None) for run in runs), *((None, problem) for problem in problems)]


def _cannot_write(folder: Path, error: OSError) -> str:
    return f"store:cannot write to {folder}: {error}{remedy(error)}"


def _sent(items: bytes | None = None, problem: str | None = None) -> pa.RecordBatch:
    return pa.record_batch({"items": pa.array([items], pa.binary()), "problem": pa.array([problem], pa.string())})


def _outcome(run: str | None = None, problem: str | None = None) -> pa.RecordBatch:
    return pa.record_batch({"run": pa.array([run], pa.string()), "problem": pa.array([problem], pa.string())})


def is_spark(frame: Any) -> bool:
    """Tell whether a frame is one of Spark.

    Parameters
    ----------
    frame
        The frame.
    """
    return hasattr(frame, "mapInArrow")


def _pandas(frame: Frame) -> pandas.DataFrame:
    import pandas

    if not isinstance(frame, pandas.DataFrame):
        raise NoSQLError(
            f"cannot write a {type(frame).__name__}: give a Spark frame, a pandas frame or a PyArrow table"
        )
    return frame


def _unfit(frame: pandas.DataFrame) -> tuple[str, Exception] | None:
    """Return the first column that has no Arrow type, and why."""
    for name, column in frame.items():
        try:
            pa.array(column, from_pandas=True)
        except _UNFIT as error:
            return str(name), error
    return None


def _from_pandas(frame: Frame, schema: pa.Schema) -> pa.Table:
    """Convert a pandas frame with its own types where known. Conversions are checked later, column by column."""
    fields = [
        schema.field(field.name) if pa.types.is_null(field.type) else field
        for field in frame_schema(frame)
        if field.name in schema.names
    ]
    return pa.Table.from_pandas(_pandas(frame), schema=pa.schema(fields), preserve_index=False)
