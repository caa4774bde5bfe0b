"""Dagster's real web server, daemon and code server, as `make ui` starts them, and their GraphQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.workers import messages
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.ports import free_ports
from lake_assets_tests.ui import queries

WORKERS = (sys.executable, "-c", "from lake_assets.cli import main; main()", "workers")
SELECTOR = {"repositoryLocationName": "lake_assets", "repositoryName": "__repository__"}
FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}
BACKFILL_FINISHED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}

CLIENT = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
"""Asks by plain http, and reads no authorities' certificates for that."""

T = TypeVar("T")


def until(what: str, attempt: Callable[[], T | None], seconds: float = 240, every: float = 0.5) -> T:
    """Return the first true answer of `attempt`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = attempt()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds:g} s")


@dataclass(frozen=True)
class DagsterServer:
    """One running Dagster: its address, its DAGSTER_HOME, the lake's home, the folders of stock files and of text."""

    address: str
    home: Path
    lake_home: Path
    source: Path
    lines: Path
    log: Path

    def query(self, text: str, **variables: Any) -> Any:
        """Return the one answer of a query or mutation; an error of any kind fails the test."""
        reply = CLIENT.post(f"{self.address}/graphql", json={"query": text, "variables": variables}, timeout=60)
        body = reply.json()
        assert "errors" not in body, body["errors"]
        (answer,) = body["data"].values()
        kind = answer.get("__typename", "") if isinstance(answer, dict) else ""
        assert not kind.endswith(("Error", "NotFound", "Invalid")), answer
        return answer

    def launch(
        self,
        partition: str,
        assets: Sequence[str] | None = None,
        *,
        job: str = "stocks",
        without_checks: bool = False,
        **tags: str,
    ) -> str:
        """Launch a job, or these assets alone, for a partition or for none (""); return the run's id."""
        selector: dict[str, Any] = {**SELECTOR, "pipelineName": job}
        if assets is not None:
            selector |= {"pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [name]} for name in assets]}
        if without_checks:
            selector["assetCheckSelection"] = []
        labels = {**({"dagster/partition": partition} if partition else {}), **tags}
        params = {
            "selector": selector,
            "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in labels.items()]},
        }
        return self.query(queries.LAUNCH_RUN, params=params)["run"]["id"]

    def status(self, run_id: str) -> str:
        """Return a run's status."""
        return self.query(queries.RUN, id=run_id)["status"]

    def finished(self, run_id: str) -> str:
        """Wait for a run's end; return its status."""

        def ended() -> str | None:
            status = self.status(run_id)
            return status if status in FINISHED else None

        return until(f"run {run_id} ends", ended)

    def backfill(self, **params: Any) -> tuple[str, list[dict[str, Any]]]:
        """Launch a backfill and wait for its end and that of its runs; return its status and its runs."""
        launched = self.query(queries.LAUNCH_BACKFILL, params=params)["backfillId"]

        def ended() -> dict[str, Any] | None:
            state = self.query(queries.BACKFILL, id=launched)
            return state if state["status"] in BACKFILL_FINISHED else None

        state = until(f"backfill {launched} ends", ended, 420, 1)
        runs = [
            {**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}
            for run in self.query(queries.RUNS, filter={"tags": [{"key": "dagster/backfill", "value": launched}]})[
                "results"
            ]
        ]
        assert {run["status"] for run in runs} <= FINISHED, runs
        return state["status"], runs

    @contextmanager
    def turned_on(self, sensor: str) -> Iterator[None]:
        """Turn a sensor on, and off in the end."""
        started = self.query(queries.START_SENSOR, sensor={**SELECTOR, "sensorName": sensor})
        try:
            yield
        finally:
            self.query(queries.STOP_SENSOR, id=started["sensorState"]["id"])

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Return a run's materializations and check evaluations."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.query(queries.EVENTS, id=run_id, cursor=cursor)
            found += [event for event in page["events"] if len(event) > 1]
            if not page["hasMore"]:
                return found
            cursor = page["cursor"]

    def materializations(self, asset: str) -> list[dict[str, Any]]:
        """Return every materialization of an asset, newest first."""
        return self.query(queries.MATERIALIZATIONS, key={"path": [asset]})["assetMaterializations"]

    def workers(self) -> list[str]:
        """Return the names of the warm workers."""
        return messages.names(self.home / "workers")

    @contextmanager
    def lake(self) -> Iterator[GitLake]:
        """Open the lake that the runs write."""
        lake = GitLake(self.lake_home)
        try:
            yield lake
        finally:
            lake.close()

    def table(self) -> dict[str, Mapping[str, Any]]:
        """Return the items of `stocks_table` by ISIN."""
        store = LMDBStore(self.lake_home / "nosql", read_only=True)
        try:
            return {row["ISIN"]: row for batch in store.scan("stocks_table") for row in batch.to_pylist()}
        finally:
            store.close()


@contextmanager
def running(folder: Path, source: Path, workers: int = 0, /, **settings: str) -> Iterator[DagsterServer]:
    """Run `dagster dev` on the project's workspace, with homes of its own below `folder`, and warm workers."""
    home = folder / "dagster"
    home.mkdir(parents=True)
    home.joinpath("dagster.yaml").write_text(REPOSITORY_ROOT.joinpath("dagster.yaml").read_text())
    (port,) = free_ports(1)
    lines = folder / "lines"
    lines.mkdir()
    server = DagsterServer(f"http://127.0.0.1:{port}", home, folder / "lake", source, lines, folder / "dagster.log")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "LAKE", "STOCKS", "WORDS"))
    } | {
        "DAGSTER_HOME": str(home),
        "LAKE_HOME": str(server.lake_home),
        "STOCKS_SOURCE": str(source),
        "WORDS_SOURCE": str(lines),
        "SPARK_MASTER": "local[2]",
        "SPARK_DRIVER_MEMORY": "1g",
        **settings,
    }
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(REPOSITORY_ROOT / "workspace.yaml")]
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> None:
        with server.log.open("a") as log:
            process = subprocess.Popen(
                arguments,
                # Not the checkout: dagster puts the `.env` of its working folder over the environment given here.
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        started.append(process)

    try:
        start(*command, "--host", "127.0.0.1", "--port", str(port))
        until(f"Dagster answers at {server.address}", lambda: _answers(server, started[0]), 180)
        if workers:
            start(*WORKERS, "--number", str(workers))
            until("the workers are warm", lambda: len(server.workers()) == workers, 600)
        yield server
    finally:
        for process in reversed(started):
            _stop(process)


def processes(session: int) -> list[psutil.Process]:
    """Return the living processes of a session."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _answers(server: DagsterServer, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"dagster dev ended:\n{server.log.read_text()[-4000:]}"
    try:
        CLIENT.get(f"{server.address}/server_info", timeout=5).raise_for_status()
    except httpx.TransportError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop all that was started, politely first; its session tells what that is."""
    for number, seconds in ((signal.SIGINT, 30), (signal.SIGKILL, 10)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(AssertionError):
            until("Dagster stops", lambda: process.poll() is not None and not processes(process.pid), seconds, 0.2)
            return
    left = processes(process.pid)
    for one in left:
        one.kill()
    raise AssertionError(f"processes of Dagster outlived it: {left}")
