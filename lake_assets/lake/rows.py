"""Rows of Parquet files in a snapshot, as DuckDB reads them: from local disk itself, else through PyArrow."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Snapshot

Columns = Mapping[str, str]
"""Column name to DuckDB's type."""

MEMORY = "1GB"
"""What DuckDB may hold; the rest goes to its temporary folder."""


@contextmanager
def bounded_connection() -> Generator[DuckDBPyConnection]:
    """Open DuckDB in bounded memory, with a temporary folder of its own."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute(f"SET temp_directory = {sql_text(folder)}")
        connection.execute("SET preserve_insertion_order = false")
        # Rows are the same wherever the machine stands.
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def is_data(path: str) -> bool:
    """Tell whether a path is that of a Parquet file with rows."""
    return path.endswith(".parquet") and not path.rpartition("/")[2].startswith(("_", "."))


def place_in(snapshot: Snapshot, path: str) -> str:
    """Return where a path of the lake is, for the snapshot's filesystem."""
    below = path[len(snapshot.prefix) :].lstrip("/")
    return f"{snapshot.root}/{below}" if below else snapshot.root


def open_rows(
    connection: DuckDBPyConnection, name: str, snapshot: Snapshot, files: Sequence[str], folders: Sequence[str] = ()
) -> Columns:
    """Make a view ``<name>_files`` of the rows in Parquet files; return its columns.

    Parameters
    ----------
    files
        As :func:`place_in` returns them; one at least.
    folders
        Columns that their folders name, in Hive's manner.
    """
    from pyarrow.fs import LocalFileSystem

    if isinstance(snapshot.filesystem, LocalFileSystem):
        options = f"union_by_name = true, hive_types_autocast = false, hive_partitioning = {str(bool(folders)).lower()}"
        listed = ", ".join(map(sql_text, files))
        rows = f"read_parquet([{listed}], {options})"
        leaves = connection.execute(f"FROM parquet_schema([{listed}]) SELECT DISTINCT name WHERE type = 'INT96'")
        instants = {leaf for (leaf,) in leaves.fetchall()}
    else:
        rows = f"{name}_dataset"
        connection.register(rows, _dataset(snapshot, files, folders))
        instants = _int96(snapshot, files[0])
    described = connection.execute(f"DESCRIBE FROM {rows}").fetchall()
    columns = {column[0]: column[1] for column in described}
    # What Spark wrote as INT96 is an instant, though nothing in the file says so.
    zoned = [column for column, kind in columns.items() if column in instants and kind.startswith("TIMESTAMP")]
    casts = ", ".join(f"{sql_name(column)}::TIMESTAMPTZ AS {sql_name(column)}" for column in zoned)
    connection.execute(f"CREATE VIEW {name}_files AS FROM {rows} SELECT * {f'REPLACE ({casts})' if casts else ''}")
    return columns | dict.fromkeys(zoned, "TIMESTAMP WITH TIME ZONE")


def _dataset(snapshot: Snapshot, files: Sequence[str], folders: Sequence[str]) -> Any:
    """Return files that are not on a local disk, read through their own filesystem."""
    import pyarrow
    import pyarrow.dataset as ds

    strings = pyarrow.schema([(folder, pyarrow.string()) for folder in folders])
    hive = ds.partitioning(strings, flavor="hive") if folders else None
    microseconds = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")
    return ds.dataset(list(files), format=microseconds, filesystem=snapshot.filesystem, partitioning=hive)


def _int96(snapshot: Snapshot, file: str) -> set[str]:
    import pyarrow.parquet as pq

    schema = pq.read_metadata(file, filesystem=snapshot.filesystem).schema
    leaves = (schema.column(index) for index in range(len(schema)))
    return {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}


def sql_name(column: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def sql_text(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"
