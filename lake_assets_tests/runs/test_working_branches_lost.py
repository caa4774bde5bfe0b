"""A working branch is merged by what the lake records of its audits when Dagster's storage is lost, on both lakes."""

# No postponed annotations here: Dagster reads them when the decorators run.

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pandas
import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    asset,
    asset_check,
)

from lake_assets import environments
from lake_assets.lake.audit import RECORD, Audit, Entry, Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.runs.asset_places import AssetPlace
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.branch import branch_name
from lake_assets.runs.merging import BranchMerge, merge_branch
from lake_assets.runs.recorded_checks import audit_results
from lake_assets.runs.working_branches import create_working_branch
from lake_assets_tests.lake.backends import put
from lake_assets_tests.runs.test_audit import PLACE, World, audit_of, lake, world
from lake_assets_tests.runs.test_source_ref import reading

__all__ = ["lake", "world"]

embedded = pytest.mark.parametrize("world", ["embedded"], indirect=True)
"""For what does not depend on the lake."""

DEV = "dev-ana"
CHECK = "prices:positive"
ANN = Override("ann", "negative is right", ("positive",))


@pytest.fixture
def dev(world: World, lake: Lake) -> str:
    """A working branch of an empty lake."""
    create_working_branch(lake, DEV)
    return DEV


@pytest.fixture
def lost(world: World) -> Iterator[World]:
    """The same graph on the same lake, after Dagster's storage was lost."""
    with DagsterInstance.ephemeral() as instance:
        yield World(instance)


def work(world: World, *rows: float, branch: str = DEV, publish: bool = True, **options: Any) -> ExecuteInProcessResult:
    """Materialize Monday on a working branch."""
    world.rows = rows
    names = ("prices", "prices_published") if publish else ("prices",)
    return world.run(*names, tags={"lake/branch": branch}, **options)


def merge(world: World, lake: Lake, name: str = DEV, into: str = MAIN, override: Override | None = None) -> BranchMerge:
    return merge_branch(lake, world.instance, world.defs.resolve_asset_graph(), name, into, override=override)


def refused(world: World, lake: Lake, name: str = DEV, into: str = MAIN) -> str:
    """Return why a merge is refused; nothing may have moved."""
    before = lake.head(into)
    with pytest.raises(PublicationRefused) as refusal:
        merge(world, lake, name, into)
    assert lake.head(into) == before
    return str(refusal.value.description)


@pytest.mark.parametrize("severity", [None, AssetCheckSeverity.WARN])
def test_what_was_audited_there_counts(
    world: World, lost: World, lake: Lake, dev: str, severity: AssetCheckSeverity | None
) -> None:
    if severity is not None:
        world.severity = severity
    assert work(world, 1.0 if severity is None else -1.0).success
    assert merge(lost, lake).merged
    assert audit_of(lake) == [
        {"asset": "prices", "partitions": "mon", "count": 1, "passed" if severity is None else "warned": [CHECK]}
    ]
    assert lost.problems(lake) == []


def test_what_was_overridden_there_takes_an_override_again(world: World, lost: World, lake: Lake, dev: str) -> None:
    run = work(world, -1.0, publish=False)
    world.publish(lake, run.run_id, ANN)
    for dagster in (world, lost):
        assert CHECK in refused(dagster, lake)
    merge(lost, lake, override=ANN)
    (entry,) = audit_of(lake) or []
    assert (entry["overridden"], entry["by"]) == ([CHECK], "ann")


@embedded
def test_what_was_merged_there_by_hand_has_no_result_of_a_check(
    world: World, lost: World, lake: Lake, dev: str
) -> None:
    lake.create_branch("hand", dev)
    put(lake, "hand", PLACE, {"part.parquet": "x"})
    lake.merge("hand", dev, audit=Override("ann", "by hand"))
    assert CHECK in refused(lost, lake)


@embedded
def test_other_files_than_those_that_were_audited_are_refused(world: World, lost: World, lake: Lake, dev: str) -> None:
    work(world, 1.0)
    lake.create_branch("hand", dev)
    put(lake, "hand", PLACE, {"part.parquet": "x"})
    lake.merge("hand", dev, audit=Override("ann", "by hand"))
    assert CHECK in refused(lost, lake)


@embedded
def test_what_comes_back_to_audited_files_is_as_audited_as_they_were(
    world: World, lost: World, lake: Lake, dev: str
) -> None:
    for price in (1.0, 2.0):
        assert work(world, price).success
    # What Dagster has not checked again is let in by the first record, on the branch and on `main`.
    again = work(lost, 1.0, publish=False, check=False)
    lost.publish(lake, again.run_id)
    assert merge(lost, lake).merged


@embedded
def test_a_result_that_the_new_dagster_has_counts_instead(world: World, lost: World, lake: Lake, dev: str) -> None:
    world.severity = AssetCheckSeverity.WARN
    assert work(world, -1.0).success
    assert not lost.check(dev).success
    assert CHECK in refused(lost, lake)


