"""`make cluster` ends all that it has started, whenever Ctrl-C comes, and says in a line what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lake_assets_tests.cluster_try import FOLDER
from lake_assets_tests.conftest import REPOSITORY_ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PROGRAMS = {"lakeFS": "LAKE_ENV=services", "DynamoDB": "DYNAMODB_ENDPOINT=http://", "Kafka": "KAFKA_SERVERS="}
PROGRAM = [sys.executable, "-u", "-m", "lake_assets_tests.cluster_try"]


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    if FOLDER.exists():
        pytest.skip(f"{FOLDER} is of a cluster that runs")
    process = subprocess.Popen(PROGRAM, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY_ROOT, start_new_session=True)
    yield process
    # A test that failed half way leaves all.
    for child in [psutil.Process(process.pid), *children(process)] if process.poll() is None else []:
        child.kill()
    process.communicate()


def stop(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C, and check that nothing is left."""
    family = children(process)
    assert family
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    _, left = psutil.wait_procs(family, timeout=60)
    assert not left
    assert not FOLDER.exists()
    # What it started had its files there.
    assert not list(Path("/var/tmp").glob(f"lake-assets-cluster-{process.pid}-*"))


def children(process: subprocess.Popen[str]) -> dict[psutil.Process, str]:
    """Return all that a process has started, with their command lines."""
    found: dict[psutil.Process, str] = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[child] = " ".join(child.cmdline())
    return found


def test_ctrl_c_ends_a_cluster_that_runs(started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    said = []
    for line in started.stdout:
        said.append(line)
        if "Ctrl-C stops all" in line:
            break
    settings = (FOLDER / "settings.sh").read_text()
    assert settings in "".join(said)
    assert "SPARK_MASTER=spark://" in settings
    for program, setting in PROGRAMS.items():
        assert (f"no {program}" in "".join(said)) != (setting in settings)
    stop(started)


def test_ctrl_c_ends_a_cluster_that_starts(started: subprocess.Popen[str]) -> None:
    while not any("deploy.worker.Worker" in command for command in children(started).values()):
        assert started.poll() is None
    stop(started)


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(PROGRAM, capture_output=True, text=True, cwd=REPOSITORY_ROOT, env=environment, timeout=300)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("cluster: wants a Spark cluster: Spark 4.0 needs Java 17 or 21")
