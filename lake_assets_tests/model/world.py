"""The system under test: a lake, Dagster's instance, the tiny graph, a sink, and the real functions that publish."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pandas
from dagster import (
    AssetCheckKey,
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    EventLogEntry,
    Failure,
)

from lake_assets import environments
from lake_assets.cli import publishing as publish_command
from lake_assets.cli.errors import CommandError
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit
from lake_assets.lake.errors import LakeError
from lake_assets.lake.transaction import transaction
from lake_assets.nosql.contract import NoSQLError
from lake_assets.resources.lake import LakeResource, SnapshotResource
from lake_assets.resources.nosql import LMDBNoSQL
from lake_assets.resources.spark import SparkResource
from lake_assets.resources.working_branch import BRANCH_TAG, target_of
from lake_assets.runs import branch as run_branch
from lake_assets.runs.audit import audit_publication
from lake_assets.runs.branch import read_ref
from lake_assets.runs.deleting import delete, deletion_events, plan_deletion
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.merging import merge_branch, merge_events
from lake_assets.runs.rollback import plan_rollback, roll_back, rollback_events
from lake_assets.runs.sweeping import sweep
from lake_assets.runs.verification import Verification
from lake_assets_tests.lake.history import Files
from lake_assets_tests.model import sink
from lake_assets_tests.model.clock import Clock
from lake_assets_tests.model.graph import CONTENTS, PUBLISHED_ASSET, Wanted, definitions, frame_of
from lake_assets_tests.model.somebody import LIBRARY, somebody_at
from lake_assets_tests.model.step import Step

REFUSALS = (Failure, LakeError, CommandError, NoSQLError)
"""How this project says no."""

_MEMORY = Path("/dev/shm")
FAST_FOLDER = str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None
"""Where a lake of a moment lies best: no disk has to sync it."""

WORKING = ("dev-a", "dev-b")
"""The working branches."""

_RUN_IDS = (str(UUID(int=number)) for number in count(1))
"""In the order of their names, so that branches always have the same one."""


@cache
def _instance() -> DagsterInstance:
    """Return the one instance of a process: an empty one takes longer to make than a sequence of steps."""
    return DagsterInstance.ephemeral()


def print_nothing(*_: Any) -> None:
    """Take what is logged."""


@dataclass(frozen=True)
class Outcome:
    """What came of an operation: a commit, or why there is none."""

    commit: Commit | None = None
    merged: bool = False
    refusal: str = ""


class World:
    """One lake and what runs on it.

    Parameters
    ----------
    lake
        The lake as a resource, on a lake of its own.
    folder
        For the sink.
    clock
        Dates commits, where the lake lets it.
    """

    def __init__(self, lake: LakeResource, folder: Path, clock: Clock) -> None:
        self.resource = lake
        self.lake = lake.lake
        self.instance = _instance()
        self.instance.wipe()
        nosql = LMDBNoSQL(folder=str(folder / "nosql"))
        self.store = nosql.store
        self.manager = ParquetIOManager(lake=lake, spark=SparkResource())
        self.wanted = Wanted()
        resources = {"lake": lake, "snapshot": SnapshotResource(), "nosql": nosql, "parquet_io_manager": self.manager}
        self.definitions = definitions(self.wanted, resources)
        self.repository = self.definitions.get_repository_def()
        self.job = self.definitions.resolve_implicit_global_asset_job_def()
        self.lake.create_branch(LIBRARY, MAIN)
        with self.lake.write(LIBRARY, "contents") as write:
            for name in CONTENTS:
                path = f"{write.root}/{name}.parquet"
                frame_of(name).to_parquet(path, index=False, filesystem=write.filesystem)
        for name in WORKING:
            self.lake.create_branch(name, MAIN, protected=True)
        self.somebody = somebody_at(self.lake, clock)

    def close(self) -> None:
        self.lake.close()
        self.store.close()

    def files(self, ref: str) -> Files:
        """Return path to checksum of all that a ref holds."""
        return {item.path: item.checksum for item in self.lake.list(ref)}

    def graph(self) -> Any:
        return self.repository.asset_graph

    # Runs

    def begin(
        self,
        parts: Sequence[str],
        source_ref: str = MAIN,
        parent: DagsterRun | None = None,
        skips: bool = False,
        target: str = MAIN,
    ) -> DagsterRun:
        """Make a run that goes on."""
        tags = {"dagster/partition": parts[0]} if len(parts) == 1 else {}
        if len(parts) > 1:
            tags = {"dagster/asset_partition_range_start": parts[0], "dagster/asset_partition_range_end": parts[-1]}
        run = DagsterRun(
            self.job.name,
            run_id=next(_RUN_IDS),
            status=DagsterRunStatus.STARTED,
            tags=tags | _tag_of(target),
            run_config=self.configuration(source_ref, target),
            parent_run_id=parent.run_id if parent else None,
            root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
            step_keys_to_execute=["tiny_published"] if skips else None,
        )
        self.instance.add_run(run)
        return run

    @staticmethod
    def configuration(source_ref: str, target: str = MAIN) -> dict[str, Any]:
        """Return a run's configuration, which names what it reads only where that is not its target."""
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return quiet if source_ref == target else {**quiet, **_reading(source_ref)}

    def run(self, run_id: str) -> DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def end(self, run_id: str, *, success: bool) -> None:
        kind = DagsterEventType.RUN_SUCCESS if success else DagsterEventType.RUN_FAILURE
        self.instance.report_dagster_event(DagsterEvent(kind.value, self.job.name), run_id)

    def step(self, run_id: str, name: str) -> Step:
        step = Step(self.instance, self.run(run_id), self.job, name)
        step.tell(DagsterEventType.STEP_START)
        return step

    def new_process(self, run_id: str) -> None:
        """Let the run's next step be in a process that knows nothing of its branch."""
        run_branch._KNOWN.discard((self.lake.repository, run_id))

    def write(self, run_id: str, asset: AssetKey, contents: Mapping[str, str], told: bool) -> Outcome:
        """Materialize an asset: contents by partition; ``""`` where it has none."""
        partitions = [part for part in contents if part]
        frames = [
            frame_of(content).assign(**({"partition": part} if part else {})) for part, content in contents.items()
        ]
        step = self.step(run_id, "/".join(asset.path))
        frame = pandas.concat(frames, ignore_index=True)
        try:
            step.store(self.manager, asset, partitions, frame)
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        if told:
            step.told(asset, partitions)
        (commit,) = {about["lake/commit"] for about in step.asset_metadata.values() if "lake/commit" in about}
        return Outcome(self.lake.head(commit))

    def read_ref(self, run_id: str) -> Outcome:
        """Return the commit that a step of the run reads."""
        try:
            return Outcome(self.lake.head(read_ref(self.lake, self.instance, self.run(run_id))))
        except REFUSALS as error:
            return Outcome(refusal=str(error))

    def load(self, step: Step, asset: AssetKey, parts: Sequence[str]) -> pandas.DataFrame | str:
        """Load an asset, or return why not."""
        try:
            return step.load(self.manager, asset, parts)
        except (*REFUSALS, FileNotFoundError, ValueError) as error:
            return str(error) or type(error).__name__

    def evaluate(
        self, step: Step, check: AssetCheckKey, verdict: str, partition: str | None, commit: str | None
    ) -> None:
        step.evaluate(check, verdict, partition, {"lake/commit": commit} if commit else {})

    # The ways to main

    def publish_by_asset(self, run_id: str, parts: Sequence[str]) -> Outcome:
        """Materialize `tiny_published`."""
        run = self.run(run_id)
        compute = self.repository.assets_defs_by_key[PUBLISHED_ASSET].op.compute_fn
        op = SimpleNamespace(has_partition_key=False, has_partition_key_range=True, partition_keys=list(parts))
        context = self._context(run_id, run=run, op_execution_context=op, **vars(op))
        try:
            result = compute.decorated_fn(context, self.resource)  # pyright: ignore
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        return Outcome(self.lake.head(result.metadata["lake/commit"]), result.metadata["merged"])

    def _context(self, run_id: str, **more: Any) -> SimpleNamespace:
        """Return what Dagster hands an asset or a sensor, as far as it is used."""
        warnings: list[str] = []

        def told(message: str, *arguments: Any) -> None:
            warnings.append(message % arguments)

        log = SimpleNamespace(debug=print_nothing, info=print_nothing, warning=told)
        return SimpleNamespace(
            run_id=run_id,
            instance=self.instance,
            log_event=self.instance.report_runless_asset_event,
            log=log,
            warnings=warnings,
            repository_def=self.repository,
            job_def=self.job,
            **more,
        )

    def publish_by_sensor(self, run_id: str) -> Outcome:
        """Tick `publish_runs` for a run that succeeded."""
        target = target_of(self.instance, self.run(run_id))
        before = self.lake.head(target)
        context = self._context(run_id, dagster_run=self.run(run_id))
        try:
            publish_runs: Any = self.repository.get_sensor_def("publish_runs")
            publish_runs._run_status_sensor_fn(context, self.resource)
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        if context.warnings:
            return Outcome(refusal="; ".join(context.warnings))
        head = self.lake.head(target)
        return Outcome(head, head.id != before.id)

    def publish_by_command(self, run_id: str, overridden: Sequence[str] = ()) -> Outcome:
        """Run `lake-assets publish`."""
        options: dict[str, Any] = {}
        if overridden:
            options = {"override": list(overridden), "by": "ann", "reason": "she knows why"}
        try:
            with self._command(publish_command) as output:
                publish_command.publish(run_id, json=True, **options)
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        document = json.loads(output.getvalue())
        return Outcome(self.lake.head(document["commit"]), document["merged"])

    @contextlib.contextmanager
    def _command(self, module: Any) -> Iterator[io.StringIO]:
        """Let a command work on this world, and return what it prints."""
        output = io.StringIO()
        with (
            patch.object(environments, "open_lake", lambda **_: self.lake),
            patch.object(module, "open_instance", lambda: contextlib.nullcontext(self.instance)),
            patch.object(module, "load_graph", self.graph),
            contextlib.redirect_stdout(output),
        ):
            yield output

    def merge(self, source: str, into: str, overridden: Sequence[str] = ()) -> Outcome:
        """Merge a branch as `lake-assets merge` does."""
        override = Override("ann", "she knows why", tuple(overridden)) if overridden else None
        try:
            result = merge_branch(self.lake, self.instance, self.graph(), source, into, override=override)
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        if result.merged:
            for event in merge_events(self.lake, EventLog(self.instance), self.graph(), result.commit):
                self.instance.report_runless_asset_event(event)
        return Outcome(result.commit, result.merged)

    def roll_back(self, to: str, prefix: str, branch: str = MAIN) -> Outcome:
        """Roll back as `lake-assets rollback` does."""
        return self.planned_rollback(to, prefix, branch)()

    def planned_rollback(self, to: str, prefix: str, branch: str = MAIN) -> Callable[[], Outcome]:
        """Plan a rollback, and return what makes it: others may be quicker in between."""
        try:
            plan = plan_rollback(self.lake, to, prefix, branch)
        except REFUSALS as error:
            refusal = str(error)
            return lambda: Outcome(refusal=refusal)

        def make() -> Outcome:
            if not plan.diff:
                return Outcome(plan.head)
            try:
                merge = roll_back(self.lake, self.instance, self.graph(), plan, "a test")
            except REFUSALS as error:
                return Outcome(refusal=str(error))
            for event in rollback_events(self.lake, EventLog(self.instance), self.graph(), merge):
                self.instance.report_runless_asset_event(event)
            return Outcome(merge, merged=True)

        return make

    def delete(self, place: str, branch: str = MAIN) -> Outcome:
        """Delete as `lake-assets delete` does."""
        try:
            plan = plan_deletion(self.lake, place, branch)
            merge = delete(self.lake, self.instance, self.graph(), plan, by="ann", reason="she knows why")
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        for event in deletion_events(self.lake, EventLog(self.instance), self.graph(), merge):
            self.instance.report_runless_asset_event(event)
        return Outcome(merge, merged=True)

    def transaction(self, place: str, content: str, stated: str) -> Outcome:
        """Replace a place by a transaction that states an audit, an override or nothing."""
        before = self.lake.head(MAIN)
        audits: dict[str, Any] = {
            "audit": lambda held: audit_publication(self.lake, self.instance, self.graph(), held),
            "override": Override("ann", "she knows why"),
        }
        try:
            with transaction(self.lake, audit=audits.get(stated)) as begun, begun.write(place) as write:
                file = f"{write.root}/part-00000.parquet"
                frame_of(content).to_parquet(file, index=False, filesystem=write.filesystem)
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        assert begun.commit is not None
        return Outcome(begun.commit, begun.commit.id != before.id)

    # Housekeeping, sinks, the record

    def sweep(self, limit: Any) -> set[str]:
        """Return the branches that a sweep removed."""
        return {branch.name for branch in sweep(self.lake, self.instance, limit) if branch.remove}

    def feed(self) -> Outcome:
        try:
            sink.feed(self.lake, self.store)
        except REFUSALS as error:
            return Outcome(refusal=str(error))
        return Outcome()

    def sink_commit(self) -> str | None:
        return self.store.source_commit(sink.TABLE)

    def sink_rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.store.scan(sink.TABLE) for row in batch.to_pylist()]

    def problems(self, ref: str = MAIN) -> list[str]:
        """Return what `lake-assets verify` says."""
        found = Verification(self.lake, self.instance, ref).problems(lambda _: None)
        return [f"{problem.path}: {problem.reason}" for problem in found]

    # Real runs

    def execute(
        self, selection: Sequence[AssetKey], parts: Sequence[str], source_ref: str = MAIN, target: str = MAIN
    ) -> tuple[str, list[EventLogEntry]]:
        """Run assets by Dagster's own engine; return the run's id and its events."""
        options: dict[str, Any] = {"tags": _tag_of(target)}
        if len(parts) == 1:
            options["partition_key"] = parts[0]
        elif parts:
            options["tags"] |= {
                "dagster/asset_partition_range_start": parts[0],
                "dagster/asset_partition_range_end": parts[-1],
            }
        result = self.job.execute_in_process(
            instance=self.instance,
            asset_selection=list(selection),
            run_config=self.configuration(source_ref, target),
            raise_on_error=False,
            run_id=next(_RUN_IDS),
            **options,
        )
        return result.run_id, list(self.instance.all_logs(result.run_id))


