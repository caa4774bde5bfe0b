"""Checks made from constraints: an ERROR keeps a run's rows from `main`, a WARN does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from dagster import AssetCheckSeverity, AssetSelection, DagsterInstance, StaticPartitionsDefinition, asset, materialize

from lake_assets import EmbeddedLake, ParquetIOManager, constraint_checks, published_asset
from lake_assets.lake.embedded import GitLake
from lake_assets.quality.constraints import Complete, Range, Refers, RowCount

DAYS = StaticPartitionsDefinition(["mon", "tue"])


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def run(tmp_path: Path, instance: DagsterInstance, prices: list[float | None], day: str = "mon") -> Any:
    @asset(partitions_def=DAYS, io_manager_key="io_manager", group_name="desk")
    def trades() -> pandas.DataFrame:
        return pandas.DataFrame({"price": pandas.Series(prices, dtype=float)})

    rules = [Complete(column="price", severity="WARN"), Range(column="price", min=0), RowCount(min=1)]
    checks = constraint_checks("trades", rules, partitions_def=DAYS)
    lake = EmbeddedLake(home=str(tmp_path / "lake"))
    return materialize(
        [trades, checks, published_asset("desk", [trades], partitions_def=DAYS)],
        instance=instance,
        partition_key=day,
        resources={"lake": lake, "io_manager": ParquetIOManager(lake=lake)},
        raise_on_error=False,
    )


def published(tmp_path: Path) -> bool:
    return GitLake(tmp_path / "lake").fingerprint("main", "trades") is not None


def test_a_warning_is_reported_and_published(tmp_path: Path, instance: DagsterInstance) -> None:
    result = run(tmp_path, instance, [1.5, None])
    assert result.success
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in found.items()} == {
        "complete_price": False,
        "range_price": True,
        "row_count": True,
    }
    assert found["complete_price"].severity == AssetCheckSeverity.WARN
    assert found["complete_price"].metadata["bad_rows"].value == 1
    assert published(tmp_path)


def test_an_error_keeps_the_rows_from_main(tmp_path: Path, instance: DagsterInstance) -> None:
    assert not run(tmp_path, instance, [1.5, -1.0]).success
    assert not published(tmp_path)


def test_only_the_partition_of_the_run_is_checked(tmp_path: Path, instance: DagsterInstance) -> None:
    assert not run(tmp_path, instance, [-1.0], "mon").success
    result = run(tmp_path, instance, [2.0, 3.0], "tue")
    assert result.success
    assert {check.metadata["rows"].value for check in result.get_asset_check_evaluations()} == {2}


def test_checks_by_file_read_all_in_a_run_of_the_checks_alone(tmp_path: Path, instance: DagsterInstance) -> None:
    lake = EmbeddedLake(home=str(tmp_path / "lake"))

    @asset(io_manager_key="io_manager", group_name="desk")
    def trades() -> pandas.DataFrame:
        return pandas.DataFrame({"price": [1.0, 2.0]})

    checks = constraint_checks("trades", [Range(column="price", min=0)], by_file=True)
    assets = [trades, checks, published_asset("desk", [trades])]
    resources = {"lake": lake, "io_manager": ParquetIOManager(lake=lake)}

    def rows(selection: AssetSelection | None = None) -> Any:
        result = materialize(assets, instance=instance, resources=resources, selection=selection)
        (found,) = result.get_asset_check_evaluations()
        return found.metadata["rows"].value

    assert rows() == 2
    # It changes nothing.
    assert rows() == 0
    assert rows(AssetSelection.checks_for_assets(trades)) == 2


def test_what_is_about_more_than_a_file_is_not_checked_by_file() -> None:
    with pytest.raises(ValueError, match="by file: no partitions, Fresh or RowCount then"):
        constraint_checks("trades", [RowCount(min=1)], by_file=True)
    with pytest.raises(ValueError, match="by file: no partitions, Fresh or RowCount then"):
        constraint_checks("trades", [Range(column="price", min=0)], by_file=True, partitions_def=DAYS)


def refers(
    tmp_path: Path, instance: DagsterInstance, isins: list[str], known: list[str] | None, rows: str = "a/b"
) -> Any:
    """Run trades that refer to an asset of another partitioning, which is made in the same run if it is given."""
    lake = EmbeddedLake(home=str(tmp_path / "lake"))

    @asset(partitions_def=DAYS, io_manager_key="io_manager", group_name="desk")
    def trades() -> pandas.DataFrame:
        return pandas.DataFrame({"isin": isins})

    @asset(key=["a", "b"], io_manager_key="io_manager", group_name="desk")
    def stocks() -> pandas.DataFrame:
        return pandas.DataFrame({"isin": known})

    rules = [
        Refers(column="isin", rows=rows, to="isin"),
        Refers(column="isin", rows="trades", to="isin", name="itself"),
    ]
    checks = constraint_checks("trades", rules, partitions_def=DAYS)
    published = published_asset("desk", [trades, stocks], partitions_def=DAYS)
    return materialize(
        [trades, stocks, checks, published],
        instance=instance,
        partition_key="mon",
        resources={"lake": lake, "io_manager": ParquetIOManager(lake=lake)},
        selection=None if known is not None else AssetSelection.assets(trades, published),
        raise_on_error=False,
    )


def test_rows_refer_to_an_asset_as_the_run_has_made_it_or_as_it_is_published(
    tmp_path: Path, instance: DagsterInstance
) -> None:
    made = refers(tmp_path, instance, ["x", "y"], ["x", "y"])
    assert made.success
    assert [check.passed for check in made.get_asset_check_evaluations()] == [True, True]
    assert refers(tmp_path, instance, ["y"], None).success
    # The run's own rows count, not those that are published.
    assert not refers(tmp_path, instance, ["x"], ["z"]).success
    broken = refers(tmp_path, instance, ["x", "z"], None)
    assert not broken.success
    (found,) = [check for check in broken.get_asset_check_evaluations() if not check.passed]
    assert (found.check_name, found.metadata["bad_rows"].value) == ("refers_isin", 1)


def test_rows_that_are_not_in_the_lake_are_named_with_the_remedy(tmp_path: Path, instance: DagsterInstance) -> None:
    result = refers(tmp_path, instance, ["x"], None, "nix")
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    said = failed.step_failure_data.error.message
    assert "the checks of trades: constraints refer to the asset 'nix', which has no rows in the lake at " in said
    assert "materialize it first, or correct its name" in said
    assert len(said.splitlines()) == 1
