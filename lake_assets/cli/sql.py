"""The command `sql`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.code_location import find_nosql, open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.options import not_nan
from lake_assets.lake.contract import MAIN
from lake_assets.layout.asset_folders import folder_of

if TYPE_CHECKING:
    from lake_assets.sql.catalog import LakeCatalog
    from lake_assets.sql.engine import Bounds, Result


class Format(str, Enum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"


class Engine(str, Enum):
    """What runs a query."""

    DUCKDB = "duckdb"
    SPARK = "spark"


def sql(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The query. Default: standard input, or a prompt.")
    ] = "",
    ref: Annotated[str, typer.Option(metavar="REF", help="The ref to read where the query names no other one.")] = MAIN,
    format_: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.TABLE,
    engine: Annotated[Engine, typer.Option(help="What runs it; Spark runs where SPARK_MASTER says.")] = Engine.DUCKDB,
    timeout: Annotated[
        float, typer.Option(min=0.001, max=86_400, callback=not_nan, help="Seconds that the query may take.")
    ] = 300,
    max_mb: Annotated[int, typer.Option(min=1, max=1_000_000, help="Megabytes that the result may have.")] = 1000,
) -> None:
    """Query assets and tables by SQL, which only reads.

    A name is that of an asset or table, such as stocks_parquet or sales.daily. Another ref is written behind the name:
    FROM stocks_parquet a AT (VERSION => 'v1'), or AT (TIMESTAMP => '2026-11-26 12:00:00') for main at a time in UTC.
    changes('stocks_parquet', 'v1', 'main') has the rows that differ. The dialect is that of DuckDB.
    """
    refuse_old_python()
    from lake_assets.cli.query_output import print_result
    from lake_assets.cli.sql_limits import end_late
    from lake_assets.sql.engine import Bounds

    bounds = Bounds(seconds=timeout, result_bytes=max_mb * 1_000_000, abandon=end_late(timeout))
    with open_catalog(ref) as catalog, _runner(engine, bounds) as run:
        if not query and sys.stdin.isatty() and sys.stdout.isatty():
            from lake_assets.cli.sql_prompt import prompt

            prompt(catalog, run, lambda result: print_result(result, format_.value))
            return
        with run(query or sys.stdin.read(), catalog) as result:
            print_result(result, format_.value)


Run = Callable[[str, "LakeCatalog"], "AbstractContextManager[Result]"]
"""Runs a query."""


@contextmanager
def _runner(engine: Engine, bounds: Bounds) -> Generator[Run]:
    if engine is Engine.DUCKDB:
        from lake_assets.cli.sql_limits import limited_process
        from lake_assets.sql.engine import run_query

        # Java would not start within the limit.
        with limited_process(bounds):
            yield lambda text, catalog: run_query(text, catalog, bounds=bounds, exact=True)
        return
    from lake_assets.cli.code_location import spark_resource
    from lake_assets.spark.stopping import stop
    from lake_assets.sql.on_spark import run_on_spark

    session = spark_resource().session
    try:
        yield lambda text, catalog: run_on_spark(text, catalog, session, bounds=bounds)
    finally:
        stop(session)


@contextmanager
def open_catalog(ref: str) -> Generator[LakeCatalog]:
    """Open what a query can read: the lake and the tables of the selected code location.

    Parameters
    ----------
    ref
        The ref that is read where a query names no other one.
    """
    from lake_assets.sql.catalog import LakeCatalog

    with ExitStack() as opened:
        lake = opened.enter_context(closing(open_lake()))
        store = find_nosql(read_only=True)
        if store is not None:
            opened.callback(store.close)
        yield LakeCatalog(lake=lake, tables=store, ref=ref, folder_of=folder_of, table_of=_table_of)


def _table_of(name: str, branch: str) -> str:
    from lake_assets.resources.working_branch import apart

    return apart(name, branch)


def refuse_old_python() -> None:
    """Refuse Pythons for which there is no DuckDB that knows AT.

    Raises
    ------
    CommandError
        This is one.
    """
    if sys.version_info < (3, 11):
        raise CommandError("SQL needs Python 3.11 or newer, since DuckDB 2.0 does: `lake-assets cat` prints rows")
