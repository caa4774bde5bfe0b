"""Names of tables and topics, and which branch a run works on."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun

from lake_assets.lake.contract import MAIN
from lake_assets.resources.nosql import LMDBNoSQL
from lake_assets.resources.outbox import OutboxResource
from lake_assets.resources.working_branch import BRANCH_TAG, record_target, target_of

CONFIGURED = {"resources": {"snapshot": {"config": {"branch": "dev"}}}}


@pytest.mark.parametrize(
    ("branch", "file", "topic"), [(MAIN, "counts.jsonl", "counts"), ("dev", "counts--dev.jsonl", "counts--dev")]
)
def test_a_branch_has_a_file_and_a_topic_of_its_own(tmp_path: Path, branch: str, file: str, topic: str) -> None:
    lines = OutboxResource(address=str(tmp_path / "counts.jsonl"), branch=branch).outbox("lake")
    assert lines.address == str(tmp_path / file)
    kafka = OutboxResource(address="kafka://localhost:1/counts", branch=branch).outbox("lake")
    assert kafka.address == f"kafka://localhost:1/{topic}"


def test_a_branch_has_a_table_of_its_own(tmp_path: Path) -> None:
    store = LMDBNoSQL(folder=str(tmp_path), branch="dev")
    assert store.table_of(AssetKey(["sales", "daily"])) == "sales/daily--dev"
    assert store.on(MAIN).table_of(AssetKey(["sales", "daily"])) == "sales/daily"
    assert not store.off
    assert LMDBNoSQL(folder=str(tmp_path), branch="dev", on_branches=False).off
    assert not LMDBNoSQL(folder=str(tmp_path), on_branches=False).off


@pytest.mark.parametrize(
    ("tags", "config", "setting", "target"),
    [
        ({}, {}, MAIN, MAIN),
        ({}, {}, "set", "set"),
        ({}, CONFIGURED, "set", "dev"),
        ({BRANCH_TAG: "tagged"}, CONFIGURED, "set", "tagged"),
        ({BRANCH_TAG: MAIN}, CONFIGURED, "set", MAIN),
        ({BRANCH_TAG: MAIN}, {}, "set", MAIN),
    ],
)
def test_the_first_that_names_a_branch_counts_and_is_stored(
    tags: dict[str, str], config: dict[str, object], setting: str, target: str
) -> None:
    with DagsterInstance.ephemeral() as instance:
        run = DagsterRun("job", tags=tags, run_config=config)
        instance.add_run(run)
        assert record_target(instance, run, setting) == target
        # Whoever publishes it later has another setting, and an older copy of the run.
        assert record_target(instance, run, "another" if target != MAIN or tags else MAIN) == target
        assert target_of(instance, run) == target


@pytest.mark.parametrize("setting", [MAIN, "other"])
@pytest.mark.parametrize("parent", [MAIN, "dev"])
def test_a_run_that_is_executed_again_stays_where_its_parent_was(parent: str, setting: str) -> None:
    with DagsterInstance.ephemeral() as instance:
        first = DagsterRun("job")
        instance.add_run(first)
        record_target(instance, first, parent)
        again = DagsterRun("job", parent_run_id=first.run_id, root_run_id=first.run_id)
        instance.add_run(again)
        assert record_target(instance, again, setting) == parent
        assert target_of(instance, again) == parent
