"""What may reach `main`, by runs of a small graph with a blocking check, on both lakes."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas
import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetIn,
    AssetKey,
    AssetOut,
    BackfillPolicy,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DailyPartitionsDefinition,
    Definitions,
    DynamicPartitionsDefinition,
    ExecuteInProcessResult,
    Failure,
    Output,
    RetryPolicy,
    StaticPartitionsDefinition,
    TimeWindowPartitionMapping,
    asset,
    asset_check,
    build_run_status_sensor_context,
    in_process_executor,
    multi_asset,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from lake_assets import domains, environments
from lake_assets.lake.audit import Override, read_record
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.lake.spec import CommitStep
from lake_assets.runs import audit as rule
from lake_assets.runs import branch as run_branch
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.branch import branch_name, ensure_run_branch, read_ref
from lake_assets.runs.publishing import publish, published_asset
from lake_assets.runs.rollback import plan_rollback
from lake_assets.runs.verification import Verification
from lake_assets.sensors import publish_runs
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS, put
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository
from lake_assets_tests.runs.test_source_ref import reading

DAYS = StaticPartitionsDefinition(["mon", "tue"])
PLACE = "prices/partition=mon"


class World:
    """Runs of the graph; `rows` and `severity` are what the next run finds."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.rows: Sequence[float] = [1.0]
        self.severity = AssetCheckSeverity.ERROR
        self.defs = self._definitions()

    def _definitions(self) -> Definitions:
        @asset(partitions_def=DAYS, io_manager_key="parquet_io_manager", group_name="prices")
        def prices() -> pandas.DataFrame:
            return pandas.DataFrame({"price": self.rows})

        @asset(io_manager_key="parquet_io_manager", group_name="prices")
        def notes() -> pandas.DataFrame:
            return pandas.DataFrame({"note": ["a"]})

        @asset_check(asset=prices, blocking=True, partitions_def=DAYS)
        def positive(prices: pandas.DataFrame) -> AssetCheckResult:
            return AssetCheckResult(passed=bool((prices["price"] > 0).all()), severity=self.severity)

        published = published_asset("prices", ["prices"], partitions_def=DAYS)
        return Definitions(
            assets=[prices, notes, published], asset_checks=[positive], resources=environments.resources()
        )

    def run(self, *names: str, day: str | None = "mon", check: bool = True, **options: Any) -> ExecuteInProcessResult:
        """Materialize assets by name, with their checks or without."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(
            asset_selection={AssetKey(name) for name in names},
            asset_check_selection=None if check else set(),
        )
        partition = None if names == ("notes",) else day
        return subset.execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False, **options
        )

    def check(self, ref: str, day: str = "mon") -> ExecuteInProcessResult:
        """Run the check alone, on what a ref holds."""
        graph = self.defs.resolve_asset_graph()
        job = self.defs.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection=set(), asset_check_selection={*graph.asset_check_keys})
        return subset.execute_in_process(
            instance=self.instance, partition_key=day, raise_on_error=False, run_config=reading(ref)
        )

    def publish(self, lake: Lake, run_id: str, override: Override | None = None) -> str:
        """Publish a run as `lake-assets publish` does; return the commit."""
        run = self.instance.get_run_by_id(run_id)
        assert isinstance(run, DagsterRun)
        graph = self.defs.resolve_asset_graph()
        return publish(lake, self.instance, run, graph, override=override).commit.id

    def problems(self, lake: Lake) -> list[str]:
        return [problem.reason for problem in Verification(lake, self.instance, MAIN).problems(lambda _: None)]


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A fresh graph on a fresh lake of each backend."""
    for variable in domains.all_variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    if request.param == "lakefs":
        endpoint, _, repository = fresh_repository().rpartition("/")
        for name, value in {
            "LAKE_ENV": "services",
            "LAKE_NOSQL": "lmdb",
            "LAKEFS_ENDPOINT": endpoint,
            "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
            "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
            "LAKEFS_REPOSITORY": repository,
        }.items():
            monkeypatch.setenv(name, value)
    with DagsterInstance.ephemeral() as instance:
        yield World(instance)


@pytest.fixture
def lake(world: World) -> Iterator[Lake]:
    with closing(environments.open_lake()) as lake:
        yield lake


