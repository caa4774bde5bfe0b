"""The sensor `publish_runs` under the real daemon: what it publishes, and what it leaves for a human."""

from __future__ import annotations

import pytest
from dagster import AssetKey, DagsterInstance

from lake_assets.lake.contract import MAIN
from lake_assets.runs.asset_metadata import PUBLISHED, RUN
from lake_assets_tests.ui.files import add_day, file_of
from lake_assets_tests.ui.server import DagsterServer, until


def waiting(dagster: DagsterServer, run: str) -> str | None:
    """Return what the page of `stocks_parquet` says of a run that was not published, once it does."""
    with DagsterInstance.from_config(str(dagster.home)) as instance:
        records = instance.fetch_observations(AssetKey("stocks_parquet"), limit=20).records
        told = [one.metadata for record in records if (one := record.asset_observation) is not None]
        of_run = [one for one in told if PUBLISHED in one and RUN in one and one[RUN].value == run]
        return next((str(one[PUBLISHED].value) for one in of_run), None)


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
    assert reason.startswith("not published: ")
    assert "key_is_unique" in reason
    with dagster.lake() as lake:
        assert f"run-{parsed}" in lake.branches()
        assert lake.fingerprint(MAIN, f"stocks_parquet/{place}") is None
        assert lake.fingerprint(f"run-{parsed}", f"stocks_parquet/{place}") is not None
