"""A lake that commit 9c211ad made is opened, migrated, read and continued: nothing is lost, nothing committed anew."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
from typer.testing import CliRunner

from lake_assets import environments
from lake_assets.cli.app import app
from lake_assets.defs.stocks.source import open_source
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import FormatMismatch
from lake_assets.runs.provenance import places_of, trace_makers
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.processes.conftest import StartJob, server, services, start_job

__all__ = ["server", "start_job"]

OLD = "9c211ad"
DAY = "2017-07-28"
FIRST, SECOND, THIRD = ["dog dog cat", "hello"], ["cat mouse", "dog"], ["hello hello", "bird"]

pytestmark = pytest.mark.soak


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """The code of that commit, out of this repository's history."""
    found = subprocess.run(
        ["git", "archive", OLD, "lake_assets"], cwd=REPOSITORY_ROOT, capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(f"this checkout has no history back to {OLD}: {found.stderr.decode().strip()}")
    folder = tmp_path / "old code"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=found.stdout, check=True)
    return folder


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lake_of_the_first_format_goes_on(
    backend: str,
    tmp_path: Path,
    old_code: Path,
    start_job: StartJob,
    dagster_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    home, stocks, words, outbox = (tmp_path / name for name in ("home", "stocks", "words", "outbox.jsonl"))
    _make_stocks(stocks, tmp_path)
    words.mkdir()
    given = {"STOCKS_SOURCE": str(stocks), "WORDS_SOURCE": str(words), "WORDS_SINK": str(outbox)}
    if backend == "lakefs":
        given |= services(request.getfixturevalue("server")) | {"SPARK_MASTER": "local[2]"}
    for name, value in {**given, "LAKE_HOME": str(home), "DAGSTER_HOME": str(dagster_home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    old = {**given, "PYTHONPATH": str(old_code)}
    start_job(f"{DAY}-08:00", home, **old).succeed()
    failed = start_job(f"{DAY}-09:00", home, **old)
    assert failed.wait() != 0
    for number, lines in enumerate((FIRST, SECOND)):
        _write(words / f"{number}.txt", lines)
        start_job("", home, job="words", **old).succeed()
    delivered = _delivered(outbox)
    assert _last(delivered) == _counts([*FIRST, *SECOND])

    with pytest.raises(FormatMismatch, match="run `lake-assets migrate`"):
        environments.open_lake()
    with closing(environments.open_lake(any_format=True)) as lake:
        stored = {item.path: item.checksum for item in lake.list(MAIN, "stocks_parquet")}
        made = {place: found.commit.id for place, found in _made(lake).items()}
        table = _table()
    assert "migrates it to 2" in _command("migrate")
    assert "has format 2 now" in _command("migrate", "--yes")

    _command("verify")
    with closing(environments.open_lake()) as lake:
        head = lake.head(MAIN).id
        assert {item.path: item.checksum for item in lake.list(MAIN, "stocks_parquet")} == stored
        assert {place: found.commit.id for place, found in _made(lake).items()} == made
        assert _words(lake) == _counts([*FIRST, *SECOND])
        assert lake.branches() == (MAIN, f"run-{failed.run_id}")
    start_job(f"{DAY}-08:00", home, **given).succeed()
    with closing(environments.open_lake()) as lake:
        # The first format's code made no profiles: they are all that the same rows add.
        profiled = lake.head(MAIN).id
        (changed,) = {path.partition("/")[0] for path in lake.diff(head, profiled).paths}
        assert changed == "stocks_parquet_profile"
    start_job(f"{DAY}-08:00", home, **given).succeed()
    with closing(environments.open_lake()) as lake:
        assert lake.head(MAIN).id == profiled, [commit.message for commit in lake.log(MAIN, 5)]
    _write(words / "2.txt", THIRD)
    start_job("", home, job="words", **given).succeed()
    _command("verify")
    with closing(environments.open_lake()) as lake:
        assert _words(lake) == _counts([*FIRST, *SECOND, *THIRD])
    assert _table() == table
    after = _delivered(outbox)
    assert after[: len(delivered)] == delivered
    assert dict(after[len(delivered) :]) == {"hello": 3, "bird": 1}
    assert len(after) == len(delivered) + 2


def _make_stocks(folder: Path, scratch: Path) -> None:
    """Write an hour that is right, and one with a line twice."""
    for hour in (8, 9):
        source = open_source("generated", generator_rows=200)
        fetched = source.fetch(datetime(2017, 7, 28, hour, tzinfo=timezone.utc), scratch)
        lines = fetched.path.read_text().splitlines(keepends=True)
        path = folder / DAY / f"{DAY}_BINS_XETR{hour:02d}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join([*lines, *lines[1:2] * (hour == 9)]))


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _counts(lines: list[str]) -> dict[str, int]:
    return dict(Counter(word for line in lines for word in line.split()))


def _delivered(outbox: Path) -> list[tuple[str, int]]:
    return [(record["word"], record["count"]) for record in map(json.loads, outbox.read_text().splitlines())]


def _last(delivered: list[tuple[str, int]]) -> dict[str, int]:
    return dict(delivered)


def _made(lake: Lake) -> dict[str, Any]:
    return trace_makers(lake, MAIN, places_of(lake.list(MAIN)))


def _words(lake: Lake) -> dict[str, int]:
    place = lake.path(MAIN, "word_counts")
    dataset = pyarrow.dataset.dataset(place.root, filesystem=place.filesystem, format="parquet")
    return {row["word"]: row["count"] for row in dataset.to_table().to_pylist()}


def _table() -> list[Any]:
    with closing(environments.open_nosql(read_only=True)) as store:
        return [row for batch in store.scan("stocks_table") for row in batch.to_pylist()]


def _command(*arguments: str) -> str:
    """Run a command, which must end well, and return what it says."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output