def error_of(result: ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return failure.step_failure_data.error_display_string


def audit_of(lake: Lake, ref: str = MAIN) -> list[dict[str, Any]] | None:
    return read_record(lake.head(ref).metadata)


def test_what_passed_its_check_is_published_and_the_commit_says_so(world: World, lake: Lake) -> None:
    assert world.run("prices", "prices_published").success
    assert audit_of(lake) == [
        {"asset": "prices", "partitions": "mon", "count": 1, "passed": ["prices:positive"]},
    ]
    run = world.run("notes")
    world.publish(lake, run.run_id)
    assert audit_of(lake) == [{"asset": "notes"}]
    assert world.problems(lake) == []


def test_rows_that_a_check_rejected_do_not_reach_main_by_way_of_another_run(world: World, lake: Lake) -> None:
    world.rows = [-1.0]
    rejected = world.run("prices", "prices_published")
    assert not rejected.success
    world.rows = [2.0]
    head = lake.head(MAIN)
    by_way_of = reading(branch_name(rejected.run_id))
    other = world.run("prices", "prices_published", day="tue", run_config=by_way_of)
    text = error_of(other)
    assert f"{PLACE!r}" in text
    assert rejected.run_id in text
    assert "--override prices:positive" in text
    assert lake.head(MAIN) == head
    # Nor without the publishing asset.
    late = world.run("prices", day="tue", run_config=by_way_of)
    with pytest.raises(PublicationRefused, match=rejected.run_id):
        world.publish(lake, late.run_id)
    assert lake.head(MAIN) == head


def test_a_check_that_passed_in_another_run_on_the_same_content_lets_it_in(world: World, lake: Lake) -> None:
    run = world.run("prices", check=False)
    with pytest.raises(PublicationRefused):
        world.publish(lake, run.run_id)
    # On other content, it does not.
    world.rows = [5.0]
    assert world.run("prices").success
    with pytest.raises(PublicationRefused):
        world.publish(lake, run.run_id)
    assert world.check(branch_name(run.run_id)).success
    world.publish(lake, run.run_id)
    assert lake.fingerprint(MAIN, PLACE) is not None


def test_a_check_that_ran_on_another_day_lets_nothing_in(world: World, lake: Lake) -> None:
    run = world.run("prices", check=False)
    branch = branch_name(run.run_id)
    assert world.run("prices", day="tue", run_config=reading(branch)).success
    with pytest.raises(PublicationRefused, match="partition=mon"):
        world.publish(lake, run.run_id)


def test_a_check_in_its_assets_own_step_lets_in_the_partition_that_the_step_wrote_and_no_other(
    world: World, lake: Lake
) -> None:
    # It says of no partition that it is for it alone, and the step reads the partition before.
    @asset(
        partitions_def=DailyPartitionsDefinition("2026-01-01"),
        io_manager_key="parquet_io_manager",
        check_specs=[AssetCheckSpec("positive", asset="total", blocking=True)],
        ins={"total": AssetIn(partition_mapping=TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))},
    )
    def total(total: pandas.DataFrame | None) -> Iterator[Any]:
        yield AssetCheckResult(passed=min(world.rows) > 0)
        if 3.0 in world.rows:
            raise RuntimeError("before the write")
        yield Output(pandas.DataFrame({"price": world.rows}))

    world.defs = Definitions([total], resources=environments.resources())
    world.rows = [-1.0]
    rejected = world.run("total", day="2026-01-01")
    assert not rejected.success
    by_way_of = reading(branch_name(rejected.run_id))
    world.rows = [2.0]
    other = world.run("total", day="2026-01-02", run_config=by_way_of)
    assert other.success
    world.rows = [3.0]
    assert not world.run("total", day="2026-01-02", run_config=by_way_of).success
    for run in (rejected, other):
        with pytest.raises(
            PublicationRefused,
            match=r"total:positive has not passed\. It keeps back 'total/day=2026-01-01' \([^,]*\)\.",
        ):
            world.publish(lake, run.run_id)
    world.rows = [2.0]
    world.publish(lake, world.run("total", day="2026-01-01").run_id)


