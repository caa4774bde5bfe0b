"""What a run of a query leaves in the lake: the rows it changed, and all rows, merged from those of before.

DuckDB merges, in bounded memory: it takes a tenth of the time of a Spark job, and rows are as few as there are words.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lake_assets.lake.rows import bounded_connection, is_data, open_rows, place_in, sql_text

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Lake, Snapshot, Write
    from lake_assets.streaming.query import StreamQuery

COUNTS = "counts"
"""Folder of all rows, below a stream's prefix."""
CHANGES = "changes"
"""Folder of the rows that the last run changed."""
CSV = "csv"
"""Folder of all rows as CSV."""

_ROWS = 1 << 18
_FILE = "part-00000"


class Results(NamedTuple):
    """All rows: their number, and a digest of them, whatever their order."""

    rows: int
    digest: str


def write_results(write: Write, query: StreamQuery, before: Snapshot | None, batches: Path) -> Results:
    """Write what changed and all rows, each as one Parquet file, sorted by key.

    Parameters
    ----------
    before
        All rows of before.
    batches
        A folder with a folder ``batch=N`` of what each micro-batch changed.
    """
    with bounded_connection() as connection:
        columns = ", ".join(map(_name, query.columns))
        key = ", ".join(map(_name, query.key))
        changed = _changed(connection, query, columns, key, batches)
        _write(connection, f"FROM ({changed}) ORDER BY {key}", write, CHANGES, query)
        every = changed
        if before is not None:
            files = [place_in(before, path) for path in _files(before)]
            open_rows(connection, "before", before, files)
            kept = f"SELECT {columns} FROM before_files ANTI JOIN ({changed}) AS changed USING ({key})"  # noqa: S608
            every = f"{kept} UNION ALL {changed}"
        connection.execute(f'CREATE TEMP VIEW "every" AS {every}')
        _write(connection, f'FROM "every" ORDER BY {key}', write, COUNTS, query)
        if query.csv:
            _write_csv(connection, f'FROM "every" ORDER BY {key}', write)
        seen = connection.execute(f'SELECT count(*), sum(hash({columns})::HUGEINT) FROM "every"').fetchone()  # noqa: S608
        assert seen is not None
        return Results(int(seen[0]), f"{int(seen[1] or 0):x}")


@contextmanager
def open_counts(lake: Lake, ref: str, prefix: str) -> Generator[DuckDBPyConnection]:
    """Open DuckDB with the view ``counts_files``: all rows of the stream at a prefix, as a ref holds them.

    Raises
    ------
    PathNotFound
        There are none.
    """
    snapshot = lake.path(ref, f"{prefix}/{COUNTS}")
    with bounded_connection() as connection:
        open_rows(connection, "counts", snapshot, [place_in(snapshot, path) for path in _files(snapshot)])
        yield connection


def _changed(connection: DuckDBPyConnection, query: StreamQuery, columns: str, key: str, batches: Path) -> str:
    """Return the query of the rows that any micro-batch changed, as the last one left them."""
    numbers = sorted(path.name for path in batches.iterdir())
    if not any(batches.glob("*/*.parquet")):
        return (
            f"SELECT {', '.join(f'NULL::{kind} AS {_name(name)}' for name, kind in query.columns.items())} WHERE false"
        )
    files = sql_text(f"{batches}/*/*.parquet")
    connection.execute(f"CREATE VIEW batches AS FROM read_parquet({files}, hive_types = {{'batch': BIGINT}})")
    if len(numbers) == 1:
        return f"SELECT {columns} FROM batches"  # noqa: S608
    newest = f"row_number() OVER (PARTITION BY {key} ORDER BY batch DESC) = 1"
    return f"SELECT {columns} FROM batches QUALIFY {newest}"  # noqa: S608


def _write(connection: DuckDBPyConnection, rows: str, write: Write, folder: str, query: StreamQuery) -> None:
    import pyarrow.parquet as pq

    schema = query.arrow_schema()
    write.filesystem.create_dir(f"{write.root}/{folder}", recursive=True)
    place = f"{write.root}/{folder}/{_FILE}.parquet"
    with pq.ParquetWriter(place, schema, filesystem=write.filesystem) as writer:
        for batch in _reader(connection, rows):
            writer.write_batch(batch.cast(schema))


def _write_csv(connection: DuckDBPyConnection, rows: str, write: Write) -> None:
    import pyarrow.csv

    reader = _reader(connection, rows)
    write.filesystem.create_dir(f"{write.root}/{CSV}", recursive=True)
    place = f"{write.root}/{CSV}/{_FILE}.csv"
    with (
        write.filesystem.open_output_stream(place) as stream,
        pyarrow.csv.CSVWriter(stream, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def _reader(connection: DuckDBPyConnection, rows: str) -> pyarrow.RecordBatchReader:
    return connection.sql(rows).to_arrow_reader(_ROWS)


def _files(snapshot: Snapshot) -> list[str]:
    from pyarrow.fs import FileSelector

    infos = snapshot.filesystem.get_file_info(FileSelector(snapshot.root))
    return sorted(f"{snapshot.prefix}/{info.base_name}" for info in infos if is_data(info.path))


def _name(column: str) -> str:
    return f'"{column}"'
