"""The users job: batches side by side on `main`, and personal data that gets no further than `users`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.dataset
import pytest
from dagster import AssetKey, ExecuteInProcessResult, TableColumnLineage

from lake_assets.defs.users.partitions import BATCHES_NAME
from lake_assets.defs.users.schema import COLUMNS, PII
from lake_assets.lake.contract import MAIN
from lake_assets.runs.publishing import publish
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.defs.users.files import add, changed
from lake_assets_tests.defs.users.test_pii import ADDRESSES
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.sources.servers import Handler, running

NAMES = [column.name for column in COLUMNS]
SECRET = "somebody@secret.example.org"


@pytest.fixture
def graph(make_graph: Callable[..., Graph], tmp_path: Path) -> Graph:
    """A graph whose source is the empty folder `files`."""
    (tmp_path / "files").mkdir()
    return make_graph(USERS_SOURCE=str(tmp_path / "files"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "files"


def run(graph: Graph, batch: str, dropped: list[str] | None = None, **options: Any) -> ExecuteInProcessResult:
    """Execute the job as `dagster job execute` does: of a batch that Dagster need not know."""
    config = {"ops": {"users_without_pii": {"config": {"columns": dropped}}}} if dropped is not None else {}
    return graph.defs.resolve_job_def("users").execute_in_process(
        instance=graph.instance,
        tags={"dagster/partition": batch},
        run_config=options.pop("run_config", config),
        raise_on_error=False,
        **options,
    )


def rows(graph: Graph, ref: str = MAIN, prefix: str = "users") -> pyarrow.Table:
    snapshot = graph.lake.path(ref, prefix)
    return pyarrow.dataset.dataset(snapshot.root, format="parquet").to_table()


def failure(result: ExecuteInProcessResult, step: str) -> str:
    """Return why a step failed; no other one did, and nothing was published."""
    assert not result.success
    (event,) = (event for event in result.all_events if event.is_step_failure)
    assert event.step_key == step
    return event.step_failure_data.error_display_string


def audit(result: ExecuteInProcessResult) -> tuple[bool, dict[str, Any]]:
    """Return whether the check passed, and its metadata."""
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "no_pii"]
    assert check.check_name == "no_pii"
    assert "lake/commit" in check.metadata
    return check.passed, {name: entry.value for name, entry in check.metadata.items() if name != "lake/commit"}


def test_a_second_batch_is_on_its_run_branch_while_main_has_the_first_alone(graph: Graph, files: Path) -> None:
    for batch in ("week1", "week2"):
        add(files, batch)
    assert run(graph, "week1").success
    assert rows(graph).num_rows == 1000

    second = run(graph, "week2", asset_selection=[AssetKey("users"), AssetKey("users_without_pii")])
    assert second.success
    branch = f"run-{second.run_id}"
    for prefix in ("users", "users_without_pii"):
        assert rows(graph, branch, prefix).num_rows == 2000
        assert rows(graph, MAIN, prefix).num_rows == 1000

    assert publish(graph.lake, graph.instance, second.dagster_run, graph.defs.resolve_asset_graph()).merged
    for prefix in ("users", "users_without_pii"):
        assert rows(graph, MAIN, prefix).num_rows == 2000
    assert graph.lake.branches() == (MAIN,)
    assert {path.rsplit("/", 1)[0] for path in graph.published()} == {
        "users_profile/partition=week1",  # The second run was asked for the other two.
        *(f"{prefix}/partition={batch}" for prefix in ("users", "users_without_pii") for batch in ("week1", "week2")),
    }
    # The runs have made their batches known to Dagster.
    assert set(graph.instance.get_dynamic_partitions(BATCHES_NAME)) == {"week1", "week2"}


def test_a_batch_run_again_replaces_its_own_folder_and_never_adds_twice(graph: Graph, files: Path) -> None:
    for batch in ("week1", "week2"):
        add(files, batch)
    graph.instance.add_dynamic_partitions(BATCHES_NAME, ["week1", "week2"])
    assert graph.run_range("week1", "week2", "users").success
    before = graph.published()

    add(files, "week2", changed("week2", title="Duke").slice(0, 600))
    assert run(graph, "week2").success
    assert rows(graph).num_rows == rows(graph, prefix="users_without_pii").num_rows == 1600
    assert rows(graph)["title"].to_pylist().count("Duke") == 1
    after = graph.published()
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == {
        path for path in before if "partition=week2" in path
    }

    # Equal rows are no new version.
    assert run(graph, "week2").success
    assert graph.published() == after


def test_the_generated_default_needs_no_file_and_any_name_is_a_batch(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph()
    batch = "2026/47 ä: [a] {b} 100%*?"
    assert run(graph, batch).success
    assert rows(graph).num_rows == rows(graph, prefix="users_without_pii").num_rows == 1000
    assert rows(graph)["email"][0].as_py().endswith(("@example.com", "@example.net", "@example.org"))


def test_the_source_may_be_told_by_run_configuration(make_graph: Callable[..., Graph], tmp_path: Path) -> None:
    graph = make_graph(USERS_SOURCE=str(tmp_path / "away"))
    add(tmp_path / "here", "week1", changed("week1", title="Duke"))
    config = {"ops": {"read_users": {"config": {"source": str(tmp_path / "here")}}}}
    result = run(graph, "week1", run_config=config, asset_selection=[AssetKey("users")])
    assert "Duke" in rows(graph, f"run-{result.run_id}")["title"].to_pylist()


def test_personal_columns_are_dropped_and_each_other_tells_where_it_came_from(graph: Graph, files: Path) -> None:
    add(files, "week1")
    result = run(graph, "week1")
    left = [name for name in NAMES if name not in PII]
    assert rows(graph, prefix="users_without_pii").column_names == left
    assert rows(graph, prefix="users_without_pii").equals(rows(graph).select(left))
    assert audit(result) == (
        True,
        {
            "columns": ["ip_address", "birthdate", "salary", "email"],
            "files": 1,
            "files_with_columns": 0,
            "emails": 0,
            "ip_addresses": 0,
            "columns_left": {},
            "values_left": [],
        },
    )
    events = {
        event.asset_key.path[0]: event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    lineage = events["users_without_pii"]["dagster/column_lineage"].value
    assert isinstance(lineage, TableColumnLineage)
    assert {
        name: [(dep.asset_key.path, dep.column_name) for dep in deps] for name, deps in lineage.deps_by_column.items()
    } == {name: [(["users"], name)] for name in left}
    schema: Any = events["users_without_pii"]["dagster/column_schema"].value
    assert [column.name for column in schema.columns] == left
    assert all(column.description for column in schema.columns)
    assert str(events["users"]["source"].value) == f"file://{files}/week1.parquet"
    assert events["users"]["dagster/row_count"].value == 1000


def test_a_column_that_is_none_is_an_error_that_names_it(graph: Graph, files: Path) -> None:
    add(files, "week1")
    reason = failure(run(graph, "week1", ["email", "e_mail", "partition"]), "users_without_pii")
    assert "users has no column 'e_mail', 'partition' to drop; its columns are registration_dttm, id" in reason
    assert "keep at least one" in failure(run(graph, "week1", NAMES), "users_without_pii")
    assert graph.published() == {}


def test_a_column_that_was_left_blocks_every_batch_until_it_is_gone(graph: Graph, files: Path) -> None:
    for batch in ("week1", "week2"):
        add(files, batch)
    # Whoever means salaries to stay may say so.
    assert run(graph, "week1", ["email", "ip_address"]).success
    published = graph.published()

    second = run(graph, "week2")
    passed, metadata = audit(second)
    assert not passed
    assert metadata["files"] == 2
    (file,) = metadata["columns_left"]
    assert metadata["columns_left"] == {file: ["birthdate", "salary"]}
    assert file.startswith("users_without_pii/partition=week1/")
    assert graph.published() == published
    assert graph.lake.branches() == (MAIN, f"run-{second.run_id}")

    assert graph.run_range("week1", "week2", "users").success
    assert rows(graph).num_rows == rows(graph, prefix="users_without_pii").num_rows == 2000
    assert not set(PII) & set(rows(graph, prefix="users_without_pii").column_names)


def test_addresses_in_any_column_of_any_batch_block_and_are_not_told(graph: Graph, files: Path) -> None:
    add(files, "week1", changed("week1", comments=f"write to {SECRET}", title=ADDRESSES[0]))
    add(files, "week2")
    result = run(graph, "week1", ["birthdate", "salary", "ip_address"])
    passed, metadata = audit(result)
    assert not passed
    assert (metadata["emails"], metadata["ip_addresses"]) == (1001, 1)
    (file,) = {found["file"] for found in metadata["values_left"]}
    assert file.startswith("users_without_pii/partition=week1/")
    assert {found["column"]: (found["emails"], found["ip_addresses"]) for found in metadata["values_left"]} == {
        "email": (1000, 0),
        "comments": (1, 0),
        "title": (0, 1),
    }
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "no_pii"]
    assert SECRET not in f"{check.description} {metadata}"
    assert graph.published() == {}
    assert graph.lake.branches() == (MAIN, f"run-{result.run_id}")


@pytest.mark.parametrize("spoil", ["missing", "text", "columns"])
def test_a_bad_file_fails_the_batch_and_leaves_nothing(graph: Graph, files: Path, spoil: str) -> None:
    reasons = {
        "missing": "there is no such file",
        "text": "is not a complete Parquet",
        "columns": "email (string) is missing",
    }
    if spoil == "text":
        (files / "week1.parquet").write_text("id,email\n")
    if spoil == "columns":
        add(files, "week1", changed("week1").drop_columns("email"))
    result = run(graph, "week1")
    assert reasons[spoil] in failure(result, "read_users")
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    assert graph.published() == {}
    # A misspelt name does not become a batch.
    assert graph.instance.get_dynamic_partitions(BATCHES_NAME) == []


def test_a_batch_is_fetched_by_url_and_published_as_from_a_folder(graph: Graph, files: Path) -> None:
    add(files, "week1")
    assert run(graph, "week1").success
    before = graph.lake.fingerprint(MAIN, "users")
    with running(Handler) as server:
        server.files["/seed/week1.parquet"] = (files / "week1.parquet").read_bytes()
        config = {"ops": {"read_users": {"config": {"source": f"{server.address}/seed"}}}}
        result = run(graph, "week1", run_config=config)
    assert result.success
    (event,) = result.asset_materializations_for_node("read_users")
    assert event.metadata["source"].value == f"{server.address}/seed/week1.parquet"
    assert rows(graph).num_rows == 1000
    assert graph.lake.fingerprint(MAIN, "users") == before


def test_a_file_without_rows_is_a_batch_of_none(graph: Graph, files: Path) -> None:
    add(files, "week1", changed("week1").slice(0, 0))
    assert run(graph, "week1").success
    assert rows(graph).num_rows == rows(graph, prefix="users_without_pii").num_rows == 0
    assert rows(graph).column_names == NAMES


def test_the_sample_file_is_published_whole_and_without_personal_data(make_graph: Callable[..., Graph]) -> None:
    folder = REPOSITORY_ROOT.parent / "shared" / "data" / "users"
    if not folder.is_dir():
        pytest.skip("the sample of users (../shared/data/users) is not on this machine")
    graph = make_graph(USERS_SOURCE=str(folder))
    result = run(graph, "userdata1")
    assert result.success
    published, sample = rows(graph), pyarrow.dataset.dataset(folder, format="parquet").to_table()
    assert published.equals(sample.cast(published.schema))
    assert (published.num_rows, published["salary"].null_count) == (1000, 68)
    assert rows(graph, prefix="users_without_pii").num_rows == 1000
    assert audit(result)[0]
