"""The jobs on a real lakeFS server, as `LAKE_ENV=services` runs them: same counts, bounded calls, no secret shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from lake_assets.defs.stocks.schema import COLUMNS
from lake_assets.defs.words.source import SAMPLE
from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.outbox.lines import read_committed
from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import S3A, JarsUnavailable, jars
from lake_assets_tests import lakefs_server
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.defs.words.stream import counted
from lake_assets_tests.lakefs_server import CREDENTIALS
from lake_assets_tests.outbox.outboxes import COUNTS

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]

# Of ../shared/data/README.md.
ROWS = {"06": 0, "09": 7267}


@dataclass(frozen=True)
class Ran:
    """What the jobs left: their lake, their home, what each run cost, and all that was said."""

    lake: LakeFSLake
    home: Path
    runs: list[dict[str, Any]]
    said: str


WITHOUT_SPARK = (*(f"stocks=2017-07-28-{hour}:00" for hour in ("06", "09", "09")), "users=one")
"""Two hours of stocks, one of them twice, and a batch of users."""
WITH_SPARK = (*WITHOUT_SPARK, "words=")

with_spark = pytest.param(WITH_SPARK, id="with Spark", marks=pytest.mark.soak)


@pytest.fixture(scope="module", params=[pytest.param(WITHOUT_SPARK, id="without Spark"), with_spark])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run jobs in one process."""
    data = REPOSITORY_ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the real files (../shared/data) are not on this machine")
    if request.param == WITH_SPARK:
        try:
            jars(SparkSettings.read().jars.expanduser(), S3A)
        except JarsUnavailable as error:
            pytest.skip(f"wants Spark's S3A connector: {error}")
    home = tmp_path_factory.mktemp("lakefs")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home / "dagster"),
        "LAKE_HOME": str(home / "lake"),
        "LAKE_ENV": "services",
        "LAKE_NOSQL": "lmdb",
        "LAKEFS_ENDPOINT": endpoint,
        "LAKEFS_REPOSITORY": repository,
        "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
        "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        "SPARK_MASTER": "local[2]",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "STOCKS_SOURCE": str(data / "xetra"),
        "USERS_SOURCE": "generated",
        "WORDS_SINK": str(home / "words.jsonl"),
        "DAGSTER_WEBSERVER_URL": "http://127.0.0.1:3000",
    }
    command = [sys.executable, "-m", "lake_assets_tests.processes.lakefs_jobs", *request.param]
    child = subprocess.run(
        command, env=environment, cwd=REPOSITORY_ROOT, capture_output=True, text=True, timeout=1400, check=False
    )
    said = child.stdout + child.stderr
    assert child.returncode == 0, said[-6000:]
    lake = LakeFSLake(endpoint, *CREDENTIALS, repository)
    runs = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
    assert [run["run"] for run in runs] == list(request.param)
    return Ran(lake, home, runs, said)


def rows(lake: LakeFSLake, prefix: str) -> pyarrow.Table:
    snapshot = lake.path(MAIN, prefix)
    dataset = pyarrow.dataset.dataset(snapshot.root, filesystem=snapshot.filesystem, format="parquet")
    return dataset.to_table()


def test_every_run_is_published_with_the_counts_of_the_real_files(ran: Ran) -> None:
    assert all(run["success"] for run in ran.runs), ran.said[-6000:]
    counted = {hour: rows(ran.lake, f"stocks_parquet/day=2017-07-28/hour={hour}").num_rows for hour in ROWS}
    assert counted == ROWS
    assert ran.lake.branches() == (MAIN,)
    assert ran.lake.private_branches() == {}
    assert ran.lake.changes(MAIN) == ()


def test_the_table_has_the_latest_row_of_each_security(ran: Ran) -> None:
    expected: dict[str, dict[str, Any]] = {}
    bars = rows(ran.lake, "stocks_parquet").select([column.name for column in COLUMNS]).to_pylist()
    for row in sorted(bars, key=lambda row: (row["Date"], row["Time"])):
        expected[row["ISIN"]] = row
    store = LMDBStore(ran.home / "lake" / "nosql")
    held = {row["ISIN"]: row for batch in store.scan("stocks_table") for row in batch.to_pylist()}
    store.close()
    assert held == expected


def test_a_run_on_equal_files_makes_no_commit_of_data(ran: Ran) -> None:
    first, again = ran.runs[1], ran.runs[2]
    assert first["run"] == again["run"] == "stocks=2017-07-28-09:00"
    by_run = [commit.metadata.get("run_id") for commit in ran.lake.log(MAIN) if "asset" in commit.metadata]
    assert by_run.count(first["run_id"]) == 4
    assert by_run.count(again["run_id"]) == 0


def test_users_are_published_without_personal_data_beside_them(ran: Ran) -> None:
    users, without = rows(ran.lake, "users"), rows(ran.lake, "users_without_pii")
    assert users.num_rows == without.num_rows > 0
    assert set(users.column_names) - set(without.column_names) == {"ip_address", "birthdate", "salary", "email"}


@pytest.mark.parametrize("ran", [with_spark], indirect=True)
def test_words_are_counted_and_delivered(ran: Ran) -> None:
    counts = rows(ran.lake, "word_counts").to_pylist()
    lines = (SAMPLE / "lines.txt").read_text().splitlines()
    assert {row["word"]: row["count"] for row in counts} == counted(lines)
    delivered = {update.key: update.value for update in read_committed(ran.home / "words.jsonl", COUNTS)}
    assert delivered == counted(lines)


def test_a_run_costs_at_most_six_calls_an_asset_and_four_besides(ran: Ran) -> None:
    """Beside the data: objects are listed, written and removed for as many as there are.

    Nine more compare the rows with those that were published before: one of them for each earlier publication.
    """
    for run, assets in ((ran.runs[1], 6), (ran.runs[3], 4)):
        calls = {call: count for call, count in run["calls"].items() if "objects" not in call}
        assert sum(calls.values()) <= 6 * assets + 4 + 9, sorted(calls.items())


def test_each_commit_leads_to_its_run(ran: Ran) -> None:
    newest = next(ran.lake.log(MAIN, 1, "stocks_parquet"))
    run_id = newest.metadata["run_id"]
    assert newest.metadata["::lakefs::Dagster::url[url:ui]"] == f"http://127.0.0.1:3000/runs/{run_id}"


def test_the_secret_stands_nowhere(ran: Ran) -> None:
    secret = CREDENTIALS[1].encode()
    # Spark's page of its environment is in what was said.
    assert ("spark.hadoop.fs.s3a.bucket.test-" in ran.said) == (len(ran.runs) == len(WITH_SPARK))
    assert secret not in ran.said.encode()
    for path in ran.home.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    for commit in ran.lake.log(MAIN):
        assert CREDENTIALS[1] not in str(commit)
