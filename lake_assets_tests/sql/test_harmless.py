"""What is harmless is not refused, and gives what DuckDB itself gives: columns, rows and their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.layout.asset_folders import folder_of
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import run_query
from lake_assets_tests.audits import TESTS
from lake_assets_tests.sql import ordinary, tpch


@pytest.fixture(scope="module")
def plain() -> Iterator[duckdb.DuckDBPyConnection]:
    with tpch.plain() as connection:
        yield connection


@pytest.fixture(scope="module")
def tables(plain: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeCatalog]:
    lake = GitLake(tmp_path_factory.mktemp("lake"))
    lake.create_branch("run-tpch", "main")
    for name in tpch.TABLES:
        with lake.write("run-tpch", name) as write:
            plain.execute(f"COPY {name} TO '{Path(write.root, 'part-0.parquet')}' (FORMAT parquet)")
    lake.merge("run-tpch", "main", "Publish", {}, audit=TESTS)
    yield LakeCatalog(lake=lake, folder_of=folder_of)
    lake.close()


def _rows(table: pyarrow.Table) -> list[Any]:
    """Return the rows as text, floats to 12 digits: their sum depends on the order of threads."""
    columns = [column.to_pylist() for column in table.columns]
    rows = zip(*columns, strict=True)
    return [tuple(f"{value:.12g}" if isinstance(value, float) else repr(value) for value in row) for row in rows]


def _answer(plain: duckdb.DuckDBPyConnection, text: str) -> tuple[list[str], list[Any]]:
    names = [column[0] for column in plain.execute(text).description or ()]
    return names, _rows(plain.execute(text).to_arrow_table())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("text", [*tpch.QUERIES, *ordinary.QUERIES])
def test_answer_is_that_of_duckdb(plain: duckdb.DuckDBPyConnection, tables: LakeCatalog, text: str) -> None:
    with run_query(text, tables) as result:
        found = pyarrow.Table.from_batches(list(result), result.schema)
    assert (found.column_names, _rows(found)) == _answer(plain, text)


def test_there_are_enough_queries_and_those_of_tpch_find_rows(plain: duckdb.DuckDBPyConnection) -> None:
    assert len(tpch.QUERIES) == 22
    assert len(ordinary.QUERIES) >= 100
    assert [at + 1 for at, text in enumerate(tpch.QUERIES) if not plain.execute(text).fetchone()] == []
