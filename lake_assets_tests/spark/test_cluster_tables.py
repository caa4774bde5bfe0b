"""All jobs with LAKE_ENV=services: lakeFS, tables in DynamoDB, Kafka, PostgreSQL, and workers that share nothing.

What comes of them is what comes of them on one machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from lake_assets_tests.cluster_user import User
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute
from lake_assets_tests.databases.test_types import make_postgresql
from lake_assets_tests.dynamodb_server import DynamoDBServer
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

HOUR = "2017-07-28-08:00"
START = datetime(2017, 7, 28, 8, tzinfo=timezone.utc)
QUERIES = [
    'SELECT "ISIN", count(*) AS n, max("MaxPrice") AS high FROM stocks_parquet GROUP BY ALL '
    'ORDER BY n DESC, "ISIN" LIMIT 9',
    'SELECT t."ISIN", t."SecurityDesc", count(b."Time") AS bars FROM stocks_table t '
    'JOIN stocks_parquet b USING ("ISIN") GROUP BY ALL ORDER BY bars, t."ISIN" LIMIT 9',
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    with spark_cluster() as running:
        yield running


@pytest.fixture
def far(cluster: SparkCluster, dynamodb: DynamoDBServer, tmp_path: Path) -> User:
    """Somebody on the cluster, whose tables are where LAKE_ENV=services puts them."""
    tables = {"LAKE_NOSQL": "auto", "DYNAMODB_ENDPOINT": dynamodb.endpoint, "DYNAMODB_PREFIX": f"test-{uuid4().hex}"}
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "of nobody", "AWS_DEFAULT_REGION": "us-east-1"}
    return User(tmp_path / "cluster", cluster, **tables, **keys)


@pytest.fixture
def near(tmp_path: Path) -> User:
    """Somebody on this machine alone."""
    return User(tmp_path / "local", None)


def check_same(far: User, near: User, table: str) -> None:
    """Check that all that is published is the same, and the table."""
    assert far.versions() == near.versions()
    assert far.items(table) == near.items(table)


def test_stocks_and_their_table_by_key_and_in_sql(far: User, near: User) -> None:
    for user in (far, near):
        user.run("stocks", HOUR)
    check_same(far, near, "stocks_table")
    assert len(far.items("stocks_table")) == 705
    for query in QUERIES:
        answers = {
            user.command("sql", query, "--format", "csv", "--engine", engine)
            for user in (far, near)
            for engine in ("duckdb", "spark")
        }
        assert len(answers) == 1, answers
        assert len(answers.pop().splitlines()) == 10


def test_customers_of_a_database(far: User, near: User, postgresql: DatabaseServer) -> None:
    table = f"customers_{uuid4().hex}"
    execute(
        postgresql,
        f"CREATE TABLE {table} (id bigint PRIMARY KEY, name varchar(80), credit numeric(12, 2), updated_at timestamp)",
        f"INSERT INTO {table} SELECT n, 'Customer ' || n, n / 7.0, timestamp '2026-01-01' + n * interval '1 minute' "
        "FROM generate_series(1, 2000) n",
    )
    for user in (far, near):
        user.settings |= {"CUSTOMERS_DATABASE": postgresql.url, "CUSTOMERS_TABLE": table}
        said = user.run("customers")
        assert "p%2Fa%40s%3As" not in said
    check_same(far, near, "customers_table")
    execute(
        postgresql,
        f"UPDATE {table} SET credit = 9999, updated_at = '2026-02-01' WHERE id % 100 = 0",
        f"INSERT INTO {table} VALUES (3000, 'New', NULL, '2026-02-02')",
    )
    for user in (far, near):
        user.run("customers")
    check_same(far, near, "customers_table")
    assert [row["id"] for row in far.items("customers_table") if row["credit"] in (9999, None)] == [
        *range(100, 2001, 100),
        3000,
    ]


def test_ticks_of_a_topic_in_table_and_series(far: User, near: User, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic(2)
    producer = kafka.cluster().producer()
    isins = ("DE0007164600", "DE0005140008")
    for user in (far, near):
        user.settings["TICKS_SOURCE"] = f"kafka://{kafka.servers}/{topic}"
    for begin in (0, 40):
        for number in range(begin, begin + 50):
            time = (START + timedelta(minutes=number)).isoformat()
            tick = {"isin": isins[number % 2], "currency": "EUR", "time": time, "price": number + 1.5, "volume": 2.0}
            producer.produce(topic, json.dumps(tick).encode(), partition=number % 2)
        producer.produce(topic, b"nonsense", partition=0)
        assert producer.flush(30) == 0
        for user in (far, near):
            user.run("ticks")
        check_same(far, near, "ticks_table")
    published = {folder.split("/")[0] for folder in far.versions()}
    assert published >= {"ticks", "ticks_rejected", "stock_series"}
    assert [row["price"] for row in far.items("ticks_table")] == [90.5, 89.5]
    series = {
        user.command("series", "stock_series.price", "--step", "1h", "--agg", "max", "--start", "2017-07-28")
        for user in (far, near)
    }
    assert len(series) == 1
    assert "90.5" in series.pop()


def test_a_table_of_every_type_is_read_by_the_workers_as_one_state(
    cluster: SparkCluster, postgresql: DatabaseServer, tmp_path: Path
) -> None:
    make_postgresql(postgresql)
    execute(
        postgresql,
        "ALTER TABLE all_types ADD old date, ADD old_time timestamp, ADD late timestamptz, ADD days date[]",
        "UPDATE all_types SET old = '0001-01-01', old_time = '0001-01-01 00:00:00.000001', "
        "late = '9999-12-31 23:59:59.999999+00', days = '{1500-01-01}'",
        "INSERT INTO all_types (id, c0) SELECT n, n % 2 = 0 FROM generate_series(3, 5000) n",
    )
    endpoint, _, repository = fresh_repository().rpartition("/")
    keys = {"access_key_id": CREDENTIALS[0], "secret_access_key": CREDENTIALS[1]}
    asked = {"url": postgresql.url, "table": "all_types", "meanwhile": "DELETE FROM all_types WHERE id > 10"}
    places = [
        {"lake": {"home": str(tmp_path)}},
        {
            "lake": {"endpoint": endpoint, "repository": repository, **keys},
            "master": cluster.master,
            "conf": cluster.conf,
        },
    ]
    published: list[str] = []
    said: list[str] = []
    for place in places:
        done = subprocess.run(
            [sys.executable, "-m", "lake_assets_tests.spark.cluster_database"],
            input=json.dumps({**asked, **place}),
            capture_output=True,
            text=True,
            timeout=800,
            cwd=REPOSITORY_ROOT,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        assert "p%2Fa%40s%3As" not in done.stderr + done.stdout
        assert "p/a@s:s" not in done.stderr + done.stdout
        published.append(done.stdout.splitlines()[-1])
        said.append(done.stderr[-4000:])
    assert published[0] == published[1], said[-1]
    assert json.loads(published[0])[0] == 5000


def test_no_credentials_are_in_the_logs_of_the_cluster(cluster: SparkCluster) -> None:
    said = cluster.logs()
    assert all(secret not in said for secret in (CREDENTIALS[1], "of nobody", "p%2Fa%40s%3As", "p/a@s:s"))
