"""A branch that waits is published when no cursor is left, and by its branch alone when Dagster's storage is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from dagster import (
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    SensorDefinition,
    build_run_status_sensor_context,
    build_sensor_context,
)
from pyarrow.fs import FileSelector

from lake_assets import environments
from lake_assets.lake.audit import Override, describe, read_record, summarize
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.runs import waiting_branches as looking
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.branch import branch_name
from lake_assets.runs.published_state import mark_failed_runs
from lake_assets.runs.recorded_checks import CHECKS
from lake_assets.runs.recording import record_checks
from lake_assets.runs.unknown_runs import publish_unknown
from lake_assets.sensors import publish_runs, waiting_branches
from lake_assets_tests.lake.backends import put
from lake_assets_tests.runs.test_audit import PLACE, World, audit_of, error_of, lake, world
from lake_assets_tests.runs.test_published_state import ended
from lake_assets_tests.runs.test_source_ref import reading

__all__ = ["lake", "world"]


embedded = pytest.mark.parametrize("world", ["embedded"], indirect=True)
"""For what does not depend on the lake."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Do not wait for the run-status sensors."""
    monkeypatch.setattr(looking, "LEFT_ALONE", 0.0)


@pytest.fixture
def lost(world: World) -> Iterator[World]:
    """The same graph on the same lake, after Dagster's storage was lost."""
    with DagsterInstance.ephemeral() as instance:
        yield World(instance)


def tick(world: World) -> str:
    repository = world.defs.get_repository_def()
    resources = {"lake": environments.resources()["lake"]}
    with build_sensor_context(instance=world.instance, repository_def=repository, resources=resources) as context:
        return waiting_branches().evaluate_tick(context).skip_message or ""


def published(world: World, lake: Lake, run_id: str, override: Override | None = None) -> None:
    graph = world.defs.resolve_asset_graph()
    publish_unknown(lake, world.instance, run_id, lake.head(branch_name(run_id)), graph, override=override)


def marks(world: World) -> list[str]:
    found = world.instance.fetch_observations(AssetKey("prices"), limit=50).records
    observations = [record.event_log_entry.asset_observation for record in found]
    return [str(made.metadata["lake/published"].value) for made in observations if made is not None]


def test_a_successful_run_that_no_sensor_saw_is_published(world: World, lake: Lake) -> None:
    run = world.run("prices")
    assert f"Published run {run.run_id}" in tick(world)
    assert lake.fingerprint(MAIN, PLACE) is not None
    assert lake.branches() == (MAIN,)
    assert tick(world) == "No branch was left behind."
    assert world.problems(lake) == []


def test_what_waits_is_told_once_and_keeps_the_results_of_its_checks(world: World, lake: Lake) -> None:
    world.rows = [-1.0]
    failed = world.run("prices", "prices_published")
    branch = branch_name(failed.run_id)
    before = lake.head(branch)
    assert f"{branch} waits" in tick(world)
    head = lake.head(branch)
    assert head.parents == (before.id,)
    assert not lake.diff(before.id, head.id)
    ((check, place, _, passed, warned),) = json.loads(head.metadata[CHECKS])
    assert (check, place, passed, warned) == ("prices:positive", PLACE, False, False)
    assert [mark for mark in marks(world) if mark.startswith("not published")] == marks(world)
    assert len(marks(world)) == 1
    assert tick(world) == "No branch was left behind."
    assert (lake.head(branch), len(marks(world))) == (head, 1)