def test_a_check_in_one_attempt_of_a_step_lets_in_nothing_that_another_wrote(world: World, lake: Lake) -> None:
    attempts: list[int] = []

    @asset(
        io_manager_key="parquet_io_manager",
        check_specs=[AssetCheckSpec("positive", asset="prices", blocking=True)],
        retry_policy=RetryPolicy(max_retries=1),
    )
    def prices() -> Iterator[Any]:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            yield Output(pandas.DataFrame({"price": [-1.0]}))
        else:
            yield AssetCheckResult(passed=True)
        raise RuntimeError("halfway")

    world.defs = Definitions([prices], resources=environments.resources())
    run = world.run("prices", day=None)
    assert len(attempts) == 2
    with pytest.raises(PublicationRefused, match="prices:positive has not passed"):
        world.publish(lake, run.run_id)


def test_a_check_that_is_executed_again_without_its_assets_write_lets_in_nothing_that_was_written_before(
    world: World, lake: Lake
) -> None:
    stored = AssetOut(io_manager_key="parquet_io_manager", is_required=False)

    @multi_asset(
        outs={"prices": stored, "volumes": stored},
        can_subset=True,
        check_specs=[AssetCheckSpec("positive", asset="prices", blocking=True)],
    )
    def trades(context: AssetExecutionContext) -> Iterator[Any]:
        for name in {"prices", "volumes"} & set(context.op_execution_context.selected_output_names):
            yield Output(pandas.DataFrame({"price": world.rows}), output_name=name)
        yield AssetCheckResult(asset_key="prices", passed=min(world.rows) > 0)

    world.defs = Definitions([trades], resources=environments.resources(), executor=in_process_executor)
    world.rows = [-1.0]
    rejected = world.run("prices", "volumes", day=None)
    world.rows = [1.0]
    (check,) = world.defs.resolve_asset_graph().asset_check_keys
    job = world.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={check}
    )
    run = world.instance.create_run_for_job(job, parent_run_id=rejected.run_id, root_run_id=rejected.run_id)
    assert execute_run(InMemoryJob(job), run, world.instance).success
    with pytest.raises(PublicationRefused, match="prices:positive has not passed"):
        world.publish(lake, rejected.run_id)


def test_a_check_of_a_range_counts_for_its_partitions_though_keys_have_gone_since(world: World, lake: Lake) -> None:
    users = DynamicPartitionsDefinition(name="users")
    world.instance.add_dynamic_partitions("users", ["a", "b", "c"])

    @asset(partitions_def=users, io_manager_key="parquet_io_manager", backfill_policy=BackfillPolicy.single_run())
    def logins(context: AssetExecutionContext) -> pandas.DataFrame:
        return pandas.DataFrame({"partition": context.partition_keys, "price": 1.0})

    @asset_check(asset=logins, blocking=True, partitions_def=users)
    def some(logins: pandas.DataFrame) -> AssetCheckResult:
        return AssetCheckResult(passed=not logins.empty)

    world.defs = Definitions([logins], asset_checks=[some], resources=environments.resources())
    ends = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    range_run = world.run("logins", day=None, tags=ends)
    world.instance.delete_dynamic_partition("users", "a")
    world.publish(lake, range_run.run_id)
    assert audit_of(lake) == [{"asset": "logins", "partitions": "a...b", "count": 2, "passed": ["logins:some"]}]
    world.publish(lake, world.run("logins", day="c").run_id)


def test_a_check_of_all_partitions_lets_none_go_that_it_has_not_seen(world: World, lake: Lake) -> None:
    users = DynamicPartitionsDefinition(name="users")

    @asset(partitions_def=users, io_manager_key="parquet_io_manager")
    def logins() -> pandas.DataFrame:
        return pandas.DataFrame({"price": [1.0]})

    @asset_check(asset=logins, blocking=True)
    def some(logins: pandas.DataFrame) -> AssetCheckResult:
        return AssetCheckResult(passed=not logins.empty)

    world.defs = Definitions([logins], asset_checks=[some], resources=environments.resources())
    for key in "ab":
        world.instance.add_dynamic_partitions("users", [key])
        world.publish(lake, world.run("logins", day=key).run_id)
    world.instance.add_dynamic_partitions("users", ["c"])
    run = world.run("logins", day="c")
    # The check of the first run read a commit that held no `b`, either.
    put(lake, branch_name(run.run_id), "logins", {}, partitions=["partition=b"])
    with pytest.raises(PublicationRefused, match=r"logins:some has not passed\. It keeps back 'logins/partition=b'"):
        world.publish(lake, run.run_id)


