"""Runs a query: parsed, checked, its names replaced by views of an asset's files, and run by DuckDB with locked doors.

Each door alone would do, and none is trusted: the tree consists only of what is allowed; it is run as a subquery, in
which DuckDB refuses what writes; DuckDB reaches no other file than those of the views; its settings are locked.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lake_assets.sql.catalog import Catalog
from lake_assets.sql.clock import Clock
from lake_assets.sql.constants import used_values
from lake_assets.sql.errors import OpenPivotError, SqlError, first_line
from lake_assets.sql.exact_types import exact_query
from lake_assets.sql.pivots import name_values
from lake_assets.sql.syntax import Node, parse, to_text
from lake_assets.sql.views import open_names

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

_BATCH = 20_000

_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # A name is that of an asset, and never of a variable in this process.
    "python_enable_replacements": False,
}


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
    abandon
        Called if DuckDB goes on for half a minute after its time, since it stops a function only when this returns. It
        may end the process.
    """

    seconds: float = 300
    memory: str = "2GB"
    disk: str = "20GB"
    result_bytes: int = 1 << 30
    abandon: Callable[[], object] | None = None


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
    text: str,
    catalog: Catalog,
    *,
    bounds: Bounds | None = None,
    parameters: Mapping[str, Any] | None = None,
    exact: bool = False,
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
        Values of its ``$name``. Others are ignored.
    exact
        Whether values that Arrow or a format has not exactly, such as intervals, come as texts.

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
    values = {name: _plain(value) for name, value in (parameters or {}).items()}
    with ExitStack() as opened:
        parser = opened.enter_context(open_parser())
        connection: DuckDBPyConnection | None = None
        clock: Clock | None = None
        tree: Node = {}
        try:
            try:
                tree = parse(parser, text)
            except OpenPivotError:
                text = name_values(text, lambda query: _values(query, catalog, bounds, values))
                tree = parse(parser, text)
            # What is refused opens no database.
            connection = opened.enter_context(_connection(bounds))
            clock = Clock(connection, bounds.seconds, bounds.abandon)
            open_names(tree, text, catalog, parser, connection=connection, parameters=values, clock=clock)
            _lock(connection)
            run = to_text(parser, tree)
            yield _result(
                connection, run, bounds=bounds, clock=clock, parameters=used_values(tree, text, values), exact=exact
            )
        except duckdb.InterruptException as error:
            raise SqlError(f"the query took longer than {bounds.seconds:g} s") from error
        except duckdb.OutOfMemoryException as error:
            raise SqlError(f"the query needs more than {bounds.memory} of memory: {first_line(error)}") from error
        except RecursionError as error:
            raise SqlError("the query is nested too deeply") from error
        except duckdb.Error as error:
            if clock is not None:
                clock.refuse_late()
            position = _position(connection, tree, error) if connection is not None else None
            raise SqlError(first_line(error), text, position) from error


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python: DuckDB knows few of NumPy's."""
    import numpy as np

    is_number = isinstance(value, np.bool_ | np.number) and not isinstance(value, np.timedelta64)
    return value.item() if is_number else value


def open_parser() -> DuckDBPyConnection:
    """Return a connection that parses queries, and runs none. The caller closes it."""
    return _parser(os.getpid()).cursor()


@cache
def _parser(process: int) -> DuckDBPyConnection:
    """Return the connection that parses. It is kept, since opening one takes longer than many a query."""
    del process  # A fork has none of its parent's threads.
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "500MB", "temp_directory": "", **_CLOSED})
    # For its cursors, too: a text without a zone is a time in UTC, whatever the machine's zone is.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    _lock(connection)
    return connection


def _values(query: str, catalog: Catalog, bounds: Bounds, parameters: Mapping[str, Any] | None) -> list[str]:
    with run_query(query, catalog, bounds=bounds, parameters=parameters) as result:
        return [value for batch in result for value in batch.column(0).to_pylist()]


@contextmanager
def _connection(bounds: Bounds) -> Generator[DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
        config = {
            "memory_limit": bounds.memory,
            "temp_directory": folder,
            "max_temp_directory_size": bounds.disk,
            **_CLOSED,
        }
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _lock(connection: DuckDBPyConnection) -> None:
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _result(
    connection: DuckDBPyConnection,
    run: str,
    *,
    bounds: Bounds,
    clock: Clock,
    parameters: Mapping[str, Any] | None,
    exact: bool,
) -> Result:
    with clock:
        # DuckDB binds what stands in a subquery as a query, and refuses there what writes.
        inner = f"SELECT * FROM ({run})"  # noqa: S608
        values = dict(parameters) if parameters else None
        relation = connection.sql(inner, params=values)
        unique = list(relation.columns)
        names = _own_names(connection, run, unique, parameters)
        if exact and (texts := exact_query(run, relation.types)):
            relation = connection.sql(texts, params=values)
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
    reader: pyarrow.RecordBatchReader, schema: pyarrow.Schema, clock: Clock, bounds: Bounds
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
                raise SqlError(first_line(error)) from error
        size += batch.nbytes
        if size > bounds.result_bytes:
            raise too_large(bounds)
        yield pyarrow.RecordBatch.from_arrays(batch.columns, schema=schema)


def too_large(bounds: Bounds) -> SqlError:
    """Return the error of a result that is larger than it may be.

    Parameters
    ----------
    bounds
        How large it may be.
    """
    size = f"{bounds.result_bytes / 1e6:,.0f} MB"
    return SqlError(f"the result has more than {size}: add a LIMIT, select fewer columns, or allow more")


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
