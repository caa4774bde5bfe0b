"""`profile` and `drift`."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest
from dagster import Definitions, asset

from lake_assets import definitions, environments
from lake_assets.lake.contract import Lake
from lake_assets.quality import profile
from lake_assets.quality.anomaly import AnomalyBounds
from lake_assets.quality.constraints import Complete
from lake_assets.quality.stored_profiles import write_profile
from lake_assets.quality_assets.comparison import Comparison
from lake_assets.quality_assets.profiled import profiled
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command

Answer = Callable[..., Any]
Refused = Callable[..., str]


def publish(lake: Lake, prefix: str, columns: dict[str, Any]) -> str:
    lake.create_branch("run-quality", "main")
    with lake.write("run-quality", prefix, message="rows") as write:
        pq.write_table(pyarrow.table(columns), Path(write.root) / "part-0.parquet")
    commit = lake.merge("run-quality", "main", message="publish", audit=TESTS)
    lake.delete_branch("run-quality")
    return commit.id


def test_profile_prints_the_figures_of_the_columns(command: Command, answer: Answer, lake: Lake) -> None:
    lines = command("profile", "main:stocks_parquet").stdout.splitlines()
    assert lines[0].split()[:3] == ["column", "type", "nulls"]
    assert lines[1].split()[:2] == ["ISIN", "string"]
    found = answer("profile", "main:stocks_parquet")
    assert found["rows"] == 25
    assert found["parts"] == {"date=2017-07-28/hour=08": 24, "date=2017-07-28/hour=09": 1}
    assert [column["mean"] for column in found["columns"] if column["name"] == "MaxPrice"] == [1.5]


def test_the_report_is_one_page_that_loads_nothing_and_runs_nothing(command: Command, lake: Lake) -> None:
    publish(lake, "odd", {"<script>alert(1)</script>": ["<img src=x>"] * 3, "x": [1.0, 2.0, 4.0], "y": [2, 3, 5]})
    assert command("profile", "main:odd", "--html", "report.html").exit_code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Tags().feed(page)
    assert {tag for tag, _ in tags} & {"script", "img", "link", "iframe"} == set()
    assert not any(name in ("src", "href") or name.startswith("on") for _, found in tags for name in found)
    assert "url(" not in page
    assert ("meta", {"name": "viewport", "content": "width=device-width,initial-scale=1"}) in tags
    assert any(tag == "svg" and found.get("aria-label", "") for tag, found in tags)


def test_the_report_shows_quantiles_shapes_partitions_and_what_was_asked_for(command: Command, lake: Lake) -> None:
    for day, rows in (("26", 1), ("27", 3)):
        columns = {"isin": ["DE0005190003", "FR0000131104", "FR0000131104"], "day": [datetime.date(2017, 7, 28)] * 3}
        publish(
            lake, f"days/day={day}", {name: values[:rows] for name, values in columns.items()} | {"n": [*range(rows)]}
        )
    asked = ("--key", "isin", "--group", "isin,day", "--crosstab", "isin,day", "--spearman")
    assert command("profile", "main:days", "--html", "report.html", *asked).exit_code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    for said in (
        *("<th><strong>quantile</strong></th>", "<th>95%</th>", "<th><strong>shape</strong></th>", "ISIN"),
        *("Rows of each partition", "1.50 × the rows of the median", "<h2>Correlation (Spearman)</h2>"),
        *("<h2>Key isin</h2><p>2 key(s) are repeated, by 4 row(s)", "<h2>Isin by day</h2>"),
        "<h2>Rows by isin, day</h2>",
        "<th>FR0000131104</th><th>2017-07-28</th><td>2</td>",
    ):
        assert said in page, said


def test_what_is_asked_for_is_printed_and_nothing_personal(
    answer: Answer, command: Command, refused: Refused, lake: Lake
) -> None:
    publish(
        lake, "users", {"id": [1, 1, 2], "email": ["anna@x.de"] * 3, "day": [datetime.date(2017, 7, 28), None, None]}
    )
    asked = ("--key", "id", "--key", "email", "--group", "day", "--group", "email", "--spearman")
    told = command("profile", "main:users", *asked)
    assert "2017-07-28" in told.stdout
    assert (
        "key id: 1 key(s) are repeated, by 2 row(s); the most frequent has 1.33 × the rows of the median" in told.stderr
    )
    assert "anna" not in told.output
    found = {one["asked"]: one for one in answer("profile", "main:users", *asked)["answers"]}
    assert found["key id"]["rows"] == [{"id": 1, "rows": 2}]
    assert found["key email"]["rows"] == []
    assert found["key email"]["note"].startswith("1 key(s) are repeated, by 3 row(s)")
    assert found["rows by day"]["rows"] == [{"day": None, "rows": 2}, {"day": "2017-07-28", "rows": 1}]
    assert "rows by email" not in found
    assert found["correlation (Spearman)"]["rows"] == [{"": "id", "id": 1.0}]
    assert "there is no column 'nix'; there are id, email, day" in refused("profile", "main:users", "--key", "nix")
    assert "--crosstab A,B" in refused("profile", "main:users", "--crosstab", "id")


def test_personal_columns_are_only_counted(answer: Answer, command: Command, lake: Lake) -> None:
    publish(lake, "users", {"id": [1, 2], "email": ["anna@x.de", "bert@x.de"], "salary": [12345.5, None]})
    found = command("profile", "main:users", "--json").stdout
    assert "anna" not in found
    assert "12345" not in found
    columns = {column["name"]: column for column in answer("profile", "main:users")["columns"]}
    assert (columns["salary"]["nulls"], columns["email"]["distinct"], columns["id"]["max"]) == (1, 2, 2)


def test_drift_names_what_changed(answer: Answer, command: Command, lake: Lake) -> None:
    old = publish(lake, "prices", {"price": [float(at) for at in range(1000)], "kind": ["a", "b"] * 500})
    new = publish(lake, "prices", {"price": [float(at + 500) for at in range(1000)], "kind": ["a", "b"] * 500})
    assert {found["column"] for found in answer("drift", old, new, "prices")} == {"price"}
    assert "price" in command("drift", old, new, "prices").stdout
    assert answer("drift", new, new, "prices") == []


def test_drift_names_the_partitions_that_carry_it_and_shows_rows(answer: Answer, command: Command, lake: Lake) -> None:
    days = [f"day=2017-07-{day}" for day in (26, 27, 28)]
    plain = {"price": [float(at) for at in range(500)], "kind": ["a", "b"] * 250}
    changed = {"price": [9000.0 + at for at in range(500)], "kind": ["a", None] * 250}
    old = [publish(lake, f"days/{day}", plain) for day in days][-1]
    new = publish(lake, f"days/{days[1]}", changed)
    found = {(one["column"], one["metric"]): one for one in answer("drift", old, new, "days")}
    assert {tuple(one["partitions"]) for one in found.values()} == {(days[1],)}
    outside = next(one for (column, _), one in found.items() if column == "price")
    assert [row["price"] for row in outside["rows"]] == [9000.0, 9001.0, 9002.0]
    assert [row["kind"] for row in found["kind", "nulls"]["rows"]] == [None] * 3
    said = command("drift", old, new, "days").stdout
    assert days[1] in said
    assert "9000.0" in said


def test_drift_shows_nothing_of_personal_columns(answer: Answer, lake: Lake) -> None:
    old = publish(lake, "users", {"id": [*range(500)], "salary": [float(at) for at in range(500)]})
    new = publish(lake, "users", {"id": [at + 9000 for at in range(500)], "salary": [None] * 500})
    found = answer("drift", old, new, "users")
    assert [row for one in found for row in one["rows"]]
    assert not [row for one in found for row in one["rows"] if "salary" in row]


def test_what_has_no_profile_is_refused_in_one_line(refused: Refused, command: Command, lake: Lake) -> None:
    assert "holds no file that has a profile" in refused("profile", "main:blob/noise.bin")
    assert "nothing is there" in refused("profile", "main:nowhere")
    for place in ("main:", "lake://main/"):
        assert "is not a place in the lake: write REF:PREFIX" in command("profile", place).stderr


def test_a_file_that_cannot_be_read_is_named_by_its_place_in_the_lake(refused: Refused, lake: Lake) -> None:
    lake.create_branch("run-quality", "main")
    with lake.write("run-quality", "raw/day=1", message="rows") as write:
        (Path(write.root) / "rows.csv").write_text("a,b\n1,2\n1,2,3\n")
    lake.merge("run-quality", "main", message="publish", audit=TESTS)
    assert "raw/day=1/rows.csv cannot be read: CSV parse error: Expected 2 columns, got 3; give it" in refused(
        "profile", "main:raw"
    )


def test_a_backtest_says_when_constraints_would_have_fired(
    answer: Answer, command: Command, lake: Lake, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "- {kind: range, column: price, min: 0}\n- {kind: row_count, max: 3}\n- {kind: complete, column: y}\n"
    )
    before = ""
    for prices in ([1.0, 2.0], [1.0, -2.0], [1.0, 2.0, 3.0, 4.0]):
        before = lake.head("main").id
        lake.create_branch("run-quality", "main")
        with lake.write("run-quality", "trades", message="rows") as write:
            pq.write_table(pyarrow.table({"price": prices}), Path(write.root) / "part-0.parquet")
        of = lake.fingerprint("run-quality", "trades") or ""
        with lake.write("run-quality", "trades_profile", message="profile") as write:
            write_profile(write.filesystem, write.root, profile(pyarrow.table({"price": prices})), of)
        lake.merge("run-quality", "main", message="publish", audit=TESTS)
        lake.delete_branch("run-quality")
    found = {one["constraint"]: one for one in answer("quality", "backtest", "trades", "--constraints", str(rules))}
    told = {name: (one["fired"], one["judged"], one["unknown"]) for name, one in found.items()}
    assert told == {"range_price": (1, 3, 0), "row_count": (1, 3, 0), "complete_y": (0, 0, 3), "anomaly": (0, 0, 3)}
    assert found["row_count"]["found"] == ["4 rows; at least 0 and at most 3 allowed"]
    assert "row_count" in command("quality", "backtest", "trades", "--constraints", str(rules)).stdout
    assert found["range_price"]["found"] == ["at least 1 of 2 rows break range_price"]
    rules.write_text("- {kind: range, column: price, max: 3.5}")
    rows = answer("quality", "quarantine", before, "main", "trades", "--constraints", str(rules))
    assert rows == [{"change": "entered", "price": 4.0, "quality_reasons": ["range_price"]}]


@pytest.mark.parametrize(("ignore", "sides", "fired"), [([], "both", 1), (["price"], "both", 0), ([], "low", 0)])
def test_a_backtest_judges_anomalies_as_the_check_does(
    answer: Answer, lake: Lake, monkeypatch: pytest.MonkeyPatch, ignore: list[str], sides: Any, fired: int
) -> None:
    @asset
    def trades() -> None: ...

    compare = Comparison(ignore=ignore, anomaly=AnomalyBounds(sides=sides))
    made, checks = profiled("trades", [Complete(column="price")], compare=compare)
    monkeypatch.setattr(
        definitions,
        "defs",
        Definitions(assets=[trades, made], asset_checks=[checks], resources=environments.resources()),
    )
    for at in range(7):
        rows = pyarrow.table({"price": [1.0 + at / 100, 2.0, 3.0] if at < 6 else [1e6, 2e6, 3e6]})
        lake.create_branch("run-quality", "main")
        with lake.write("run-quality", "trades", message="rows") as write:
            pq.write_table(rows, Path(write.root) / "part-0.parquet")
        of = lake.fingerprint("run-quality", "trades") or ""
        with lake.write("run-quality", "trades_profile", message="profile") as write:
            write_profile(write.filesystem, write.root, profile(rows), of)
        lake.merge("run-quality", "main", message="publish", audit=TESTS)
        lake.delete_branch("run-quality")
    found = {one["constraint"]: one["fired"] for one in answer("quality", "backtest", "trades")}
    assert found["anomaly"] == fired
    if sides == "low":
        turned = answer("quality", "backtest", "trades", "--sides", "high")
        assert {one["constraint"]: one["fired"] for one in turned}["anomaly"] == 1


def test_each_ref_of_quarantine_refers_to_its_own_rows(
    answer: Answer, refused: Refused, lake: Lake, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {kind: refers, column: isin, rows: desk/stocks, to: isin}")
    publish(lake, "desk.stocks", {"isin": ["a"]})
    old = publish(lake, "trades", {"isin": ["a", "b"]})
    publish(lake, "desk.stocks", {"isin": ["b"], "name": ["B"]})
    new = publish(lake, "trades", {"n": [1, 2], "isin": ["a", "b"]})
    told = ("quality", "quarantine", old, new, "trades", "--constraints", str(rules))
    assert answer(*told) == [
        {"change": "entered", "n": 1, "isin": "a", "quality_reasons": ["refers_isin"]},
        {"change": "left", "n": None, "isin": "b", "quality_reasons": ["refers_isin"]},
    ]
    rules.write_text("- {kind: refers, column: isin, rows: desk/nix, to: isin}")
    assert "refer to the asset 'desk/nix', which has no rows in the lake" in refused(*told)
    rules.write_text("- {kind: refers, column: isin, rows: desk/stocks, to: nix}")
    assert "refer to the asset 'desk/stocks': there is no column 'nix'; there are isin" in refused(*told)


def test_an_asset_without_constraints_is_named(refused: Refused, lake: Lake) -> None:
    assert "declares no constraints" in refused("quality", "backtest", "users_without_pii")
