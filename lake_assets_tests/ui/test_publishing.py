"""The sensor `publish_runs` under the real daemon: what it publishes, and what it leaves for a human."""

from __future__ import annotations

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets_tests.ui import queries
from lake_assets_tests.ui.files import add_day, file_of
from lake_assets_tests.ui.server import SELECTOR, DagsterServer, until


def waiting(dagster: DagsterServer, run: str) -> str | None:
    """Return why the sensor left a run's branch, once it has looked at it."""
    state = dagster.query(queries.TICKS, sensor={**SELECTOR, "sensorName": "publish_runs"})["sensorState"]
    return next((tick["skipReason"] for tick in state["ticks"] if run in (tick["skipReason"] or "")), None)


@pytest.mark.soak
def test_runs_of_single_assets_are_published_where_no_check_was_left_out(dagster: DagsterServer) -> None:
    day, hour = "2017-07-11", "19"
    key, place = f"{day}-{hour}:00", f"day={day}/hour={hour}"
    add_day(dagster.source, day, [hour])
    fetched = dagster.launch(key, ["stocks_csv"])
    assert dagster.finished(fetched) == "SUCCESS"

    def published() -> bool:
        with dagster.lake() as lake:
            return f"run-{fetched}" not in lake.branches()

    until("publish_runs publishes the file", published, 120)
    with dagster.lake() as lake:
        (raw,) = [item for item in lake.list(MAIN, f"stocks_csv/{place}") if item.path.endswith(".csv")]
        assert raw.size == file_of(dagster.source, day, hour).stat().st_size
        assert fetched in {commit.metadata.get("run_id") for commit in lake.log(MAIN) if len(commit.parents) > 1}

    parsed = dagster.launch(key, ["stocks_parquet", "stocks_quarantine"], without_checks=True)
    assert dagster.finished(parsed) == "SUCCESS"
    assert not [event for event in dagster.events(parsed) if "evaluation" in event]
    reason = until("publish_runs has looked at the bars", lambda: waiting(dagster, parsed), 120)
    assert "stocks_parquet:key_is_unique" in reason
    assert f"lake-assets publish {parsed}" in reason
    with dagster.lake() as lake:
        assert f"run-{parsed}" in lake.branches()
        assert lake.fingerprint(MAIN, f"stocks_parquet/{place}") is None
        assert lake.fingerprint(f"run-{parsed}", f"stocks_parquet/{place}") is not None
