"""Runs a query: parsed, checked, its names replaced by views of an asset's files, and run by DuckDB with locked doors.

Each door alone would do, and none is trusted: the tree consists only of what is allowed; it is run as a subquery, in
which DuckDB refuses what writes; DuckDB reaches no other file than those of the views; its settings are locked.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import open_rows, sql_text
from lake_assets.sql.catalog import At, Catalog, ParquetFiles, Source
from lake_assets.sql.changes import Columns, changed_rows
from lake_assets.sql.errors import SqlError
from lake_assets.sql.references import drop_schemas, is_changes, path_of, references, replace_by_view
from lake_assets.sql.syntax import Node, check, parse, position_of, statement, to_text

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

_BATCH = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a query may take.

    Parameters
    ----------
    seconds
        Time in DuckDB.
    memory, disk
        Memory, and space on disk beyond it, as DuckDB writes them.
    result_bytes
        Size of the result in memory, as Arrow.
    """

    seconds: float = 300
    memory: str = "2GB"
    disk: str = "20GB"
    result_bytes: int = 1 << 30


@dataclass(slots=True)
class Result:
    """The rows of a query, which are computed as they are read.

    Parameters
    ----------
    schema
        The columns, with the names that the query gives them. Two may have the same name.
    unique_names
        Names of the columns, of which no two are the same.
    """

    schema: pyarrow.Schema
    unique_names: Sequence[str]
    _batches: Iterator[pyarrow.RecordBatch] = field(repr=False)

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows in batches. They can be read once."""
        return self._batches


@contextmanager
def run_query(
    text: str, catalog: Catalog, *, bounds: Bounds | None = None, parameters: Mapping[str, Any] | None = None
) -> Generator[Result]:
    """Run a query, which only reads.

    Parameters
    ----------
    text
        The query.
    catalog
        What it can read by name.
    bounds
        How much it may take.
    parameters
        Values of its ``$name``.

    Raises
    ------
    SqlError
        It is refused, fails, or takes more than it may.

    Examples
    --------
    >>> with run_query("SELECT ISIN FROM stocks_parquet AT (VERSION => 'v1')", catalog) as result:
    ...     table = pyarrow.Table.from_batches(result, result.schema)
    """
    import duckdb

    bounds = bounds or Bounds()
    with ExitStack() as opened:
        parser = opened.enter_context(_connection(bounds))
        connection = opened.enter_context(_connection(bounds))
        tree: Node = {}
        try:
            _lock(parser)
            tree = parse(parser, text)
            _open_names(tree, text, catalog, parser, connection)
            _lock(connection)
            run = to_text(parser, tree)
            yield _result(connection, run, bounds, parameters)
        except duckdb.InterruptException as error:
            raise SqlError(f"the query took longer than {bounds.seconds:g} s") from error
        except duckdb.OutOfMemoryException as error:
            raise SqlError(f"the query needs more than {bounds.memory} of memory: {_first_line(error)}") from error
        except RecursionError as error:
            raise SqlError("the query is nested too deeply") from error
        except duckdb.Error as error:
            raise SqlError(_first_line(error), text, _position(connection, tree, error)) from error


@contextmanager
def _connection(bounds: Bounds) -> Generator[DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": bounds.memory,
            "temp_directory": folder,
            "max_temp_directory_size": bounds.disk,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # A name is that of an asset, and never of a variable in this process.
            "python_enable_replacements": False,
        }
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _lock(connection: DuckDBPyConnection) -> None:
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _open_names(
    tree: Node, text: str, catalog: Catalog, parser: DuckDBPyConnection, connection: DuckDBPyConnection
) -> None:
    """Make a view for each name, and let the tree read the views."""
    views = _Views(connection, catalog)
    for reference in list(references(tree)):
        try:
            if is_changes(reference):
                view = views.changes(*_arguments(parser, reference, text))
            else:
                path = path_of(reference)
                view = views.rows(path, _at(parser, reference, text))
                if len(path) > 1 and not reference["alias"]:
                    drop_schemas(tree, path)
        except SqlError as error:
            raise error if error.is_placed else SqlError(str(error), text, position_of(reference)) from error
        replace_by_view(reference, view)
    views.allow_files()


class _Views:
    """The views that a query reads."""

    def __init__(self, connection: DuckDBPyConnection, catalog: Catalog) -> None:
        self._connection, self._catalog = connection, catalog
        self._made: dict[object, tuple[str, Columns]] = {}
        self._files: list[str] = []

    def rows(self, path: Sequence[str], at: At | None) -> str:
        return self._view(path, at)[0]

    def changes(self, path: Sequence[str], left: str, right: str, key: Sequence[str]) -> str:
        (old, before), (new, after) = (self._view(path, At(ref)) for ref in (left, right))
        view = f"changes_{len(self._made)}"
        self._made[view] = (view, {})
        self._connection.execute(f"CREATE VIEW {view} AS {changed_rows(old, new, before, after, key)}")
        return view

    def _view(self, path: Sequence[str], at: At | None) -> tuple[str, Columns]:
        wanted = (*path, at)
        if wanted not in self._made:
            self._made[wanted] = self._open(f"rows_{len(self._made)}", self._catalog.find(path, at))
        return self._made[wanted]

    def _open(self, name: str, source: Source) -> tuple[str, Columns]:
        if isinstance(source, ParquetFiles):
            self._files += source.files
            return f"{name}_files", open_rows(self._connection, name, source.snapshot, source.files, source.folders)
        from lake_assets.sql.arrow import as_dataset

        self._connection.register(name, as_dataset(source))
        described = self._connection.execute(f"DESCRIBE FROM {name}").fetchall()
        return name, {column[0]: column[1] for column in described}

    def allow_files(self) -> None:
        if self._files:
            listed = ", ".join(map(sql_text, self._files))
            self._connection.execute(f"SET allowed_paths = [{listed}]")


def _at(parser: DuckDBPyConnection, reference: Node, text: str) -> At | None:
    clause = reference["at_clause"]
    if not clause:
        return None
    value = _value(parser, clause["expr"], text)
    if clause["unit"].upper() == "VERSION":
        return At(ref=str(value))
    if isinstance(value, str):
        value = _value(parser, clause["expr"], text, kind="TIMESTAMP WITH TIME ZONE")
    if not isinstance(value, datetime):
        raise SqlError("AT (TIMESTAMP => …) needs a time, such as '2026-11-26 12:00:00'")
    return At(time=value if value.tzinfo else value.replace(tzinfo=timezone.utc))


def _arguments(parser: DuckDBPyConnection, reference: Node, text: str) -> tuple[Sequence[str], str, str, Sequence[str]]:
    given = reference["function"]["arguments"]
    values = [_value(parser, argument["expression"], text) for argument in given]
    names = [argument["name"] for argument in given]
    key = values.pop() if len(values) == 4 and names[3] in ("", "key") else []
    if len(values) != 3 or any(names[:3]) or not all(isinstance(value, str) for value in values):
        raise SqlError("write changes('asset', 'ref', 'other ref'), or with key := ['column', …]")
    asset, left, right = values
    return asset.split("."), left, right, [key] if isinstance(key, str) else key


def _value(parser: DuckDBPyConnection, expression: Node, text: str, kind: str = "") -> Any:
    """Return the value of an expression that is the same for all rows."""
    import duckdb

    query = parse(parser, "SELECT 1")["statements"][0]["node"]
    query["select_list"] = [expression]
    check(query, text)
    run = to_text(parser, statement(query))
    try:
        wanted = f"value::{kind}" if kind else "value"
        found = parser.execute(f"SELECT {wanted} FROM ({run}) AS t(value)").fetchone()  # noqa: S608
    except duckdb.Error as error:
        raise SqlError(f"not a constant: {_first_line(error)}", text, position_of(expression)) from error
    return found[0] if found else None


def _result(connection: DuckDBPyConnection, run: str, bounds: Bounds, parameters: Mapping[str, Any] | None) -> Result:
    clock = _Clock(connection, bounds.seconds)
    with clock:
        # DuckDB binds what stands in a subquery as a query, and refuses there what writes.
        inner = f"SELECT * FROM ({run})"  # noqa: S608
        relation = connection.sql(inner, params=dict(parameters) if parameters else None)
        unique = list(relation.columns)
        names = _own_names(connection, run, unique, parameters)
        reader = relation.to_arrow_reader(_BATCH)
    schema = reader.schema
    for at, name in enumerate(names):
        schema = schema.set(at, schema.field(at).with_name(name))
    batches = _within(reader, schema, clock, bounds)
    # An error in a row comes before anything is printed, if it comes soon.
    first = list(islice(batches, 1))
    return Result(schema, unique, chain(first, batches))


def _own_names(
    connection: DuckDBPyConnection, run: str, unique: Sequence[str], parameters: Mapping[str, Any] | None
) -> Sequence[str]:
    """Return the names of the columns as the query has them: in a subquery, DuckDB numbers those that are alike."""
    if not any(re.search(r"_\d+$", name) for name in unique):
        return unique
    described = connection.execute(f"DESCRIBE {run}", dict(parameters) if parameters else None).fetchall()
    return [column[0] for column in described]


def _within(
    reader: pyarrow.RecordBatchReader, schema: pyarrow.Schema, clock: _Clock, bounds: Bounds
) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    size = 0
    while True:
        with clock:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (pyarrow.ArrowException, OSError) as error:
                clock.refuse_late()
                raise SqlError(_first_line(error)) from error
        size += batch.nbytes
        if size > bounds.result_bytes:
            raise SqlError(
                f"the result has more than {bounds.result_bytes / 1e6:,.0f} MB: add a LIMIT, select fewer columns, or "
                "allow more"
            )
        yield pyarrow.RecordBatch.from_arrays(batch.columns, schema=schema)


class _Clock:
    """Counts the time in DuckDB, and interrupts it when the time is over."""

    def __init__(self, connection: DuckDBPyConnection, seconds: float) -> None:
        self._connection, self._seconds, self._left = connection, seconds, seconds

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._timer = threading.Timer(max(self._left, 0), self._connection.interrupt)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._left -= time.monotonic() - self._began

    def refuse_late(self) -> None:
        if time.monotonic() - self._began >= self._left:
            raise SqlError(f"the query took longer than {self._seconds:g} s")


def _position(connection: DuckDBPyConnection, tree: Node, error: Exception) -> int | None:
    """Return where in the text DuckDB found an error. It names a place in its own text, so the tree is bound again."""
    import duckdb

    if not isinstance(error, (duckdb.BinderException, duckdb.CatalogException)):
        return None
    try:
        with connection.cursor() as again:
            again.execute("DESCRIBE SELECT * FROM json_execute_serialized_sql(?::VARCHAR)", [json.dumps(tree)])
    except duckdb.Error as located:
        shown = re.search(r"\nLINE 1: (.*)\n( *)\^", str(located))
        return len(shown[2]) - len("LINE 1: ") if shown else None
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).split("\n\n")[0].splitlines()
    return " ".join(line.strip() for line in lines if line.strip())
