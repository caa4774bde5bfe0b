"""`stocks_table` in runs of its job, on both stores: what changed is written and no more, and drift is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from lake_assets import environments
from lake_assets.cli.app import app
from lake_assets.lake.contract import MAIN
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.runs.rollback import plan_rollback, roll_back
from lake_assets_tests.dynamodb_proxy import Proxy, proxied
from lake_assets_tests.graph_fixtures import Graph

DAY = "2017-07-28"
HEADER = (
    "ISIN,Mnemonic,SecurityDesc,SecurityType,Currency,SecurityID,Date,Time,StartPrice,MaxPrice,MinPrice,EndPrice,"
    "TradedVolume,NumberOfTrades\n"
)
ISINS = ("DE0007164600", "DE0005140008", "DE0008404005")


def publish(graph: Graph, source: Path, hour: int, prices: dict[str, float]) -> None:
    """Publish an hour of one bar a security, by a run of the job."""
    lines = [
        f"{isin},M,NAME,Common stock,EUR,2504000,{DAY},{hour:02}:30,{price},{price},{price},{price},10,1\n"
        for isin, price in prices.items()
    ]
    folder = source / DAY
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{DAY}_BINS_XETR{hour:02}.csv").write_text(HEADER + "".join(lines))
    assert graph.run(f"{DAY}-{hour:02}:00").success


def sink(graph: Graph, hour: int = 9) -> dict[str, Any]:
    """Run the sink alone, and return what it says of its run."""
    job = graph.defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=graph.instance, asset_selection=[_key()], partition_key=f"{DAY}-{hour:02}:00"
    )
    event = result.get_asset_materialization_events()[0]
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def _key() -> Any:
    from dagster import AssetKey

    return AssetKey("stocks_table")


def table() -> dict[str, float]:
    with closing(environments.open_nosql(read_only=True)) as store:
        return {row["ISIN"]: row["EndPrice"] for batch in store.scan("stocks_table") for row in batch.to_pylist()}


@pytest.fixture(params=["dynamodb", "lmdb"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int] | None]:
    """Put a store in force. With DynamoDB, it counts at the server what is written to the table."""
    if request.param == "lmdb":
        yield None
        return
    server = request.getfixturevalue("dynamodb")
    with proxied(server.endpoint) as proxy:
        options = server.options()
        settings = {
            "LAKE_NOSQL": "dynamodb",
            "DYNAMODB_ENDPOINT": proxy.endpoint,
            "DYNAMODB_PREFIX": options["prefix"],
            "AWS_DEFAULT_REGION": options["region_name"],
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield lambda: _count(proxy)


def _count(proxy: Proxy) -> int:
    return proxy.written_to("stocks_table")


def test_a_rollback_brings_the_same_items_back_by_what_differs_and_a_second_run_sends_nothing(
    written: Callable[[], int] | None, make_graph: Callable[..., Graph], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    graph = make_graph(source)
    publish(graph, source, 8, dict.fromkeys(ISINS, 1.0))
    before, first = table(), graph.lake.head(MAIN).id
    publish(graph, source, 9, {ISINS[0]: 2.0})
    assert table() == {**before, ISINS[0]: 2.0}
    sent = written() if written else 0

    roll_back(
        graph.lake,
        graph.instance,
        graph.defs.resolve_asset_graph(),
        plan_rollback(graph.lake, first),
        "a test",
    )
    said = sink(graph)
    assert (table(), said["put"], said["deleted"]) == (before, 1, 0)
    if written:
        assert (sent, written()) == (4, 5)
    said = sink(graph)
    assert "put" not in said or said["put"] == 0
    assert written is None or written() == 5


def test_a_table_that_drifted_is_found_and_mended_by_a_command(
    written: Callable[[], int] | None, make_graph: Callable[..., Graph], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    graph = make_graph(source)
    publish(graph, source, 8, dict.fromkeys(ISINS, 1.0))
    shown = table()

    def verify(*options: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["verify", "stocks_table", *options])
        return done.exit_code, done.output

    assert verify()[0] == 0
    with closing(environments.open_nosql()) as store:
        store.delete("stocks_table", [ISINS[1]])
        (row,) = store.get_many("stocks_table", [ISINS[0]]).to_pylist()
        store.write(
            "stocks_table",
            pd.DataFrame([{**row, "EndPrice": 9.0}, {**row, "ISIN": "XX"}]).astype(
                {"SecurityID": "int32", "NumberOfTrades": "int32"}
            ),
            key=["ISIN"],
        )
    code, output = verify()
    assert code == 1
    assert "1 missing, 1 changed, 1 extra" in output
    sent = written() if written else 0
    code, output = verify("--repair")
    assert (code, "mended" in output, table()) == (0, True, shown)
    assert written is None or written() - sent == 3
    assert verify()[0] == 0
    # A column that somebody added, and what another client wrote as another type.
    with closing(environments.open_nosql()) as store:
        row = {**store.get_many("stocks_table", [ISINS[0]]).to_pylist()[0], "Note": "mine"}
        came = pd.DataFrame([row]).astype({"SecurityID": "int32", "NumberOfTrades": "int32"})
        store.write("stocks_table", came, key=["ISIN"], allow_overwrite_schema=True)
        if isinstance(store, DynamoDBStore):
            api, name = store._client.api, store._name("stocks_table")  # pyright: ignore[reportPrivateUsage]
            item = api.get_item(TableName=name, Key={"ISIN": {"S": ISINS[1]}})["Item"]
            api.put_item(TableName=name, Item=item | {"SecurityID": {"S": "x"}})
    code, output = verify()
    assert code == 1
    assert "column 'Note' is stored as string, and should not be there" in output
    assert "0 missing, 3 changed, 0 extra" in output
    code, output = verify("--repair")
    assert (code, "mended" in output, table()) == (0, True, shown)
    assert verify()[0] == 0
