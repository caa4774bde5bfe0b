"""What a user of Dagster's web page sees of the graph, and of a run started there."""

from __future__ import annotations

from typing import Any

from lake_assets.defs.stocks.checks import CHECKS
from lake_assets.defs.stocks.schema import COLUMNS
from lake_assets.lake.contract import MAIN
from lake_assets_tests.ui import queries
from lake_assets_tests.ui.files import add_day, rows_of
from lake_assets_tests.ui.server import SELECTOR, DagsterServer

KINDS = {
    "stocks_csv": {"csv", "lake"},
    "stocks_parquet": {"parquet", "lake"},
    "stocks_parquet_profile": {"lake"},
    "stocks_quarantine": {"parquet", "lake"},
    "stocks_published": {"lake"},
    "stocks_table": {"table"},
}
IN_THE_LAKE = ("stocks_csv", "stocks_parquet", "stocks_quarantine")
WARNING = ("range_StartPrice", "drift", "anomaly")
BLOCKING = (*CHECKS, "complete_SecurityID", "pattern_Currency")


def by_label(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["label"]: entry for entry in entries}


def test_the_page_lists_the_assets_with_all_that_describes_them(dagster: DagsterServer) -> None:
    nodes = {
        node["assetKey"]["path"][0]: node
        for node in dagster.query(queries.ASSETS, group={"groupName": "stocks", **SELECTOR})
    }
    assert {name: set(node["kinds"]) for name, node in nodes.items()} == KINDS
    for name, node in nodes.items():
        assert node["owners"] == [{"team": "data-platform"}]
        assert node["description"]
        assert node["isPartitioned"]
        assert "stocks" in node["jobNames"]
        checks = {check["name"]: check["blocking"] for check in node["assetChecksOrError"]["checks"]}
        expected = dict.fromkeys(BLOCKING, True) | dict.fromkeys(WARNING, False)
        assert checks == (expected if name == "stocks_parquet" else {})
    for name in ("stocks_csv", "stocks_parquet", "stocks_table"):
        columns = by_label(nodes[name]["metadataEntries"])["dagster/column_schema"]["schema"]["columns"]
        assert [column["name"] for column in columns] == [column.name for column in COLUMNS]
        assert all(column["description"] for column in columns)
        assert columns[0]["constraints"] == {"nullable": False, "other": ["ISO 6166 check digit"]}


def test_a_run_launched_from_the_page_is_published_and_tells_what_it_made(dagster: DagsterServer) -> None:
    day, hour = "2017-07-03", "19"
    add_day(dagster.source, day, [hour])
    run = dagster.launch(f"{day}-{hour}:00")
    assert dagster.finished(run) == "SUCCESS"

    rows = len(rows_of(dagster.source, day, hour))
    events = dagster.events(run)
    made = {event["assetKey"]["path"][0]: event for event in events if "assetKey" in event}
    assert set(made) == set(KINDS)
    assert {event["partition"] for event in made.values()} == {f"{day}-{hour}:00"}
    checks = {
        event["evaluation"]["checkName"]: event["evaluation"]["success"] for event in events if "evaluation" in event
    }
    assert checks == dict.fromkeys((*BLOCKING, *WARNING), True)

    with dagster.lake() as lake:
        merge = lake.head(MAIN)
        assert merge.metadata["run_id"] == run
        assert f"run-{run}" not in lake.branches()
        for name in IN_THE_LAKE:
            metadata = by_label(made[name]["metadataEntries"])
            prefix = f"{name}/day={day}/hour={hour}"
            commit = metadata["lake/commit"]["text"]
            assert metadata["lake/prefix"]["text"] == prefix
            assert metadata["dagster/uri"]["text"] == f"lake://{commit}/{prefix}"
            # The commit that the materialization names holds what is on main now.
            assert lake.fingerprint(commit, prefix) == lake.fingerprint(MAIN, prefix)
            assert lake.head(commit).metadata["run_id"] == run
            assert metadata["dagster/row_count"]["intValue"] == (0 if name == "stocks_quarantine" else rows)
            data = [item.size for item in lake.list(commit, prefix) if "/_" not in item.path]
            assert metadata["size"]["intValue"] == sum(data)

    for name, event in made.items():
        metadata = by_label(event["metadataEntries"])
        tags = {tag["key"]: tag["value"] for tag in event["tags"]}
        assert tags["dagster/code_version"] == "1"
        assert tags["dagster/data_version"]
        if name == "stocks_published":
            assert metadata["lake/commit"]["text"] == merge.id
            assert metadata["merged"]["boolValue"]
            continue
        if name == "stocks_parquet_profile":
            assert metadata["rows"]["intValue"] == rows
            assert metadata["histograms"]["mdStr"].startswith("![histograms](data:image/png;base64,")
            continue
        columns = metadata["dagster/column_schema"]["schema"]["columns"]
        assert len(columns) == (4 if name == "stocks_quarantine" else len(COLUMNS))
        if name in ("stocks_parquet", "stocks_table"):
            lineage = {entry["columnName"]: entry for entry in metadata["dagster/column_lineage"]["lineage"]}
            (upstream,) = lineage["ISIN"]["columnDeps"]
            assert upstream["columnName"] == "ISIN"
            preview = metadata["preview"]["table"]
            assert [column["name"] for column in preview["schema"]["columns"]][:2] == ["ISIN", "Mnemonic"]
            assert 1 <= len(preview["records"]) <= 5
    assert by_label(made["stocks_table"]["metadataEntries"])["lake/commit"]["text"] == merge.id
