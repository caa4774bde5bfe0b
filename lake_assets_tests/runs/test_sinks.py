"""The sensor `sinks_follow_main`."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from dagster import AssetKey, ConfigurableResource, Definitions, RunRequest, asset, build_sensor_context
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.storage.tags import PARTITION_NAME_TAG

from lake_assets import environments
from lake_assets.defs.words.sink import word_counts_topic
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded.backup import restore
from lake_assets.nosql.lmdb.restoring import restore_tables
from lake_assets.sensors import lake_sensors, sinks_follow_main
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.runs.test_rollback import rolled_back, stale
from lake_assets_tests.small_graph import SmallGraph

SENSOR = "sinks_follow_main"


def table() -> dict[str, float]:
    with closing(environments.open_nosql()) as store:
        return {row["isin"]: row["price"] for batch in store.scan("prices_table") for row in batch.to_pylist()}


def run(small: SmallGraph, request: RunRequest) -> None:
    """Do what the daemon does with a request."""
    assert request.asset_selection == [AssetKey("prices_table")]
    tags = {key: value for key, value in request.tags.items() if not key.startswith(PARTITION_NAME_TAG)}
    assert small.run("prices_table", partition_key=request.partition_key, tags=tags).success


def test_after_a_rollback_the_sink_is_brought_to_what_main_holds(small: SmallGraph, lake: Lake) -> None:
    small.publish_range("mon", "tue", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    assert small.run("prices_table", partition_key="tue").success
    before = lake.head(MAIN).id
    small.publish_range("mon", "tue", 2.0, 3.0)
    for day in ("mon", "tue"):
        assert small.run("prices_table", partition_key=day).success
    assert table() == {"DE0": 2.0, "DE1": 3.0}
    quiet = small.tick(SENSOR, None)
    assert quiet.run_requests == []
    assert (quiet.cursor or "").startswith(lake.head(MAIN).id)

    rolled_back(small, lake, before)
    ticked = small.tick(SENSOR, quiet.cursor)
    (request,) = ticked.run_requests or []
    assert request.tags["dagster/asset_partition_range_start"] == "mon"
    assert request.tags["dagster/asset_partition_range_end"] == "tue"
    run(small, request)
    assert table() == {"DE0": 1.0}
    assert stale(small, "mon", "tue", names=("prices", "prices_published", "prices_table")) == set()
    assert not small.tick(SENSOR, ticked.cursor).run_requests
    assert not small.tick(SENSOR, None).run_requests


def test_what_was_published_without_its_sink_reaches_it(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    small.publish("tue", 5.0, 6.0)
    (request,) = small.tick(SENSOR, None).run_requests or []
    assert request.partition_key == "tue"
    run(small, request)
    assert table() == {"DE0": 5.0, "DE1": 6.0}


def test_a_sink_that_was_never_fed_is_left_to_its_job(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    ticked = small.tick(SENSOR, None)
    assert not ticked.run_requests
    assert "Every sink holds" in (ticked.skip_message or "")


def test_while_the_run_that_published_goes_on_it_is_not_forestalled(small: SmallGraph, lake: Lake) -> None:
    result = small.publish("mon", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    running = small.instance.create_run_for_job(small.defs.resolve_implicit_global_asset_job_def())
    lake.create_branch("mine", MAIN)
    with lake.write("mine", "prices/partition=mon", mode="append") as write:
        Path(write.root, "note.txt").write_text("x")
    lake.merge("mine", MAIN, metadata={"run_id": running.run_id}, audit=TESTS)
    ticked = small.tick(SENSOR, None)
    assert not ticked.run_requests
    assert "is still running: it updates its sinks itself" in (ticked.skip_message or "")
    assert ticked.cursor != lake.head(MAIN).id
    small.instance.delete_run(running.run_id)
    assert small.tick(SENSOR, ticked.cursor).run_requests
    assert result.success


def test_a_sink_whose_server_does_not_answer_keeps_no_other_waiting(
    small: SmallGraph, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.publish("mon", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    small.publish("tue", 5.0)
    small.defs = Definitions.merge(small.defs, Definitions(assets=[word_counts_topic]))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WORDS_SINK", f"kafka://127.0.0.1:{deaf.getsockname()[1]}/counts")
        monkeypatch.setenv("KAFKA_DEADLINE", "1")
        ticked = small.tick(SENSOR, None)
        (request,) = ticked.run_requests or []
        run(small, request)
        # It is asked again at the next tick.
        assert ticked.cursor is None
        assert "word_counts_topic: the servers do not answer" in (small.tick(SENSOR, None).skip_message or "")
    assert table() == {"DE0": 5.0}


def test_a_new_kind_of_sink_is_a_resource_and_its_key_and_one_that_fails_keeps_no_other_waiting(
    small: SmallGraph, lake: Lake
) -> None:
    class Cells(ConfigurableResource["Cells"]):
        """A spreadsheet, say; what it reflects is its one setting."""

        commit: str = ""

        def reflected_commit(self, asset_key: AssetKey) -> str | None:
            assert asset_key == AssetKey("sheet")
            if self.commit == "away":
                raise LookupError("nobody is there")
            return self.commit or None

    @asset(deps=["prices_published", "prices"], tags={"layer": "sink"}, required_resource_keys={"cells"})
    def sheet() -> None: ...

    defs = Definitions.merge(small.defs, Definitions(assets=[sheet], resources={"cells": Cells()}))
    sensor, begin = sinks_follow_main("nosql", "cells"), lake.head(MAIN).id
    small.publish("mon", 1.0)

    def tick(commit: str) -> SensorExecutionData:
        resources = {**environments.resources(), "cells": Cells(commit=commit)}
        wanted = {key: resources[key] for key in ("lake", "nosql", "cells")}
        repository = defs.get_repository_def()
        with build_sensor_context(small.instance, repository_def=repository, resources=wanted) as context:
            return sensor.evaluate_tick(context)

    assert not tick("").run_requests
    assert [request.asset_selection for request in tick(begin).run_requests or []] == [[AssetKey("sheet")]]
    assert small.run("prices_table", partition_key="mon").success
    small.publish("tue", 5.0)
    away = tick("away")
    assert [request.asset_selection for request in away.run_requests or []] == [[AssetKey("prices_table")]]
    assert away.cursor is None


def test_lake_sensors_want_the_lake_alone(small: SmallGraph) -> None:
    defs = Definitions(sensors=lake_sensors(), resources={"lake": environments.lake_resource()})
    Definitions.validate_loadable(defs)
    for sensor in ("lake_commits", "sweep_branches", "collect_garbage"):
        assert small.tick(defs.get_repository_def().get_sensor_def(sensor), None).skip_message


@pytest.fixture
def restored(small: SmallGraph, lake: Lake, tmp_path: Path) -> Lake:
    """A lake that was restored from before its second day, which the table reflects."""
    small.publish("mon", 1.0)
    lake.backup(tmp_path / "backup")
    small.publish("tue", 5.0, 6.0)
    assert small.run("prices_table", partition_key="tue").success
    restore(tmp_path / "backup", environments.lake_home(), replace=True)
    return environments.open_lake()


def test_a_sink_refuses_a_partition_that_a_restored_main_lacks_and_is_brought_to_what_it_holds(
    small: SmallGraph, restored: Lake
) -> None:
    assert table() == {"DE0": 5.0, "DE1": 6.0}
    result = small.run("prices_table", partition_key="tue", raise_on_error=False)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    said = failure.step_failure_data.user_failure_data
    assert said is not None
    assert (said.description or "").startswith("main never held tue of prices, so prices_table was brought to what")
    assert result.get_asset_materialization_events() == []
    assert table() == {"DE0": 1.0}
    with closing(environments.open_nosql()) as store:
        assert store.source_commit("prices_table") == restored.head(MAIN).id
    assert small.run("prices_table", partition_key="mon").success


def test_after_a_restore_the_sensor_brings_the_sink_back_by_itself(small: SmallGraph, restored: Lake) -> None:
    ticked = small.tick(SENSOR, None)
    (request,) = ticked.run_requests or []
    assert request.partition_key == "mon"
    run(small, request)
    assert table() == {"DE0": 1.0}
    assert not small.tick(SENSOR, None).run_requests


def test_after_a_restore_of_an_empty_lake_the_sink_is_emptied(small: SmallGraph, lake: Lake, tmp_path: Path) -> None:
    lake.backup(tmp_path / "backup")
    small.publish("mon", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    restore(tmp_path / "backup", environments.lake_home(), replace=True)
    (request,) = small.tick(SENSOR, None).run_requests or []
    tags = {key: value for key, value in request.tags.items() if not key.startswith(PARTITION_NAME_TAG)}
    refused = small.run("prices_table", partition_key=request.partition_key, tags=tags, raise_on_error=False)
    assert not refused.success
    assert table() == {}
    assert not small.tick(SENSOR, None).run_requests


@pytest.mark.parametrize("small", BACKENDS, indirect=True)
@pytest.mark.parametrize("cursor", ["lost", "kept"])
def test_a_table_that_is_older_than_main_is_brought_forward(
    small: SmallGraph, lake: Lake, tmp_path: Path, cursor: str
) -> None:
    small.publish("mon", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    with closing(environments.open_nosql()) as store:
        store.backup(tmp_path / "tables")()
    small.publish("mon", 2.0)
    assert small.run("prices_table", partition_key="mon").success
    even = small.tick(SENSOR, None).cursor
    assert "is still at" in (small.tick(SENSOR, even).skip_message or "")
    restore_tables(tmp_path / "tables", environments.nosql_home(), replace=True)()
    assert table() == {"DE0": 1.0}
    # `main` has not moved since the tick before, and a run for this head may have been requested before.
    keys = {request.run_key for _ in range(2) for request in small.tick(SENSOR, None).run_requests or []}
    assert len(keys) == 2
    (request,) = small.tick(SENSOR, even if cursor == "kept" else None).run_requests or []
    run(small, request)
    assert table() == {"DE0": 2.0}


def test_a_run_of_a_sink_that_failed_is_asked_for_again_later(
    small: SmallGraph, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.publish("mon", 1.0)
    assert small.run("prices_table", partition_key="mon").success
    small.publish("tue", 5.0, 6.0)
    first = small.tick(SENSOR, "garbage 1 x")
    (failed,) = first.run_requests or []
    assert "The next is asked for in" in (small.tick(SENSOR, first.cursor).skip_message or "")
    # Who resets the cursor does not wait.
    assert small.tick(SENSOR, None).run_requests
    later = time.time() + 61
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        again = small.tick(SENSOR, first.cursor)
    (request,) = again.run_requests or []
    assert request.run_key != failed.run_key
    run(small, request)
    assert (small.tick(SENSOR, again.cursor).cursor or "").startswith(lake.head(MAIN).id)
