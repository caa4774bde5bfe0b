"""A lake with one asset `accounts` of a database, published by each run, and its sensor."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from dagster import (
    AssetSelection,
    DagsterInstance,
    Definitions,
    EnvVar,
    ExecuteInProcessResult,
    RunRequest,
    SkipReason,
    build_sensor_context,
    define_asset_job,
)

from lake_assets import (
    EmbeddedLake,
    IncrementalIOManager,
    database_sensor,
    published_asset,
    table_from_database,
)
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake

URL = "TEST_DATABASE_URL"


class Desk:
    """A lake with one asset `accounts`, published by each run."""

    cursor: str | None = None

    def __init__(
        self, home: Path, instance: DagsterInstance, full_after: timedelta | None = None, **options: Any
    ) -> None:
        lake = EmbeddedLake(home=str(home))
        asset = table_from_database("accounts", url=EnvVar(URL), key="id", group_name="desk", **options)
        source = {name: options[name] for name in ("table", "query", "cursor") if name in options}
        changed = database_sensor("accounts", job="desk", url=EnvVar(URL), full_after=full_after, **source)
        self.resources = {"lake": lake, "incremental_io_manager": IncrementalIOManager(lake=lake)}
        self.defs = Definitions(
            assets=[asset, published_asset("desk", [asset])],
            jobs=[define_asset_job("desk", AssetSelection.groups("desk"))],
            sensors=[changed],
            resources=self.resources,
        )
        self.instance = instance
        self.lake: Lake = GitLake(home)

    def run(self, *, full: bool = False, raises: bool = True) -> ExecuteInProcessResult:
        config = {"ops": {"read_accounts": {"config": {"full": full}}}}
        return self.execute(RunRequest(run_config=config), raises=raises)

    def execute(self, asked: RunRequest, *, raises: bool = True) -> ExecuteInProcessResult:
        job = self.defs.resolve_job_def("desk")
        return job.execute_in_process(
            instance=self.instance, run_config=asked.run_config, tags=asked.tags, raise_on_error=raises
        )

    def tick(self) -> RunRequest | str:
        """Return the run that the sensor requests, or why it requests none."""
        repository = self.defs.get_repository_def()
        lake = {"lake": self.resources["lake"]}
        with build_sensor_context(
            instance=self.instance, repository_def=repository, resources=lake, cursor=self.cursor
        ) as context:
            found: Any = repository.get_sensor_def("accounts_changed")(context)
        if isinstance(found, SkipReason):
            return found.skip_message or ""
        self.cursor = found.cursor
        return found.run_requests[0]

    def rows(self) -> dict[int, Any]:
        snapshot = self.lake.path(MAIN, "accounts")
        import pyarrow.parquet as pq

        files = sorted(item.path for item in self.lake.list(MAIN, "accounts") if item.path.endswith(".parquet"))
        tables = [
            pq.read_table(f"{snapshot.root}/{file.partition('/')[2]}", filesystem=snapshot.filesystem) for file in files
        ]
        return {row["id"]: row["balance"] for table in tables for row in table.to_pylist()}


BY_TIME: dict[str, Any] = {"table": "accounts", "cursor": "changed", "overlap": timedelta(hours=1)}
