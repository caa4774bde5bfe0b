"""Rows of Parquet files in a snapshot, read by DuckDB."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Snapshot

Columns = Mapping[str, str]
"""Column name to DuckDB's type."""

MEMORY = "1GB"
"""DuckDB's memory limit. Beyond it, DuckDB uses its temporary folder."""

_FOOTERS_AT_ONCE = 8


@contextmanager
def bounded_connection() -> Generator[DuckDBPyConnection]:
    """Open DuckDB with bounded memory and its own temporary folder."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute(f"SET temp_directory = {sql_text(folder)}")
        connection.execute("SET preserve_insertion_order = false")
        # Rows do not depend on the machine's time zone.
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def is_data(path: str) -> bool:
    """Tell whether a path is that of a Parquet file with rows."""
    return path.endswith(".parquet") and not path.rpartition("/")[2].startswith(("_", "."))


def place_in(snapshot: Snapshot, path: str) -> str:
    """Return a path of the lake as a path on the snapshot's filesystem."""
    below = path[len(snapshot.prefix) :].lstrip("/")
    return f"{snapshot.root}/{below}" if below else snapshot.root


def open_rows(
    connection: DuckDBPyConnection, name: str, snapshot: Snapshot, files: Sequence[str], folders: Sequence[str] = ()
) -> Columns:
    """Create a view ``<name>_files`` of the rows in Parquet files, and return its columns.

    Parameters
    ----------
    connection
        Where the view is created.
    name
        Name of the view, without its suffix.
    snapshot
        The snapshot that holds the files.
    files
        Paths as :func:`place_in` returns them; at least one.
    folders
        Names of columns that are Hive partition folders.
    """
    # DuckDB takes each NAME=VALUE of a path for a partition column, also above the snapshot: of the lake's own folder.
    if not (folders and "=" in snapshot.root.removesuffix(snapshot.prefix)):
        listed = ", ".join(map(sql_text, read_paths(connection, snapshot, files)))
        alike, instants = _schemas(connection, listed, len(files))
        # To unite columns, DuckDB opens all files each time that it looks at a query.
        options = f"union_by_name = {not alike}, hive_types_autocast = false, hive_partitioning = {bool(folders)}"
        rows = f"read_parquet([{listed}], {options})"
    else:
        rows, instants = _register(connection, name, snapshot, files, folders)
    described = connection.execute(f"DESCRIBE FROM {rows}").fetchall()
    columns = {column[0]: column[1] for column in described}
    # Spark writes instants as INT96, which the file does not mark as UTC.
    zoned = [column for column, kind in columns.items() if column in instants and kind.startswith("TIMESTAMP")]
    casts = ", ".join(f"{sql_name(column)}::TIMESTAMPTZ AS {sql_name(column)}" for column in zoned)
    connection.execute(f"CREATE VIEW {name}_files AS FROM {rows} SELECT * {f'REPLACE ({casts})' if casts else ''}")
    return columns | dict.fromkeys(zoned, "TIMESTAMP WITH TIME ZONE")


def read_paths(connection: DuckDBPyConnection, snapshot: Snapshot, files: Sequence[str]) -> Sequence[str]:
    """Return the paths by which DuckDB reads files.

    Parameters
    ----------
    connection
        Reads them.
    snapshot, files
        As of :func:`open_rows`.
    """
    from pyarrow.fs import LocalFileSystem

    if isinstance(snapshot.filesystem, LocalFileSystem):
        return files
    from lake_assets.lake.duckdb_files import duckdb_paths

    return duckdb_paths(connection, snapshot, files)


def _schemas(connection: DuckDBPyConnection, listed: str, count: int) -> tuple[bool, set[str]]:
    """Tell whether all files have the same columns, none of which is nested, and return the INT96 columns."""
    columns = connection.execute(
        f"FROM parquet_schema([{listed}]) SELECT name, type, num_children, count(*), type_length, converted_type, "
        "scale, precision, logical_type GROUP BY ALL"
    ).fetchall()
    # Only the root of each file has columns below it.
    roots = sum(times for _, _, below, times, *_ in columns if below is not None)
    alike = roots == count and all(times == count for _, _, below, times, *_ in columns if below is None)
    return alike, {name for name, kind, *_ in columns if kind == "INT96"}


def _register(
    connection: DuckDBPyConnection, name: str, snapshot: Snapshot, files: Sequence[str], folders: Sequence[str]
) -> tuple[str, set[str]]:
    """Let DuckDB read files through the snapshot's filesystem. Return their rows in SQL, and the INT96 columns.

    A dataset of PyArrow has the columns of its first file. So there is one for each schema, and DuckDB unites them by
    name, as it does files on a local disk.
    """
    import pyarrow
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    def footer(file: str) -> pq.FileMetaData:
        return pq.read_metadata(file, filesystem=snapshot.filesystem)

    # Paths of lakeFS have the prefix in the root, and so its partition folders.
    base = snapshot.root.removesuffix(snapshot.prefix)
    folders = [folder for folder in folders if f"/{folder}=" in f"/{files[0][len(base) :]}"]
    strings = pyarrow.schema([(folder, pyarrow.string()) for folder in folders])
    hive = ds.partitioning(strings, flavor="hive") if folders else None
    microseconds = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")
    alike: dict[pyarrow.Schema, list[str]] = {}
    instants: set[str] = set()
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        for file, metadata in zip(files, pool.map(footer, files), strict=True):
            columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
            instants.update(column.path for column in columns if column.physical_type == "INT96")
            alike.setdefault(metadata.schema.to_arrow_schema().remove_metadata(), []).append(file)
    for number, group in enumerate(alike.values()):
        dataset = ds.dataset(
            group,
            format=microseconds,
            filesystem=snapshot.filesystem,
            partitioning=hive,
            partition_base_dir=base,
        )
        connection.register(f"{name}_dataset_{number}", dataset)
    united = " UNION ALL BY NAME ".join(f"FROM {name}_dataset_{number}" for number in range(len(alike)))
    last = ", ".join(map(sql_name, folders))
    return (f"(FROM ({united}) SELECT * EXCLUDE ({last}), {last})" if folders else f"({united})"), instants


def aligned(names: Sequence[str], here: Columns, there: Columns) -> str:
    """Return the columns of one of two views in the order of names, for a query that takes columns by their place.

    Parameters
    ----------
    names
        The names. One that is missing is null.
    here, there
        The columns of the view, and of the other one.
    """
    return ", ".join(
        sql_name(name) if name in here else f"CAST(NULL AS {there[name]}) AS {sql_name(name)}" for name in names
    )


def sql_name(column: str) -> str:
    """Return a column's name, quoted for SQL."""
    return '"' + column.replace('"', '""') + '"'


def sql_text(value: str) -> str:
    """Return a text, quoted for SQL."""
    return "'" + value.replace("'", "''") + "'"
