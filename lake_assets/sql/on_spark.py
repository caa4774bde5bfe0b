"""Runs a query on Spark: checked as for DuckDB, transpiled, checked once more as Spark parses it, and run.

Two lists of what is allowed have to agree, each on the tree of the program that makes it: DuckDB's of the text as it
was given, and Spark's of the text that runs.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lake_assets.spark.active import active_again
from lake_assets.spark.errors import describe, log_errors_once
from lake_assets.sql.catalog import At, Batches, Catalog, ParquetFiles
from lake_assets.sql.engine import Bounds, Result, open_parser, too_large
from lake_assets.sql.errors import SqlError, first_line
from lake_assets.sql.lineage import parsed, tables_of
from lake_assets.sql.spark_plan import check_plan
from lake_assets.sql.syntax import parse
from lake_assets.sql.views import state_of
from lake_assets.sql.wanted import Wanted

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection
    from pyspark.sql import DataFrame, SparkSession
    from sqlglot import exp

_TABLE_BYTES = 100_000_000
"""Bytes of a table or of raw CSV that are sent to Spark. Parquet is read by its workers."""

_SAME = frozenset(["current_date", "current_timestamp", "now"])
"""Functions that sqlglot does not know, and that mean the same to both."""


@contextmanager
def run_on_spark(
    text: str, catalog: Catalog, session: SparkSession, *, bounds: Bounds | None = None
) -> Generator[Result]:
    """Run a query on Spark, which only reads.

    Parameters
    ----------
    text
        The query, in the dialect of DuckDB.
    catalog
        What it can read by name.
    session
        Runs it, in a session of its own that shares its cluster.
    bounds
        How much it may take. Memory and disk are those of Spark.

    Raises
    ------
    SqlError
        It is refused, cannot be said in Spark's dialect, fails, or takes more than it may.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    bounds = bounds or Bounds()
    log_errors_once()
    with open_parser() as parser, active_again(session):
        parse(parser, text)
        own = session.newSession()
        own.conf.set("spark.sql.session.timeZone", "UTC")
        tree = parsed(text)
        views = _open_names(tree, text, catalog, parser, own)
        run = _transpiled(tree)
        check_plan(own, run, views)
    group = f"lake-assets-sql-{uuid4().hex}"
    context = own.sparkContext
    late = threading.Event()

    def stop() -> None:
        late.set()
        context.cancelJobGroup(group)

    timer = threading.Timer(bounds.seconds, stop)
    timer.daemon = True
    timer.start()
    context.setJobGroup(group, "lake-assets sql", interruptOnCancel=True)
    try:
        yield _result(own.sql(run), bounds)
    except (PySparkException, Py4JJavaError, OSError) as error:
        if late.is_set():
            raise SqlError(f"the query took longer than {bounds.seconds:g} s") from error
        # PySpark has no class of its own for each error that Java raises while a query runs.
        told = describe(str(error)) if isinstance(error, Py4JJavaError) else first_line(error)
        raise SqlError(told) from error
    finally:
        timer.cancel()
        for view in views:
            own.catalog.dropTempView(view)


def _open_names(
    tree: exp.Expr, text: str, catalog: Catalog, parser: DuckDBPyConnection, session: SparkSession
) -> list[str]:
    from sqlglot import exp

    views: dict[tuple[Any, ...], str] = {}
    for name, table in list(tables_of(tree)):
        if not isinstance(table.this, exp.Identifier):
            raise SqlError("changes() is not available on Spark: leave out --engine")
        when = table.args.get("when")
        at = _state(parser, when, text) if when is not None else None
        wanted = (*name, at)
        if wanted not in views:
            views[wanted] = f"lake_assets_rows_{len(views)}"
            _frame(name, at, catalog, session).createOrReplaceTempView(views[wanted])
        called = table.alias or name[-1]
        if len(name) > 1 and not table.alias:
            _drop_schemas(tree, name)
        table.set("this", exp.to_identifier(views[wanted]))
        for part in ("db", "catalog", "when"):
            table.set(part, None)
        if not table.args.get("alias"):
            table.set("alias", exp.TableAlias(this=exp.to_identifier(called, quoted=True)))
    return list(views.values())


