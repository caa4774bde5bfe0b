"""`<asset>_profile` in a graph: a state for each partition, published with the rows, and compared with others."""

# No postponed annotations here: Dagster reads them when the decorators run.

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    StaticPartitionsDefinition,
    asset,
)

from lake_assets import (
    Asked,
    Comparison,
    EmbeddedLake,
    ParquetIOManager,
    ProfileIOManager,
    profiled,
    published_asset,
)
from lake_assets.lake.embedded import GitLake
from lake_assets.quality import Profile, profile
from lake_assets.quality.constraints import Range
from lake_assets.quality.profile import merged
from lake_assets.quality.stored_profiles import FIGURES, STATE, published_profiles, read_figures, read_profile
from lake_assets.quality_assets.page import profile_page

DAYS = StaticPartitionsDefinition([f"day{at}" for at in range(8)])
SEEN: list[int] = []


class Desk:
    """Runs of a graph of trades by day, whose rows are given."""

    def __init__(self, home: Path, instance: DagsterInstance) -> None:
        self.home, self.instance = home, instance
        self.rows: dict[str, pandas.DataFrame] = {}
        lake = EmbeddedLake(home=str(home))

        @asset(partitions_def=DAYS, io_manager_key="io_manager", group_name="desk")
        def trades(context: AssetExecutionContext) -> pandas.DataFrame:
            return self.rows[context.partition_key]

        made, checks = profiled(
            "trades",
            [Range(column="price", min=0)],
            partitions_def=DAYS,
            group_name="desk",
            personal=["trader"],
            compare=Comparison(ignore=["day"]),
            asked=Asked(
                groups=[["kind"], ["trader"]],
                crosstabs=[("kind", "side")],
                keys=[["side"], ["trader"]],
                spearman=["price", "day", "trader"],
            ),
        )

        @asset
        def total(trades_profile: Profile) -> None:
            SEEN.append(trades_profile.rows)

        published = published_asset("desk", [trades], profiles=[made], partitions_def=DAYS)
        resources = {
            "lake": lake,
            "io_manager": ParquetIOManager(lake=lake),
            "profile_io_manager": ProfileIOManager(lake=lake),
        }
        self.defs = Definitions(assets=[trades, made, published, total], asset_checks=[checks], resources=resources)

    def run(self, day: str | None, *names: str, rows: pandas.DataFrame | None = None) -> ExecuteInProcessResult:
        if rows is not None and day is not None:
            self.rows[day] = rows
        job = self.defs.resolve_implicit_global_asset_job_def()
        selected = [AssetKey(name) for name in names or ("trades", "trades_profile", "desk_published")]
        return job.execute_in_process(
            instance=self.instance, asset_selection=selected, partition_key=day, raise_on_error=False
        )


def sample(seed: int, rows: int = 400, **columns: Any) -> pandas.DataFrame:
    rng = np.random.default_rng(seed)
    made = {
        "price": rng.gamma(3, 20, rows),
        "kind": rng.choice(["<b>bond</b>", "share"], rows),
        "side": rng.choice(["buy", "sell"], rows),
        "trader": [f"secret{at % 7}" for at in range(rows)],
        "day": np.full(rows, seed),
    }
    return pandas.DataFrame(made | columns)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with DagsterInstance.ephemeral() as instance:
        yield Desk(tmp_path / "lake", instance)


def found(result: ExecuteInProcessResult, check: str) -> Any:
    return next(one for one in result.get_asset_check_evaluations() if one.check_name == check)


def page(result: ExecuteInProcessResult) -> Mapping[str, Any]:
    (event,) = result.asset_materializations_for_node("trades_profile")
    return event.metadata


def test_a_partition_is_kept_by_itself_and_the_whole_is_merged(desk: Desk) -> None:
    for at in range(3):
        assert desk.run(f"day{at}", rows=sample(at)).success
    lake = GitLake(desk.home)
    names = [item.path.rpartition("/")[2] for item in lake.list("main", "trades_profile")]
    assert names.count(FIGURES) == names.count(STATE) == 3
    parts = [read_profile(lake, "main", f"trades_profile/partition=day{at}") for at in range(3)]
    whole = profile(pandas.concat(desk.rows.values(), ignore_index=True))
    assert merged(parts).columns["price"].sum == whole.columns["price"].sum
    assert merged(parts).parts == {f"partition=day{at}": 400 for at in range(3)}
    # A new partition changed none of the others' files.
    (last,) = list(lake.first_parents("main", "trades_profile"))[:1]
    assert {path.split("/")[1] for path in lake.diff(last.parents[0], last.id, "trades_profile").paths} == {
        "partition=day2"
    }
    # A consumer gets the merged profile of all partitions, without a row being read.
    SEEN.clear()
    assert desk.run(None, "total").success
    assert SEEN == [1200]


def test_a_run_that_changes_nothing_keeps_the_profile(desk: Desk) -> None:
    assert desk.run("day0", rows=sample(0, 5000)).success
    head = GitLake(desk.home).head("main")
    assert desk.run("day0").success
    assert GitLake(desk.home).head("main") == head