def _tag_of(target: str) -> dict[str, str]:
    return {BRANCH_TAG: target} if target != MAIN else {}


def _reading(source_ref: str) -> dict[str, Any]:
    return {"resources": {"snapshot": {"config": {"source_ref": source_ref}}}}


@contextlib.contextmanager
def embedded_world() -> Iterator[World]:
    """Open a world on an embedded lake of a moment."""
    from lake_assets.resources.lake import EmbeddedLake

    clock = Clock()
    with (
        tempfile.TemporaryDirectory(dir=FAST_FOLDER, prefix="lake-assets-model-") as folder,
        clock.dates_commits(),
    ):
        world = World(EmbeddedLake(home=f"{folder}/home"), Path(folder), clock)
        try:
            yield world
        finally:
            world.close()


@contextlib.contextmanager
def lakefs_world() -> Iterator[World]:
    """Open a world on a repository of its own on the tests' lakeFS server."""
    from lake_assets.resources.lake import LakeFS
    from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository

    endpoint, _, repository = fresh_repository().rpartition("/")
    key, secret = CREDENTIALS
    with tempfile.TemporaryDirectory(dir=FAST_FOLDER, prefix="lake-assets-model-") as folder:
        lake = LakeFS(endpoint=endpoint, access_key_id=key, secret_access_key=secret, repository=repository)
        world = World(lake, Path(folder), Clock())
        try:
            yield world
        finally:
            world.close()