def _drop_schemas(tree: exp.Expr, path: Sequence[str]) -> None:
    """Shorten the columns that are written with a table's full name, as :func:`.drop_schemas` does for DuckDB."""
    from sqlglot import exp

    wanted = [part.lower() for part in path]
    for column in tree.find_all(exp.Column):
        if [part.name.lower() for part in column.parts[:-1]] == wanted:
            column.set("db", None)
            column.set("catalog", None)


def _state(parser: DuckDBPyConnection, when: exp.Expr, text: str) -> At:
    expression = parse(parser, f"SELECT {when.expression.sql('duckdb')}")["statements"][0]["node"]["select_list"][0]
    return state_of(parser, str(when.args["kind"]), expression, text)


def _frame(name: Sequence[str], at: At | None, catalog: Catalog, session: SparkSession) -> DataFrame:
    source = catalog.find(name, at)
    if isinstance(source, ParquetFiles):
        return _files(source, session)
    import pyarrow

    try:
        table = pyarrow.Table.from_batches(_bounded(source, ".".join(name)), source.schema)
    except (OSError, ValueError) as error:
        raise SqlError(first_line(error)) from error
    return session.createDataFrame(table)


def _bounded(source: Batches, name: str) -> Iterator[pyarrow.RecordBatch]:
    size = 0
    for batch in source.read(source.schema.names, Wanted(source.schema)):
        size += batch.nbytes
        if size > _TABLE_BYTES:
            raise SqlError(f"{name} has more than {_TABLE_BYTES / 1e6:.0f} MB, and is no Parquet: leave out --engine")
        yield batch


def _files(source: ParquetFiles, session: SparkSession) -> DataFrame:
    from lake_assets.frames.parquet import FolderPlace, find_folders
    from lake_assets.frames.spark_reading import read_spark
    from lake_assets.sql.catalog import partition_of

    snapshot = source.snapshot
    names: dict[str, list[str]] = {}
    for path in source.files:
        folder, _, name = path[len(snapshot.root) :].lstrip("/").rpartition("/")
        names.setdefault(folder, []).append(name)
    places = [
        FolderPlace(
            f"{snapshot.root}/{folder}".rstrip("/"),
            f"{snapshot.uri}/{folder}".rstrip("/"),
            partition_of(f"{snapshot.prefix}/{folder}/"),
            found,
        )
        for folder, found in names.items()
    ]
    return read_spark(session, find_folders(snapshot.filesystem, places), snapshot.uri if source.folders else None)


def _transpiled(tree: exp.Expr) -> str:
    from sqlglot import ErrorLevel, exp
    from sqlglot.errors import SqlglotError

    for name in tree.find_all(exp.Identifier):
        if not name.name.isascii():
            name.set("quoted", True)  # Spark's other names are of ASCII.
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() not in _SAME:
            raise SqlError(f"the function {call.name} is not available on Spark: leave out --engine")
    try:
        return tree.sql("spark", unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise SqlError(f"this query cannot be said to Spark: {first_line(error)}") from error


def _result(frame: DataFrame, bounds: Bounds) -> Result:
    from lake_assets.frames.spark_batches import arrow_schema, arrow_tables

    names = frame.columns
    unique: list[str] = []
    for name in names:
        shown, number = name, 0
        while shown.lower() in {other.lower() for other in unique}:
            number += 1
            shown = f"{name}_{number}"
        unique.append(shown)
    rows = frame.toDF(*unique)
    schema = arrow_schema(rows)
    for at, name in enumerate(names):
        schema = schema.set(at, schema.field(at).with_name(name))

    def batches() -> Iterator[pyarrow.RecordBatch]:
        import pyarrow

        size = 0
        for table in arrow_tables(rows):
            size += table.nbytes
            if size > bounds.result_bytes:
                raise too_large(bounds)
            for batch in table.to_batches():
                yield pyarrow.RecordBatch.from_arrays(batch.columns, schema=schema)

    return Result(schema, unique, batches())
