"""What the code location holds, and that it loads quietly."""

from __future__ import annotations

import subprocess
import sys

import yaml
from dagster import AssetKey, Definitions
from dagster._core.workspace.load_target import PyProjectFileTarget

from lake_assets import definitions, environments
from lake_assets.definitions import defs
from lake_assets_tests.conftest import REPOSITORY_ROOT


def test_the_code_location_holds_these_and_no_others() -> None:
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    assert sorted(key.to_user_string() for key in graph.get_all_asset_keys()) == [
        "analytics_published",
        "customers",
        "customers_published",
        "customers_table",
        "measurements",
        "measurements_profile",
        "measurements_quarantine",
        "minute_returns",
        "price_summary",
        "quality_published",
        "running_extremes",
        "stock_counts",
        "stock_series",
        "stocks_csv",
        "stocks_parquet",
        "stocks_parquet_profile",
        "stocks_published",
        "stocks_quarantine",
        "stocks_table",
        "ticks",
        "ticks_acknowledged",
        "ticks_published",
        "ticks_rejected",
        "ticks_table",
        "top_traded",
        "trades_by_minute",
        "trades_by_type_and_currency",
        "users",
        "users_profile",
        "users_published",
        "users_without_pii",
        "word_counts",
        "word_counts_topic",
        "word_counts_windowed",
        "words_published",
    ]
    assert sorted(key.to_user_string() for key in graph.asset_check_keys) == [
        "customers:complete_id",
        "customers:unique_id",
        "measurements:anomaly",
        "measurements:drift",
        "stock_series:unique_isin_currency_time",
        "stocks_parquet:anomaly",
        "stocks_parquet:complete_SecurityID",
        "stocks_parquet:drift",
        "stocks_parquet:key_is_unique",
        "stocks_parquet:pattern_Currency",
        "stocks_parquet:prices_in_range",
        "stocks_parquet:quarantine_bounded",
        "stocks_parquet:range_StartPrice",
        "stocks_parquet:rows_reconcile",
        "stocks_parquet:volume_not_negative",
        "ticks:range_price",
        "ticks:unique_isin_currency_time",
        "users:anomaly",
        "users:complete_id",
        "users:drift",
        "users:row_count",
        "users_without_pii:no_pii",
        "word_counts:counts_positive",
        "word_counts:key_is_unique",
        "word_counts:no_data_loss",
        "word_counts:word_counts_audit",
        "word_counts:words_reconcile",
        "word_counts_windowed:counts_positive",
        "word_counts_windowed:key_is_unique",
        "word_counts_windowed:no_data_loss",
        "word_counts_windowed:none_late",
        "word_counts_windowed:words_reconcile",
    ]
    assert sorted(name for name in repository.job_names if not name.startswith("__")) == [
        "analytics",
        "customers",
        "quality",
        "stocks",
        "ticks",
        "users",
        "words",
        "words_recount",
    ]
    assert sorted(schedule.name for schedule in repository.schedule_defs) == ["stocks_hourly"]
    assert sorted(sensor.name for sensor in repository.sensor_defs) == [
        "collect_garbage",
        "command_line_runs",
        "consumer_lag",
        "customers_changed",
        "lake_commits",
        "mark_canceled_runs",
        "mark_failed_runs",
        "new_stock_files",
        "new_text_files",
        "new_ticks",
        "new_user_files",
        "publish_runs",
        "sinks_follow_main",
        "sweep_branches",
        "waiting_branches",
    ]


def test_all_definitions_load_together_as_the_servers_load_them() -> None:
    # An op and a job of one name, say, are refused only here.
    Definitions.validate_loadable(definitions.definitions(environments.resources()))


REPORTS = {
    "anomaly",
    "drift",
    "stocks_parquet:range_StartPrice",
    "users:complete_id",
    "users:row_count",
    "no_data_loss",
    "none_late",
    "word_counts_audit",
}
"""Checks of what was chosen, or is not known before: they tell, and stop nothing."""


def test_every_check_but_reports_blocks_and_all_have_the_partitions_of_their_asset() -> None:
    graph = defs.get_repository_def().asset_graph
    for check in graph.asset_check_nodes:
        assert check.blocking == REPORTS.isdisjoint((check.key.name, check.key.to_user_string()))
        assert check.partitions_def == graph.get(check.key.asset_key).partitions_def


def test_one_backfill_takes_a_whole_group_in_the_same_runs() -> None:
    graph = defs.get_repository_def().asset_graph
    for group in ("stocks", "users", "words"):
        nodes = [node for node in graph.asset_nodes if node.group_name == group]
        assert len({node.backfill_policy for node in nodes}) == 1
        assert len({node.partitions_def for node in nodes}) == 1


def test_loading_warns_of_nothing_but_dagsters_preview_feature_and_loads_no_spark() -> None:
    code = """
import sys
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import lake_assets.definitions
ours = [str(item.message) for item in caught if item.category.__name__ != "PreviewWarning"]
assert not ours, ours
assert "pyspark" not in sys.modules
"""
    # The packages' own deprecations would stop the import at once, ours too.
    subprocess.run([sys.executable, "-W", "error::DeprecationWarning", "-c", code], check=True, timeout=120)


def test_the_table_of_stocks_declares_its_own_key() -> None:
    metadata = defs.get_repository_def().asset_graph.get(AssetKey("stocks_table")).metadata
    schema = metadata["dagster/column_schema"]
    assert metadata["nosql/key"] == "ISIN"
    assert schema.constraints.other == ["unique (ISIN)"]


def test_every_check_has_a_description() -> None:
    graph = defs.get_repository_def().asset_graph
    specs = [graph.get_check_spec(node.key) for node in graph.asset_check_nodes]
    assert [spec.name for spec in specs if not spec.description] == []


def test_the_code_location_has_one_name_wherever_it_is_loaded_from() -> None:
    workspace = yaml.safe_load((REPOSITORY_ROOT / "workspace.yaml").read_text())
    (location,) = (entry["python_module"] for entry in workspace["load_from"])
    (origin,) = PyProjectFileTarget(str(REPOSITORY_ROOT / "pyproject.toml")).create_origins()
    assert origin.location_name == location["location_name"] == "lake_assets"
    assert origin.loadable_target_origin.module_name == location["module_name"]
