"""A small lake, a store and a Dagster instance of their own, and the command line on them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet as pq
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from typer.testing import CliRunner, Result

from lake_assets import environments
from lake_assets.cli.app import app
from lake_assets.lake.contract import Commit, Lake
from lake_assets.nosql.contract import NoSQLStore, Options
from lake_assets_tests import lakefs_server
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import BACKENDS, put
from lake_assets_tests.small_graph import SmallGraph

LOADED = "aaaa0000-0000-4000-8000-000000000001"
"""The run that published what the lake holds."""

Command = Callable[..., Result]


both_lakes = pytest.mark.parametrize("lake_home", BACKENDS, indirect=True)
"""Runs a test on an embedded lake, and on a fresh repository of the lakeFS server that the tests share."""


@pytest.fixture
def lake_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty LAKE_HOME in force, and no setting of whoever runs the tests."""
    use_fresh(getattr(request, "param", "embedded"), tmp_path, monkeypatch)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def lake(lake_home: Path) -> Iterator[Lake]:
    """A lake whose ``main`` holds two hours of Parquet, a text file and a binary file, published by a run."""
    lake = environments.open_lake()
    branch = f"run-{LOADED}"
    lake.create_branch(branch, "main")
    metadata = {"run_id": LOADED, "asset": "stocks_parquet", "rows": "25", "code_version": "3"}
    hours: dict[str, str | bytes] = {}
    for hour, rows in (("08", 24), ("09", 1)):
        bars = {"ISIN": [f"DE{number:010}" for number in range(rows)], "MaxPrice": [1.5] * rows}
        pq.write_table(pyarrow.table(bars), file := BytesIO())
        hours[f"date=2017-07-28/hour={hour}/part-0.parquet"] = file.getvalue()
        hours[f"date=2017-07-28/hour={hour}/_manifest.json"] = "{}\n"
    put(lake, branch, "stocks_parquet", hours, message="Materialize stocks_parquet", metadata=metadata)
    csv = {"bars.csv": "ISIN,Name\nDE1,Köln\n".encode() + b"DE2,K\xf6ln\n", "_manifest.json": "{}\n"}
    put(lake, branch, "stocks_csv/hour=08", csv, message="Materialize stocks_csv")
    put(lake, branch, "blob", {"noise.bin": bytes(range(256))})
    lake.merge(branch, "main", f"Publish run {LOADED}", {"run_id": LOADED}, audit=TESTS)
    lake.delete_branch(branch)
    yield lake
    lake.close()


@pytest.fixture
def head(lake: Lake) -> Commit:
    """The head of ``main``."""
    return lake.head("main")


@pytest.fixture
def store(lake_home: Path) -> Iterator[NoSQLStore]:
    """A store with a table keyed by a string, and one keyed by a string and an integer."""
    store = environments.open_nosql()
    latest = {"ISIN": ["DE1", "DE2"], "Date": [datetime.date(2017, 7, 28)] * 2, "Price": [1.5, float("nan")]}
    store.write(
        "latest", pandas.DataFrame(latest), key=["ISIN"], source_commit="c0ffee" * 6, options=Options(run="r" * 36)
    )
    store.write("bars", pandas.DataFrame({"ISIN": ["DE1"], "Minute": [480], "N": [7]}), key=["ISIN", "Minute"])
    yield store
    store.close()


@pytest.fixture
def instance(dagster_home: Path, lake_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """Dagster's instance at DAGSTER_HOME."""
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home))
    with DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def graph(instance: DagsterInstance, tmp_path: Path) -> SmallGraph:
    """A small graph on the lake and the instance in force."""
    return SmallGraph(tmp_path / "source", instance)


@pytest.fixture
def add_run(lake: Lake, instance: DagsterInstance) -> Callable[..., str]:
    """Make a run that Dagster knows, and its branch with one file on it; returns the run's id."""

    def add(run_id: str, status: DagsterRunStatus, parent: str | None = None, branch: bool = True) -> str:
        run = DagsterRun("stocks", run_id, status=status, parent_run_id=parent, root_run_id=parent)
        instance.add_run(run)
        if branch:
            lake.create_branch(f"run-{run_id}", "main")
            put(lake, f"run-{run_id}", f"asset_{run_id[:4]}", {"data.txt": run_id})
        return run_id

    return add


@pytest.fixture
def command(lake_home: Path) -> Command:
    """Run one command in this process."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


@pytest.fixture
def answer(command: Command) -> Callable[..., Any]:
    """Run one command with ``--json`` and return its document."""

    def run(*arguments: str) -> Any:
        result = command(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture
def refused(command: Command) -> Callable[..., str]:
    """Run a command that must fail with exit code 1 and return its one line on stderr."""

    def run(*arguments: str) -> str:
        result = command(*arguments)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        return line.removeprefix("lake-assets: ")

    return run


@pytest.fixture
def on_lakefs(lake_home: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A fresh repository on a lakeFS server, in force for the commands; the tables are in LAKE_HOME."""
    place = lakefs_server.fresh_repository()
    endpoint, _, repository = place.rpartition("/")
    monkeypatch.setenv("LAKE_ENV", "services")
    monkeypatch.setenv("LAKE_NOSQL", "lmdb")
    monkeypatch.setenv("LAKEFS_ENDPOINT", endpoint)
    monkeypatch.setenv("LAKEFS_REPOSITORY", repository)
    monkeypatch.setenv("LAKEFS_ACCESS_KEY_ID", lakefs_server.CREDENTIALS[0])
    monkeypatch.setenv("LAKEFS_SECRET_ACCESS_KEY", lakefs_server.CREDENTIALS[1])
    return environments.open_lake()
