"""A new frame library is one file in `lake_assets/frames` and one line in its registry: here, relations of DuckDB.

To make it real: put the class into `lake_assets/frames/duckdb.py`, its line into `registry.LIBRARIES`, another into
`lake_assets_tests/io_managers/libraries.py`, and write docs/types.md anew. The extra of pyproject.toml is for what is
not a dependency yet.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from dagster import asset

from lake_assets.frames import registry
from lake_assets.frames.conform import stored_rows
from lake_assets.frames.contract import ArrowLibrary
from lake_assets.frames.rows import Rows
from lake_assets_tests.io_managers.conftest import Workbench

CONNECTION = duckdb.connect()
"""Not DuckDB's default one, which refuses work while anybody else in the process has not read all of a result."""


class DuckDBRelations(ArrowLibrary):
    """Frames of the class `duckdb.DuckDBPyRelation`."""

    module, class_name = "duckdb", "DuckDBPyRelation"

    def rows(self, frame: duckdb.DuckDBPyRelation) -> Rows:
        """Return the rows of a relation."""
        return stored_rows(frame.to_arrow_table())

    def from_rows(self, rows: Rows) -> duckdb.DuckDBPyRelation:
        """Return rows as a relation."""
        return CONNECTION.from_arrow(rows.table())


@pytest.mark.parametrize("manager", ["parquet_io_manager", "lake_file_io_manager", "nosql_io_manager"])
def test_a_class_and_a_line_make_every_io_manager_know_a_library(
    workbench: Workbench, manager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LIBRARIES", (*registry.LIBRARIES, DuckDBRelations()))
    seen: list[Any] = []

    @asset(io_manager_key=manager, metadata={"nosql/key": "number"})
    def bars() -> Any:
        return CONNECTION.sql("SELECT 1 AS number, DATE '2017-07-28' AS day, 'x' AS text")

    def reader(bars: Any) -> None:
        seen.extend(bars.fetchall())

    reader.__annotations__["bars"] = duckdb.DuckDBPyRelation
    assert workbench.run(bars, asset(reader)).success
    assert [(number, str(day), text) for number, day, text in seen] == [(1, "2017-07-28", "x")]
    assert "or duckdb.DuckDBPyRelation" in registry.supported()