def test_a_run_without_the_profile_is_published(desk: Desk) -> None:
    assert desk.run("day0", "trades", "desk_published", rows=sample(0)).success
    lake = GitLake(desk.home)
    assert lake.fingerprint("main", "trades") is not None
    # Its rows are no part of the history, but the next run of the day is compared with them.
    assert list(published_profiles(lake, lake.head("main").id, "trades", "trades_profile")) == []
    result = desk.run("day0", rows=sample(0).assign(price=lambda rows: rows["price"] + 100))
    assert not found(result, "drift").passed


def test_drift_warns_and_names_the_column_and_the_partition(desk: Desk) -> None:
    assert desk.run("day0", rows=sample(0)).success
    clean = desk.run("day1", rows=sample(1))
    assert found(clean, "drift").passed
    result = desk.run("day2", rows=sample(2, price=np.random.default_rng(2).gamma(3, 60, 400)))
    assert result.success
    assert [one["column"] for one in found(result, "drift").metadata["found"].data] == ["price", "price"]
    assert {one["place"] for one in found(result, "drift").metadata["found"].data} == {"partition=day2"}
    assert found(result, "drift").metadata["compared_with"].value == GitLake(desk.home).head("main").parents[0]
    stale = desk.run("day3", rows=desk.rows["day1"])
    assert found(stale, "drift").metadata["found"].data[0]["metric"] == "stale"


def test_an_anomaly_is_judged_by_published_history_alone(desk: Desk) -> None:
    for at in range(5):
        assert desk.run(f"day{at}", rows=sample(at)).success
    # These rows never reach main, so they are no baseline.
    for _ in range(3):
        assert not desk.run("day5", rows=sample(5, 4000).assign(price=-1.0)).success
    usual = desk.run("day5", rows=sample(5, 410))
    assert found(usual, "anomaly").passed
    assert found(usual, "anomaly").metadata["profiles"].value == 5
    result = desk.run("day6", rows=sample(6, 4000))
    assert [one["metric"] for one in found(result, "anomaly").metadata["found"].data] == ["rows"]
    assert result.success


def test_what_a_rollback_took_back_is_no_history(desk: Desk) -> None:
    for at in range(2):
        assert desk.run(f"day{at}", rows=sample(at)).success
    lake = GitLake(desk.home)
    good = lake.head("main").id
    assert desk.run("day2", rows=sample(2)).success
    history = [one.place for one in published_profiles(lake, lake.head("main").id, "trades", "trades_profile")]
    assert history == [f"partition=day{at}" for at in (2, 1, 0)]
    from lake_assets.runs.rollback import plan_rollback, roll_back

    roll_back(lake, desk.instance, desk.defs.resolve_asset_graph(), plan_rollback(lake, good, "trades"), "a test")
    history = [one.place for one in published_profiles(lake, lake.head("main").id, "trades", "trades_profile")]
    assert history == ["partition=day1", "partition=day0"]


def test_the_page_shows_pictures_and_tables_and_nothing_personal(desk: Desk) -> None:
    missing = sample(0)
    missing.loc[:50, "price"] = np.nan
    result = desk.run("day0", rows=missing)
    shown = page(result)
    assert {"summary", "histograms", "box_plots", "correlation", "missingness", "rows by kind", "kind by side"} <= {
        *shown
    }
    assert "rows by trader" not in shown
    texts = {name: str(value.value) for name, value in shown.items()}
    assert all(len(text) < 200_000 for text in texts.values())
    assert texts["histograms"].startswith("![histograms](data:image/png;base64,iVBOR")
    assert "secret" not in "".join(texts.values())
    assert "<b>" not in "".join(texts.values())
    assert "\\<b\\>bond" in texts["rows by kind"]
    assert "2 key(s) are repeated, by 400 row(s); the most frequent has 1." in texts["key side"]
    assert "7 key(s) are repeated, by 400 row(s)" in texts["key trader"]
    assert "price" in texts["correlation (Spearman)"]
    assert "| 25 % | median | 75 % |" in texts["summary"]
    assert "top | shape |\n" in texts["summary"]
    assert shown["rows"].value == 400
    assert shown["completeness of price"].value == pytest.approx(349 / 400)
    figures = read_figures(GitLake(desk.home), "main", "trades_profile/partition=day0")
    assert "secret" not in json.dumps(figures)


def test_the_page_shows_the_rows_of_partitions_and_their_skew() -> None:
    parts = [profile(sample(at, rows)).named(f"day{at}") for at, rows in enumerate((10, 10, 40))]
    shown = profile_page(merged(parts))
    assert shown["skew of partitions"] == 4.0
    assert shown["rows of partitions"].value.splitlines()[2:] == ["| day2 | 40 |", "| day0 | 10 |", "| day1 | 10 |"]
    assert "rows of partitions" not in profile_page(parts[0])


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("price", "the checks of trades: constraint 'range_price': there is no column 'price'; there are kind, side,"),
        ("side", "the profile of trades: there is no column 'side'; there are price, kind, trader, day"),
    ],
)
def test_a_column_that_is_not_there_is_one_line(desk: Desk, gone: str, told: str) -> None:
    result: Any = desk.run("day0", rows=sample(0).drop(columns=[gone]))
    (said,) = [event.step_failure_data.error.message for event in result.all_events if event.is_step_failure]
    assert f"Failure: {told}" in said
