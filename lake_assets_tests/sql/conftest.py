"""A lake with two published versions of two assets, and a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.layout.asset_folders import folder_of
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import run_query
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put

# DuckDB 2.0, which knows AT, is for newer Pythons.
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11) else []

Ask = Callable[..., list[tuple[Any, ...]]]


def fill(lake: Lake) -> None:
    """Publish ``v1`` and ``v2`` of ``stocks_parquet``, ``sales.daily`` and ``notes``."""
    for version, rows in (("v1", 3), ("v2", 5)):
        lake.create_branch(f"run-{version}", "main")
        numbers = range(rows)
        prices = [number + 0.5 + (number == 0 and version == "v2") for number in numbers]
        table = pyarrow.table({"ISIN": [f"DE{number}" for number in numbers], "Price": prices})
        for prefix, folder in (("stocks_parquet", "day=2017-07-28/hour=08"), ("sales.daily", "")):
            with lake.write(f"run-{version}", prefix) as write:
                place = f"{write.root}/{folder}".rstrip("/")
                write.filesystem.create_dir(place, recursive=True)
                pq.write_table(table, f"{place}/part-0.parquet", filesystem=write.filesystem)
        put(lake, f"run-{version}", "notes", {"notes.csv": "id,text\n1,one\n2,\n"})
        lake.merge(f"run-{version}", "main", f"Publish {version}", {}, audit=TESTS)
        lake.tag(version, "main")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeCatalog]:
    """A lake with two versions, and the table ``latest`` of ``v2``."""
    home = tmp_path_factory.mktemp("lake")
    lake = GitLake(home)
    fill(lake)
    store = LMDBStore(home / "tables")
    items = pyarrow.table({"ISIN": [f"DE{number:03}" for number in range(500)], "Price": [0.25] * 500})
    store.write("latest", items, key=["ISIN"], source_commit=lake.head("v2").id)
    yield LakeCatalog(lake=lake, tables=store, folder_of=folder_of)
    store.close()
    lake.close()


def asking(catalog: LakeCatalog) -> Ask:
    """Return what runs a query, and returns its rows."""

    def run(text: str, **options: Any) -> list[tuple[Any, ...]]:
        with run_query(text, catalog, **options) as result:
            table = pyarrow.Table.from_batches(list(result), result.schema)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    return run


@pytest.fixture(scope="module")
def ask(catalog: LakeCatalog) -> Ask:
    return asking(catalog)
