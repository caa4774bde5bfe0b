"""The run configuration `source_ref`: a run reads a chosen commit instead of `main`'s head."""

from __future__ import annotations

from typing import Any

from lake_assets.lake.contract import MAIN, Lake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.small_graph import SmallGraph


def reading(ref: str) -> dict[str, Any]:
    """Return the configuration of a run that reads that ref, as Dagster's launchpad takes it."""
    return {"resources": {"snapshot": {"config": {"source_ref": ref}}}}


def test_a_whole_run_reads_the_chosen_commit_and_publishing_merges_as_usual(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    lake.tag("before", MAIN)
    small.publish("mon", 1.0, 2.0)
    result = small.run("total", run_config=reading("before"))
    branch = f"run-{result.run_id}"
    assert lake.fingerprint(branch, "prices") == lake.fingerprint("before", "prices")
    (made,) = [commit for commit in lake.log(branch) if commit.metadata.get("asset") == "total"]
    assert made.parents == (lake.head("before").id,)
    newest = lake.fingerprint(MAIN, "prices")
    lake.merge(branch, MAIN, audit=TESTS)
    # What the chosen commit held of other assets is not published again.
    assert lake.fingerprint(MAIN, "prices") == newest
    assert lake.fingerprint(MAIN, "total") is not None


def test_an_older_partition_does_not_overwrite_a_newer_one_unseen(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    lake.tag("before", MAIN)
    small.publish("mon", 2.0)
    head = lake.head(MAIN)
    result = small.publish("mon", 3.0, run_config=reading("before"), raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "raw/partition=mon" in failure.step_failure_data.error_display_string
    assert lake.head(MAIN) == head


def test_a_ref_that_is_not_there_fails_the_run_and_is_named(small: SmallGraph, lake: Lake) -> None:
    result = small.publish("mon", 1.0, run_config=reading("nowhere"), raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "source_ref names 'nowhere'" in failure.step_failure_data.error_display_string
    assert lake.branches() == (MAIN,)