def test_another_check_that_also_reads_the_data_keeps_them_back_still(
    world: World, lost: World, lake: Lake, dev: str
) -> None:
    for dagster in (world, lost):
        also_reading_notes(dagster)
    world.rows = [-1.0]
    job = world.defs.resolve_implicit_global_asset_job_def()
    run = job.execute_in_process(instance=world.instance, tags={"lake/branch": dev}, raise_on_error=False)
    world.publish(lake, run.run_id, Override("ann", "right", ("total:positive",)))
    for dagster in (world, lost):
        text = refused(dagster, lake)
        assert "'notes'" in text
        assert "'total'" in text


def also_reading_notes(world: World) -> None:
    """Give a graph without partitions, whose check reads two assets."""

    @asset(io_manager_key="parquet_io_manager")
    def notes() -> pandas.DataFrame:
        return pandas.DataFrame({"note": ["a"]})

    @asset(io_manager_key="parquet_io_manager")
    def total(notes: pandas.DataFrame) -> pandas.DataFrame:
        return pandas.DataFrame({"price": world.rows})

    @asset_check(asset=total, blocking=True, additional_deps=[notes])
    def positive(total: pandas.DataFrame) -> AssetCheckResult:
        return AssetCheckResult(passed=bool((total["price"] > 0).all()))

    world.defs = Definitions([notes, total], asset_checks=[positive], resources=environments.resources())


def test_branches_of_branches_keep_what_was_audited(world: World, lost: World, lake: Lake, dev: str) -> None:
    create_working_branch(lake, "dev-ben", dev)
    work(world, 1.0, branch="dev-ben")
    assert merge(lost, lake, "dev-ben", dev).merged
    lake.delete_branch("dev-ben")
    assert merge(lost, lake).merged
    assert (audit_of(lake) or [])[0]["passed"] == [CHECK]


@embedded
def test_a_run_that_begins_there_may_publish_what_was_audited_there(
    world: World, lost: World, lake: Lake, dev: str
) -> None:
    work(world, 1.0)
    lost.rows = [2.0]
    assert lost.run("prices", "prices_published", day="tue", run_config=reading(dev)).success
    assert lake.fingerprint(MAIN, PLACE) is not None


# What is no record


def forged(lake: Lake, branch: str, into: str, metadata: Mapping[str, str] | None = None) -> Commit:
    """Merge a branch as if its check had passed."""
    head, paths = lake.head(branch), lake.incoming(branch, into)
    audit = Audit(head.id, (Entry("prices", "mon", PLACE, (CHECK,)),), None, paths)
    return lake.merge(head.id, into, "forged", metadata, audit)


@embedded
@pytest.mark.parametrize("says", ["the run", "another run", "no run"])
def test_a_record_lets_in_nothing_that_a_known_run_wrote(world: World, lake: Lake, dev: str, says: str) -> None:
    rejected = work(world, -1.0)
    run_ids = {"the run": rejected.run_id, "another run": "dddd0000-0000-4000-8000-000000000001"}
    forged(lake, branch_name(rejected.run_id), dev, {"run_id": run_ids[says]} if says in run_ids else None)
    assert CHECK in refused(world, lake)
    # A run that no check has seen is no better.
    unchecked = work(world, -2.0, publish=False, check=False)
    forged(lake, branch_name(unchecked.run_id), dev)
    assert CHECK in refused(world, lake)


@embedded
def test_a_merge_into_a_branch_that_anybody_may_write_to_is_no_record(world: World, lost: World, lake: Lake) -> None:
    run = world.run("prices", check=False)
    lake.create_branch("anybodys", MAIN)
    forged(lake, branch_name(run.run_id), "anybodys")
    lost.rows = [1.0]
    other = lost.run("prices", "prices_published", day="tue", run_config=reading("anybodys"))
    assert not other.success
    assert lake.fingerprint(MAIN, PLACE) is None


MON, TUE = (AssetPlace(AssetKey("prices"), day, f"prices/partition={day}") for day in ("mon", "tue"))


def results(*entries: object, place: AssetPlace = TUE) -> dict[str, tuple[bool, bool]]:
    merge = Commit("1" * 40, (), "", {RECORD: json.dumps(list(entries))}, datetime.now(timezone.utc))
    return {result.check: (result.passed, result.warned) for result in audit_results(merge, place)}


def test_where_entries_cannot_be_told_apart_all_of_them_must_agree() -> None:
    """Of several partitions with equal results, a record has only the first and the last."""
    many = {"asset": "prices", "partitions": "mon...wed", "count": 2, "passed": ["a", "b"], "warned": ["c"]}
    assert results(many) == {"a": (True, False), "b": (True, False), "c": (False, True)}
    one = {"asset": "prices", "partitions": "tue", "count": 1, "passed": ["a", "c"], "overridden": ["b"]}
    assert results(many, one) == {"a": (True, False), "b": (False, False), "c": (False, True)}
    assert results(many, {**one, "passed": []}) == {"b": (False, False)}
    assert results(many, one, place=MON)["b"] == (True, False)


@pytest.mark.parametrize("entry", [{}, {"asset": "prices", "passed": 3}, {"asset": "prices", "passed": {"a": 1}}, 7])
def test_a_record_that_is_no_record_says_nothing(entry: object) -> None:
    assert results(entry) == {}
