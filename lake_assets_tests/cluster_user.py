"""Jobs as a user starts them, on lakeFS with the workers of a Spark cluster, or on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from lake_assets.defs.users.partitions import BATCHES_NAME
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.layout.manifest import MANIFEST, read_manifest
from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.quality.profile import Profile
from lake_assets.quality.stored_profiles import STATE, read_profile
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository
from lake_assets_tests.processes.job_process import PATIENCE, JobProcess
from lake_assets_tests.spark_cluster import SparkCluster


class User:
    """Someone with a lake of their own, who starts jobs, each in a process.

    Parameters
    ----------
    home
        A folder for Dagster and the stores of this machine.
    cluster
        The cluster; without it, everything is done on this machine, on an embedded lake.
    settings
        Further settings of the environment.
    """

    def __init__(self, home: Path, cluster: SparkCluster | None, **settings: str) -> None:
        self.home = home
        (home / "dagster").mkdir(parents=True)
        self.settings = {"DAGSTER_HOME": str(home / "dagster"), "LAKE_HOME": str(home / "lake"), **settings}
        self._where = ("", "")
        if cluster is not None:
            endpoint, _, repository = fresh_repository().rpartition("/")
            self._where = (endpoint, repository)
            self.settings |= {
                "LAKE_ENV": "services",
                "LAKE_ENGINE": "spark",
                "LAKE_NOSQL": "lmdb",
                "LAKEFS_ENDPOINT": endpoint,
                "LAKEFS_REPOSITORY": repository,
                "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
                "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
                "SPARK_MASTER": cluster.master,
                "SPARK_CONF": cluster.conf,
                "SPARK_DRIVER_MEMORY": "640m",
                **settings,
            }

    def lake(self) -> Lake:
        """Open the lake."""
        endpoint, repository = self._where
        if not endpoint:
            return GitLake(self.home / "lake")
        return LakeFSLake(endpoint, *CREDENTIALS, repository)

    def start(self, job: str, key: str = "", *, killed_at: tuple[str, ...] = ()) -> JobProcess:
        """Start a job. It kills itself where it is asked to."""
        if job == "users":
            with DagsterInstance.from_config(str(self.home / "dagster")) as instance:
                instance.add_dynamic_partitions(BATCHES_NAME, [key])
        return JobProcess(job, key, self.home, self.settings, killed_at)

    def run(self, job: str, key: str = "") -> str:
        """Run a job to its end, which must be a success, and return what it said."""
        process = self.start(job, key)
        process.succeed()
        return process.text

    def command(self, *arguments: str) -> str:
        """Run `lake-assets`, which must succeed, and return what it prints."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "TMPDIR") if name in os.environ}
        done = subprocess.run(
            [str(Path(sys.executable).with_name("lake-assets")), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.home,
            env={**inherited, **self.settings},
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return all items of a table in DynamoDB, or on the disk of this machine, by their keys."""
        with closing(self._store()) as store:
            rows = [item for batch in store.scan(table) for item in batch.to_pylist()]
            return sorted(rows, key=lambda row: [row[name] for name in store.key(table)])

    def _store(self) -> NoSQLStore:
        if "DYNAMODB_ENDPOINT" in self.settings:
            return DynamoDBStore(
                self.settings["DYNAMODB_PREFIX"],
                endpoint_url=self.settings["DYNAMODB_ENDPOINT"],
                region_name=self.settings["AWS_DEFAULT_REGION"],
                access_key_id=self.settings["AWS_ACCESS_KEY_ID"],
                secret_access_key=self.settings["AWS_SECRET_ACCESS_KEY"],
                read_only=True,
            )
        return LMDBStore(self.home / "lake" / "nosql", read_only=True)

    def versions(self) -> dict[str, tuple[int, str]]:
        """Return the rows and the content version of every folder that is published. That of a profile is not content.

        It says which files were profiled, and those of two lakes differ.
        """
        with closing(self.lake()) as lake:
            manifests = [item.path for item in lake.list(MAIN) if item.path.endswith(f"/{MANIFEST}")]
            found = {path: read_manifest(lake.path(MAIN, path)) for path in manifests if "_profile/" not in path}
        return {path: (manifest.rows, manifest.data_version) for path, manifest in found.items()}

    def profiles(self) -> dict[str, Profile]:
        """Return every profile that is published, by its folder."""
        with closing(self.lake()) as lake:
            folders = [item.path.rpartition("/")[0] for item in lake.list(MAIN) if item.path.endswith(f"/{STATE}")]
            return {folder: read_profile(lake, MAIN, folder) for folder in folders}
