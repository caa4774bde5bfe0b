"""docs/branches.md, run as it stands: branch, append, isolation, removing personal data and merging."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
from dagster import DagsterInstance
from typer.testing import CliRunner

from lake_assets import definitions, environments
from lake_assets.cli.app import app
from lake_assets.defs.users.schema import PII
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import BACKENDS

PAGE = REPOSITORY_ROOT / "docs" / "branches.md"
ANA, BEN = "more-users", "no-personal-data"


def commands() -> Iterator[list[str]]:
    """Yield the commands of the page."""
    for line in re.findall(r"^    \$ (.*)", PAGE.read_text(), re.MULTILINE):
        yield shlex.split(line)


@pytest.fixture
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """An empty lake of a backend, and a Dagster of its own."""
    use_fresh(request.param, tmp_path, monkeypatch)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    with closing(environments.open_lake()) as lake:
        yield lake


def run_job(defs: Any, arguments: list[str]) -> None:
    """Run `dagster job execute` in this process, on the shared Spark session."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    with DagsterInstance.get() as instance:
        job = defs.resolve_job_def(options["-j"])
        result = job.execute_in_process(instance=instance, tags=json.loads(options["--tags"]))
        assert result.success


def users(lake: Lake, ref: str, prefix: str = "users") -> pyarrow.Table | None:
    try:
        snapshot = lake.path(ref, prefix)
    except PathNotFound:
        return None
    dataset: Any = pyarrow.dataset.dataset(snapshot.root, format="parquet", filesystem=snapshot.filesystem)
    return dataset.to_table()


def count(lake: Lake, ref: str, prefix: str = "users") -> int:
    found = users(lake, ref, prefix)
    return 0 if found is None else found.num_rows


def after_the_append(lake: Lake) -> None:
    assert [count(lake, ref) for ref in (MAIN, ANA, BEN)] == [1000, 2000, 1000]


def after_the_deletion(lake: Lake) -> None:
    assert [count(lake, ref) for ref in (MAIN, ANA, BEN)] == [1000, 2000, 0]
    left = users(lake, BEN, "users_without_pii")
    assert left is not None
    assert left.num_rows == 1000
    assert not set(PII) & set(left.column_names)
    assert not any(path.path.startswith("users/") for path in lake.list(BEN))


def after_the_merges(lake: Lake) -> None:
    assert (count(lake, MAIN), count(lake, MAIN, "users_without_pii")) == (1000, 2000)
    assert [item.path for item in lake.list(MAIN, "users/partition=userdata1")] == []


AFTER: dict[tuple[str, ...], Callable[[Lake], None]] = {
    ("lake-assets", "diff"): after_the_append,
    ("lake-assets", "ls"): after_the_deletion,
    ("lake-assets", "verify"): after_the_merges,
}


@pytest.mark.parametrize("lake", BACKENDS, indirect=True)
def test_the_page_is_what_happens(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    defs = definitions.definitions(environments.resources())
    monkeypatch.setattr(definitions, "defs", defs)
    checked = 0
    for words in commands():
        if words[0] == "dagster":
            run_job(defs, words[3:])
        else:
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{shlex.join(words)}: {done.output}"
            if (holds := AFTER.get(tuple(words[:2]))) is not None:
                holds(lake)
                checked += 1
    assert checked == len(AFTER)
    assert lake.branches() == (MAIN,)