def test_a_check_that_warns_lets_it_in_and_is_told(world: World, lake: Lake) -> None:
    world.rows, world.severity = [-1.0], AssetCheckSeverity.WARN
    assert world.run("prices", "prices_published").success
    assert audit_of(lake) == [{"asset": "prices", "partitions": "mon", "count": 1, "warned": ["prices:positive"]}]


def test_a_named_person_overrides_named_checks_with_a_reason(world: World, lake: Lake) -> None:
    world.rows = [-1.0]
    run = world.run("prices", "prices_published")
    override = Override("ann", "negative prices are right here", ("positive",))
    world.publish(lake, run.run_id, override)
    assert audit_of(lake) == [
        {
            "asset": "prices",
            "partitions": "mon",
            "count": 1,
            "overridden": ["prices:positive"],
            "by": "ann",
            "reason": "negative prices are right here",
        }
    ]
    with pytest.raises(PublicationRefused, match="No blocking check is called 'negative'"):
        world.publish(lake, world.run("prices").run_id, Override("ann", "why", ("negative",)))


def test_an_override_by_a_short_name_that_several_checks_have_is_refused(world: World, lake: Lake) -> None:
    @asset(io_manager_key="parquet_io_manager")
    def costs() -> pandas.DataFrame:
        return pandas.DataFrame({"cost": [1.0]})

    @asset_check(asset=costs, name="positive", blocking=True)
    def costs_positive() -> AssetCheckResult:
        return AssetCheckResult(passed=False)

    world.rows = [-1.0]
    world.defs = Definitions.merge(world.defs, Definitions(assets=[costs], asset_checks=[costs_positive]))
    run = world.run("prices")
    with pytest.raises(PublicationRefused, match="'positive': name costs:positive or prices:positive"):
        world.publish(lake, run.run_id, Override("ann", "why", ("positive",)))
    world.publish(lake, run.run_id, Override("ann", "why", ("prices:positive",)))


def test_what_was_written_past_the_run_after_its_check_is_refused(world: World, lake: Lake) -> None:
    run = world.run("prices")
    branch = branch_name(run.run_id)
    put(lake, branch, "prices", {"partition=mon/more.parquet": "by hand"}, partitions=["partition=mon"], mode="append")
    head = lake.head(MAIN)
    with pytest.raises(PublicationRefused, match="partition=mon"):
        world.publish(lake, run.run_id)
    assert (lake.head(MAIN), branch in lake.branches()) == (head, True)


def test_equal_rows_replace_what_somebody_wrote_past_the_manifest(world: World, lake: Lake) -> None:
    assert world.run("prices", "prices_published").success
    put_past_the_manifest(lake)
    assert world.run("prices", "prices_published").success
    assert [item.path for item in lake.list(MAIN, PLACE) if item.path.endswith("own.parquet")] == []


def test_equal_rows_replace_a_file_of_equal_size_that_somebody_overwrote(world: World, lake: Lake) -> None:
    assert world.run("prices", "prices_published").success
    file = next(item.path for item in lake.list(MAIN, PLACE) if item.path.endswith(".parquet"))
    right = content(lake, file)
    at = right.index(b"PAR1") + 30
    lake.create_branch("own", MAIN)
    files = {item.path: content(lake, item.path) for item in lake.list(MAIN, PLACE)}
    files[file] = right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :]
    with lake.write("own", "prices", partitions=["partition=mon"]) as write:
        write.filesystem.create_dir(f"{write.root}/partition=mon")
        for path, data in files.items():
            with write.filesystem.open_output_stream(f"{write.root}/{path.removeprefix('prices/')}") as stream:
                stream.write(data)
    lake.merge("own", MAIN, audit=TESTS)
    assert content(lake, file) != right
    assert world.run("prices", "prices_published").success
    assert content(lake, file) == right


def content(lake: Lake, path: str) -> bytes:
    """Return the bytes of a file on main."""
    place = lake.path(MAIN, path)
    with place.filesystem.open_input_stream(place.root) as stream:
        return stream.read()


