"""The result of a query's run in the lake: the changed rows, and all rows, merged with the previous ones.

DuckDB merges them in bounded memory. It takes a tenth of the time of a Spark job, and there are only as many rows as
words.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.lake.rows import bounded_connection, is_data, open_rows, sql_name, sql_text
from lake_assets.streaming.places import places_at

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from lake_assets.lake.contract import Lake, Snapshot, Write
    from lake_assets.streaming.places import StreamPlaces
    from lake_assets.streaming.query import StreamQuery

_ROWS = 1 << 18
_FILE = "part-00000"


def write_results(
    write: Write,
    places: StreamPlaces,
    query: StreamQuery,
    *,
    before: Snapshot | None,
    batches: Path,
    seen: Callable[[pyarrow.RecordBatch], None],
) -> list[str]:
    """Write the changed rows and all rows, each as one Parquet file sorted by key. Return the files beside the rows.

    Parameters
    ----------
    write
        The open write, whose prefix is that of the rows.
    places
        The paths of the stream.
    query
        The query.
    before
        The previous rows, or None.
    batches
        A folder with one folder ``batch=N`` for the changed rows of each micro-batch.
    seen
        Called with all rows while they are written.
    """
    columns, key = (", ".join(map(sql_name, names)) for names in (query.columns, query.key))
    with bounded_connection() as connection:
        _changed(connection, query, batches).create("changed")
        every = connection.table("changed")
        if before is not None:
            _open(connection, "before", before)
            every = connection.sql(f"FROM before_files ANTI JOIN changed USING ({key})").project(columns).union(every)
        every.create("every")
        schema = query.arrow_schema()
        changed = _typed(connection, f"FROM changed ORDER BY {key}", schema)
        _write(changed, schema, write, write.place(places.changes))
        _write(_seen(_typed(connection, f'FROM "every" ORDER BY {key}', schema), seen), schema, write, write.root)
        csv = f"{places.csv}/{_FILE}.csv"
        if query.csv:
            _write_csv(connection, f'FROM "every" ORDER BY {key}', write, write.place(places.csv))
        else:
            write.removed.add(csv)
    return [f"{places.changes}/{_FILE}.parquet", *[csv] * query.csv]


@contextmanager
def open_counts(lake: Lake, ref: str, prefix: str) -> Generator[DuckDBPyConnection]:
    """Open DuckDB with the view ``counts_files``, which has all rows of a stream in a ref.

    Parameters
    ----------
    lake, ref, prefix
        Where the stream is.

    Raises
    ------
    PathNotFound
        The ref has no rows of the stream.
    """
    snapshot = lake.path(ref, places_at(lake, ref, prefix).counts)
    with bounded_connection() as connection:
        _open(connection, "counts", snapshot)
        yield connection


def _changed(connection: DuckDBPyConnection, query: StreamQuery, batches: Path) -> DuckDBPyRelation:
    """Return the rows that any micro-batch changed, each with its last value."""
    files = sorted(batches.glob("*/*.parquet"))
    if not files:
        nothing = ", ".join(f"NULL::{kind} AS {sql_name(name)}" for name, kind in query.columns.items())
        return connection.sql(f"SELECT {nothing} WHERE false")
    listed = ", ".join(sql_text(str(file)) for file in files)
    connection.execute(f"CREATE VIEW batches AS FROM read_parquet([{listed}], hive_types = {{'batch': BIGINT}})")
    columns, key = (", ".join(map(sql_name, names)) for names in (query.columns, query.key))
    newest = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY batch DESC) = 1"
    several = len({file.parent for file in files}) > 1
    return connection.sql(f"FROM batches {newest if several else ''}").project(columns)


def _typed(connection: DuckDBPyConnection, rows: str, schema: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
    for batch in _reader(connection, rows):
        yield batch.cast(schema)


def _seen(
    batches: Iterable[pyarrow.RecordBatch], seen: Callable[[pyarrow.RecordBatch], None]
) -> Iterator[pyarrow.RecordBatch]:
    for batch in batches:
        seen(batch)
        yield batch


def _write(batches: Iterable[pyarrow.RecordBatch], schema: pyarrow.Schema, write: Write, folder: str) -> None:
    import pyarrow.parquet as pq

    write.filesystem.create_dir(folder, recursive=True)
    with pq.ParquetWriter(f"{folder}/{_FILE}.parquet", schema, filesystem=write.filesystem) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_csv(connection: DuckDBPyConnection, rows: str, write: Write, folder: str) -> None:
    import pyarrow.csv

    reader = _reader(connection, rows)
    write.filesystem.create_dir(folder, recursive=True)
    with (
        write.filesystem.open_output_stream(f"{folder}/{_FILE}.csv") as stream,
        pyarrow.csv.CSVWriter(stream, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def _reader(connection: DuckDBPyConnection, rows: str) -> pyarrow.RecordBatchReader:
    return connection.sql(rows).to_arrow_reader(_ROWS)


def _open(connection: DuckDBPyConnection, name: str, counts: Snapshot) -> None:
    from pyarrow.fs import FileSelector

    infos = counts.filesystem.get_file_info(FileSelector(counts.root))
    open_rows(connection, name, counts, sorted(info.path for info in infos if is_data(info.path)))
