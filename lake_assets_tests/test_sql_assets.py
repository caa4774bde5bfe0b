"""Assets that are queries: what they depend on, read, and record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
from dagster import AssetKey, DagsterInstance, Definitions, asset, materialize

from lake_assets import EmbeddedLake, ParquetIOManager, published_asset, sql_asset
from lake_assets.lake.embedded import GitLake
from lake_assets.runs.asset_metadata import COLUMN_LINEAGE
from lake_assets.sql.errors import SqlError

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL needs Python 3.11")


def test_dependencies_are_those_of_the_text() -> None:
    made = sql_asset("a", "SELECT * FROM sales.daily d JOIN bars USING (isin)", group_name="desk", key_prefix="x")
    assert made.key == AssetKey(["x", "a"])
    assert made.asset_deps[made.key] == {AssetKey(["sales", "daily"]), AssetKey("bars")}
    with pytest.raises(SqlError, match="give one query"):
        sql_asset("a", "DROP TABLE bars")


@asset(io_manager_key="parquet_io_manager", key_prefix="sales")
def daily() -> pandas.DataFrame:
    return pandas.DataFrame({"isin": ["a", "b", "a"], "Price": [1.0, 2.0, 4.0]})


TOTALS = sql_asset("totals", "SELECT isin, sum(price) AS total, count(*) AS n FROM sales.daily GROUP BY 1 ORDER BY 1")
SHARES = sql_asset("shares", "SELECT isin, total / (SELECT sum(total) FROM totals) AS share FROM totals")


def run(folder: Path, instance: DagsterInstance, *assets: Any, **options: Any) -> Any:
    lake = EmbeddedLake(home=str(folder))
    resources = {"lake": lake, "parquet_io_manager": ParquetIOManager(lake=lake)}
    return materialize([*assets], resources=resources, instance=instance, raise_on_error=False, **options)


def test_rows_of_the_run_itself_with_lineage_of_columns(tmp_path: Path) -> None:
    with DagsterInstance.ephemeral() as instance:
        result = run(tmp_path, instance, daily, TOTALS, SHARES, published_asset("desk", [daily, TOTALS, SHARES]))
        assert result.success
        metadata = result.asset_materializations_for_node("totals")[0].metadata
    deps = metadata[COLUMN_LINEAGE].value.deps_by_column
    assert {name: [(dep.asset_key.path, dep.column_name) for dep in found] for name, found in deps.items()} == {
        "isin": [(["sales", "daily"], "isin")],
        "total": [(["sales", "daily"], "Price")],
    }
    lake = GitLake(tmp_path)
    place = lake.path("main", "shares")
    assert pandas.read_parquet(place.root).to_dict("list") == {"isin": ["a", "b"], "share": [5 / 7, 2 / 7]}
    commit = next(lake.log("main", 1, "totals"))
    assert "sales/daily" in str(dict(commit.metadata))
    lake.close()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nix FROM sales.daily", "column 8: .*nix"),
        ("FROM read_text('/etc/passwd')", "the function read_text is not allowed"),
        ("WITH x AS (COPY (SELECT 1) TO '/tmp/x') SELECT * FROM x, sales.daily", "only one query is run"),
        ("SELECT * FROM missing", "there is no asset or table missing at"),
        ("SELECT error('half') FROM sales.daily WHERE price > 3", "half"),
    ],
)
def test_failure_is_one_line_and_writes_nothing(tmp_path: Path, query: str, message: str) -> None:
    with DagsterInstance.ephemeral() as instance:
        try:
            made = sql_asset("made", query)
        except SqlError:
            return
        result = run(tmp_path, instance, daily, made, selection=["*made"])
        assert not result.success
        (failure,) = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        told = failure.message + (failure.cause.message if failure.cause else "")
        import re

        assert re.search(message, told), told
    lake = GitLake(tmp_path)
    assert not any(item.path.startswith("made") for branch in lake.branches() for item in lake.list(branch, ""))
    lake.close()


def test_definitions_load(tmp_path: Path) -> None:
    lake = EmbeddedLake(home=str(tmp_path))
    defs = Definitions([daily, TOTALS], resources={"lake": lake, "parquet_io_manager": ParquetIOManager(lake=lake)})
    assert AssetKey(["sales", "daily"]) in defs.resolve_asset_graph().get(AssetKey("totals")).parent_keys


def test_declared_dependencies_are_taken_unread_and_compared_in_the_run(tmp_path: Path) -> None:
    wrong = sql_asset("wrong", "SELECT * FROM sales.daily", reads=["sales.daily", "bars"])
    assert wrong.asset_deps[wrong.key] == {AssetKey(["sales", "daily"]), AssetKey("bars")}
    with DagsterInstance.ephemeral() as instance:
        assert run(
            tmp_path, instance, daily, sql_asset("right", "SELECT * FROM sales.daily", reads=["sales.daily"])
        ).success
        failed = run(tmp_path, instance, daily, wrong)
        events = [event for event in failed.all_events if event.is_step_failure]
    assert "wrong reads sales.daily, but declares bars, sales.daily: mend `reads`" in str(events[0].event_specific_data)