def put_past_the_manifest(lake: Lake) -> None:
    lake.create_branch("own", MAIN)
    put(lake, "own", "prices", {"partition=mon/own.parquet": "own"}, partitions=["partition=mon"], mode="append")
    lake.merge("own", MAIN, audit=TESTS)


@pytest.mark.services
@pytest.mark.parametrize("world", ["lakefs"], indirect=True)
def test_what_lies_uncommitted_on_a_runs_branch_is_refused(world: World, lake: Lake) -> None:
    run = world.run("prices")
    branch = branch_name(run.run_id)
    assert isinstance(lake, LakeFSLake)
    lake._server.upload(branch, f"{PLACE}/more.parquet", b"by hand")
    with pytest.raises(PublicationRefused, match=r"uncommitted changes: prices/partition=mon/more\.parquet"):
        world.publish(lake, run.run_id)


@pytest.mark.services
@pytest.mark.parametrize("world", ["lakefs"], indirect=True)
def test_a_file_that_somebody_merged_into_a_folder_that_a_run_replaces_is_a_conflict(world: World, lake: Lake) -> None:
    run = world.run("prices")
    assert isinstance(lake, LakeFSLake)
    # In lakeFS itself, with none of our markers.
    lake._server.create_branch("own", MAIN)
    lake._server.upload("own", f"{PLACE}/own.parquet", b"somebody's own")
    lake._server.commit("own", CommitStep(message="By hand"))
    lake._server.merge("own", MAIN, CommitStep(message="By hand"))
    head = lake.head(MAIN)
    with pytest.raises(Failure, match=r"own\.parquet"):
        world.publish(lake, run.run_id)
    assert lake.head(MAIN) == head