def test_a_run_that_its_publishing_asset_refuses_records_its_checks_itself(
    world: World, lost: World, lake: Lake
) -> None:
    world.run("prices", check=False)
    # It continues on a branch with something that no check let in.
    (branch,) = (name for name in lake.branches() if name != MAIN)
    refused = world.run("prices", "prices_published", day="tue", run_config=reading(branch))
    assert PLACE in error_of(refused)
    assert len(marks(world)) == 1
    head = lake.head(branch_name(refused.run_id))
    ((check, place, *_),) = json.loads(head.metadata[CHECKS])
    assert (check, place) == ("prices:positive", "prices/partition=tue")
    with pytest.raises(PublicationRefused) as refusal:
        published(lost, lake, refused.run_id)
    assert "partition=tue" not in str(refusal.value.description)
    # Asked again, it has nothing new to record or to say.
    with pytest.raises(PublicationRefused):
        world.publish(lake, refused.run_id)
    assert (lake.head(branch_name(refused.run_id)), len(marks(world))) == (head, 1)


@embedded
@pytest.mark.parametrize("sensor", [mark_failed_runs, publish_runs()], ids=lambda sensor: sensor.name)
def test_the_sensors_of_ended_runs_record_the_checks_at_once(
    world: World, lake: Lake, sensor: SensorDefinition
) -> None:
    world.rows = [-1.0]
    names = ["prices", "prices_published"] if sensor is mark_failed_runs else ["prices"]
    run = world.run(*names)
    with build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_event=ended(run),
        dagster_instance=world.instance,
        dagster_run=_run(world, run.run_id),
        repository_def=world.defs.get_repository_def(),
        resources={"lake": environments.lake_resource()},
    ) as context:
        sensor(context)
        head = lake.head(branch_name(run.run_id))
        assert [result[3] for result in json.loads(head.metadata[CHECKS])] == [False]
        sensor(context)
    assert lake.head(branch_name(run.run_id)) == head
    assert len(marks(world)) == 1
    assert tick(world) == "No branch was left behind."


@pytest.mark.parametrize("severity", [None, AssetCheckSeverity.WARN])
def test_what_passed_is_published_by_the_branch_alone(
    world: World, lost: World, lake: Lake, severity: AssetCheckSeverity | None
) -> None:
    if severity is not None:
        world.rows, world.severity = [-1.0], severity
    other = world.run("prices")
    # Something else on the branch keeps it back: a file of no asset.
    put(lake, branch_name(other.run_id), "stray", {"data": "1"})
    assert "waits" in tick(world)
    with pytest.raises(PublicationRefused, match="belongs_to_an_asset") as refused:
        published(lost, lake, other.run_id)
    assert "prices:positive" not in str(refused.value.description)
    published(lost, lake, other.run_id, Override("ann", "looked at", ("belongs_to_an_asset",)))
    (entry,) = (entry for entry in audit_of(lake) or () if entry.get("asset") == "prices")
    assert entry["passed" if severity is None else "warned"] == ["prices:positive"]
    assert "overridden" not in entry
    assert lake.branches() == (MAIN,)


def test_what_did_not_pass_is_not(world: World, lost: World, lake: Lake) -> None:
    world.rows = [-1.0]
    failed = world.run("prices", "prices_published")
    tick(world)
    with pytest.raises(PublicationRefused, match="prices:positive"):
        published(lost, lake, failed.run_id)
    # A newer result in the new Dagster, on the same files, counts.
    lost.rows, lost.severity = [-1.0], AssetCheckSeverity.WARN
    assert lost.check(branch_name(failed.run_id)).success
    published(lost, lake, failed.run_id)
    assert lake.fingerprint(MAIN, PLACE) is not None


def test_a_record_counts_for_no_other_files(world: World, lost: World, lake: Lake) -> None:
    run = world.run("prices", check=True)
    branch = branch_name(run.run_id)
    record_checks(lake, world.instance, world.defs.resolve_asset_graph(), _run(world, run.run_id), lake.head(branch))
    files = {"partition=mon/part.parquet": "other"}
    put(lake, branch, "prices", files, metadata={"run_id": run.run_id}, partitions=["partition=mon"])
    with pytest.raises(PublicationRefused, match="prices:positive"):
        published(lost, lake, run.run_id)