@pytest.mark.services
@pytest.mark.parametrize("world", ["lakefs"], indirect=True)
def test_a_file_that_somebody_merges_in_the_moment_of_the_publication_is_a_conflict_and_the_mixture_undone(
    world: World, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.run("prices")
    assert isinstance(lake, LakeFSLake)
    look = lake._refuse_unaudited

    def and_then_somebody_merges(*arguments: Any) -> Any:
        seen = look(*arguments)
        lake._server.create_branch("own", MAIN)
        lake._server.upload("own", f"{PLACE}/own.parquet", b"somebody's own")
        lake._server.commit("own", CommitStep(message="By hand"))
        lake._server.merge("own", MAIN, CommitStep(message="By hand"))
        return seen

    monkeypatch.setattr(lake, "_refuse_unaudited", and_then_somebody_merges)
    with pytest.raises(Failure, match=r"own\.parquet"):
        world.publish(lake, run.run_id)
    assert [item.path for item in lake.list(MAIN)] == [f"{PLACE}/own.parquet"]
    assert branch_name(run.run_id) in lake.branches()


def test_a_branch_that_was_deleted_after_a_step_fails_the_run_that_says_what_is_lost(world: World, lake: Lake) -> None:
    run = world.run("prices")
    made = lake.head(branch_name(run.run_id)).id
    lake.delete_branch(branch_name(run.run_id))
    head = lake.head(MAIN)
    with pytest.raises(Failure, match=f"materialized prices mon .commit {made}."):
        world.publish(lake, run.run_id)
    # The next process of the run makes no new branch.
    run_branch._KNOWN.clear()
    record = world.instance.get_run_by_id(run.run_id)
    assert record is not None
    with pytest.raises(Failure, match="deleted or reset"):
        ensure_run_branch(lake, world.instance, record)
    assert (lake.head(MAIN), lake.branches()) == (head, (MAIN,))
    (reason,) = world.problems(lake)
    assert made in reason


def test_the_sensor_says_what_a_successful_run_lost_with_its_branch(world: World, lake: Lake) -> None:
    run = world.run("prices")
    (event,) = [event for event in run.all_events if event.event_type == DagsterEventType.RUN_SUCCESS]
    lake.delete_branch(branch_name(run.run_id))
    context = build_run_status_sensor_context(
        "publish_runs",
        dagster_event=event,
        dagster_instance=world.instance,
        dagster_run=run.dagster_run,
        repository_def=world.defs.get_repository_def(),
        resources={"lake": environments.lake_resource()},
    )
    with context, pytest.raises(Failure, match="materialized prices mon"):
        publish_runs()(context)


def test_a_branch_that_was_reset_after_a_step_fails_the_publication(world: World, lake: Lake) -> None:
    run = world.run("prices")
    branch = branch_name(run.run_id)
    lake.delete_branch(branch)
    lake.create_branch(branch, MAIN)
    with pytest.raises(Failure, match="materialized prices mon"):
        world.publish(lake, run.run_id)
    # Nor does the next process of the run read it, though it writes nothing.
    run_branch._KNOWN.clear()
    record = world.instance.get_run_by_id(run.run_id)
    assert record is not None
    with pytest.raises(Failure, match="deleted or reset"):
        read_ref(lake, world.instance, record)


def test_a_run_goes_on_though_the_branch_that_it_began_at_is_published_meanwhile(world: World, lake: Lake) -> None:
    first = world.run("prices")
    second = world.run("notes", run_config=reading(branch_name(first.run_id)))
    world.publish(lake, first.run_id)
    # The next process of the second one.
    run_branch._KNOWN.clear()
    record = world.instance.get_run_by_id(second.run_id)
    assert record is not None
    assert ensure_run_branch(lake, world.instance, record) == branch_name(second.run_id)
    world.publish(lake, second.run_id)
    assert audit_of(lake) == [{"asset": "notes"}]


def test_what_was_merged_by_other_means_is_reported(world: World, lake: Lake) -> None:
    assert world.run("prices", "prices_published").success
    put_by_other_means(lake)
    assert any("without an audit" in reason and "stray/data" in reason for reason in world.problems(lake))
    # It is no more than reported: the next publication is as any other.
    world.rows = [3.0]
    assert world.run("prices", "prices_published").success


def put_by_other_means(lake: Lake) -> None:
    """Merge into `main` as plain Git and lakeFS's own page do: with no audit."""
    lake.create_branch("own", MAIN)
    put(lake, "own", "stray", {"data": "1"})
    if isinstance(lake, LakeFSLake):
        lake._server.merge("own", MAIN, CommitStep(message="By hand"))
        return
    import pygit2

    git = pygit2.Repository(str(Path(lake.repository, "lake.git")))
    head, own = (git.references[f"refs/heads/{name}"].target for name in (MAIN, "own"))
    somebody = pygit2.Signature("ann", "ann@example.com")
    git.create_commit(
        f"refs/heads/{MAIN}", somebody, somebody, "By hand", git[own].peel(pygit2.Commit).tree_id, [head, own]
    )


def test_a_rollback_goes_back_to_what_main_was_not_to_what_a_branch_held(world: World, lake: Lake) -> None:
    world.rows = [1.0]
    assert world.run("prices", "prices_published").success
    first = lake.head(MAIN)
    with pytest.raises(Failure, match="never published"):
        plan_rollback(lake, first.parents[1])
    assert plan_rollback(lake, first.parents[0]).target.id == first.parents[0]


def test_the_lake_refuses_a_merge_into_main_without_an_audit(world: World, lake: Lake) -> None:
    from lake_assets.lake.audit import Audit, Entry
    from lake_assets.lake.errors import Unaudited

    lake.create_branch("mine", MAIN)
    made = put(lake, "mine", "stray", {"data": "1"})
    head = lake.head(MAIN)
    with pytest.raises(Unaudited, match="needs an audit"):
        lake.merge("mine", MAIN)
    with pytest.raises(Unaudited, match="stray/data"):
        lake.merge("mine", MAIN, audit=Audit(made.id, (Entry("other", None, "other"),)))
    with pytest.raises(Unaudited, match=f"of commit {head.id}"):
        lake.merge("mine", MAIN, audit=Audit(head.id, (Entry("stray", None, "stray"),)))
    assert lake.head(MAIN) == head
    lake.merge("mine", MAIN, audit=TESTS)


def test_a_refusal_of_many_places_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "_made_by", lambda *_: "commit 1")
    refusals = [rule._Refusal(f"a/partition={at}", {"a:good": f"did not pass: {at} rows"}) for at in range(300)]
    anything: Any = Mock()
    text = rule._explained(anything, anything, MAIN, refusals)
    assert "295 more place(s) are kept back." in text
    assert len(text) < 1000