def test_a_record_counts_only_where_dagster_has_lost_the_run(world: World, lake: Lake) -> None:
    world.rows = [-1.0]
    failed = world.run("prices", "prices_published")
    forged = json.dumps([["prices:positive", PLACE, 9e9, True, False]])
    lake.note(branch_name(failed.run_id), "forged", {"run_id": failed.run_id, CHECKS: forged})
    with pytest.raises(PublicationRefused, match="prices:positive"):
        world.publish(lake, failed.run_id)


@embedded
@pytest.mark.parametrize("check", [True, False])
def test_a_record_of_an_unknown_run_lets_in_nothing_that_a_known_run_wrote(
    world: World, lake: Lake, check: bool
) -> None:
    world.rows = [-1.0]
    run = world.run("prices", check=check)
    forged = json.dumps([["prices:positive", PLACE, 9e9, True, False]])
    lake.note(branch_name(run.run_id), "forged", {"run_id": "dddd0000-0000-4000-8000-000000000001", CHECKS: forged})
    with pytest.raises(PublicationRefused, match="prices:positive"):
        world.publish(lake, run.run_id)


@embedded
def test_a_record_lets_in_nothing_that_dagster_has_seen_rejected(world: World, lake: Lake) -> None:
    world.rows = [-1.0]
    rejected = world.run("prices")
    # The same files again, as if another Dagster's run had written and checked them.
    files = {f"partition=mon/{name}": content for name, content in _files(lake, rejected.run_id).items()}
    unknown = "dddd0000-0000-4000-8000-000000000001"
    lake.create_branch(branch_name(unknown), MAIN)
    put(lake, branch_name(unknown), "prices", files, metadata={"run_id": unknown}, partitions=["partition=mon"])
    forged = json.dumps([["prices:positive", PLACE, 9e9, True, False]])
    lake.note(branch_name(unknown), "forged", {"run_id": unknown, CHECKS: forged})
    with pytest.raises(PublicationRefused, match="prices:positive"):
        published(world, lake, unknown)


def _files(lake: Lake, run_id: str) -> dict[str, bytes]:
    place = lake.path(branch_name(run_id), PLACE)
    infos = place.filesystem.get_file_info(FileSelector(place.root))
    return {info.base_name: place.filesystem.open_input_stream(info.path).readall() for info in infos}


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '[["a"]]', '[["a", "b", "c", true, true]]'])
def test_a_record_that_is_no_record_says_nothing(world: World, lost: World, lake: Lake, text: str) -> None:
    run = world.run("prices", check=False)
    lake.note(branch_name(run.run_id), "odd", {"run_id": run.run_id, CHECKS: text})
    with pytest.raises(PublicationRefused, match="prices:positive"):
        published(lost, lake, run.run_id)


def _run(world: World, run_id: str):
    run = world.instance.get_run_by_id(run_id)
    assert run is not None
    return run


# What was overridden once


def test_what_goes_back_to_something_that_an_override_let_in_says_so(world: World, lake: Lake) -> None:
    world.rows = [-1.0]
    run = world.run("prices", "prices_published")
    world.publish(lake, run.run_id, Override("ann", "negative is right", ("positive",)))
    world.rows = [2.0]
    assert world.run("prices", "prices_published").success
    for _ in range(2):
        # The same rows again, first from the override, and then from what went back to it.
        world.rows = [-1.0]
        again = world.run("prices")
        assert "positive" in error_of(again)
        world.publish(lake, again.run_id)
        (entry,) = audit_of(lake) or []
        assert entry["back_to"]
        assert entry["let_in_by"] == {"overridden": ["prices:positive"], "by": "ann", "reason": "negative is right"}
        assert "overridden" not in entry
        record = read_record(lake.head(MAIN).metadata) or []
        assert "where ann had overridden prices:positive: negative is right" in describe(record)
        assert "where ann had overridden prices:positive" in summarize(record)
        world.rows = [2.0]
        assert world.run("prices", "prices_published").success
