"""The ways in under the real daemon, from real servers: what is put there is published and shown with nobody acting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.series.querying import Query, query
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.ui.server import DagsterServer, running, until

pytestmark = [pytest.mark.soak, pytest.mark.services, pytest.mark.timeout(1800)]

SAP, BANK = "DE0007164600", "DE0005140008"
START = datetime(2017, 7, 28, 8, tzinfo=timezone.utc)


@pytest.fixture
def fed(
    kafka: KafkaBroker, postgresql: DatabaseServer, tmp_path: Path
) -> Iterator[tuple[DagsterServer, dict[str, str], str]]:
    """Dagster on a topic of ticks and a table of customers, with its settings, and the topic."""
    topic = kafka.fresh_topic(partitions=2)
    execute(
        postgresql,
        "DROP TABLE IF EXISTS customers",
        "CREATE TABLE customers (id BIGINT PRIMARY KEY, name TEXT, credit_limit NUMERIC(12, 2), "
        "updated_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())",
        "INSERT INTO customers SELECT n, 'Customer ' || n, n FROM generate_series(1, 500) n",
    )
    settings = {
        "TICKS_SOURCE": f"kafka://{kafka.servers}/{topic}",
        "CUSTOMERS_DATABASE": postgresql.url,
        "CUSTOMERS_OVERLAP_MINUTES": "0",
    }
    with running(tmp_path, tmp_path / "none", **settings) as server:
        yield server, {**settings, "LAKE_HOME": str(server.lake_home)}, topic


def test_postgresql_reaches_the_table_and_sql_by_the_job_and_then_by_the_sensor(
    fed: tuple[DagsterServer, dict[str, str], str], postgresql: DatabaseServer
) -> None:
    server, settings, _ = fed
    run = server.launch("", job="customers")
    assert server.finished(run) == "SUCCESS"
    assert _sql(settings, "SELECT count(*) AS n, sum(credit_limit) AS s FROM customers_table") == "500,125250.00"
    # The names of customers, and a change that the cursor does not show, of a row that is older than all.
    execute(postgresql, "UPDATE customers SET name = 'Somebody' WHERE id = 7")
    with server.turned_on("customers_changed"):
        until("the change is in the table", lambda: (_get(server, "customers_table", 7) or {})["name"] == "Somebody")
        execute(postgresql, "INSERT INTO customers VALUES (501, 'New', 1)")
        until("the new row is in the table", lambda: _get(server, "customers_table", 501))
    assert _sql(settings, "SELECT count(*) AS n FROM customers_table") == "501"
    log = server.log.read_text()
    assert "p%2Fa%40s%3As" not in log
    assert "p/a@s:s" not in log


def test_ticks_of_kafka_reach_series_and_table_by_the_sensor(
    fed: tuple[DagsterServer, dict[str, str], str], kafka: KafkaBroker
) -> None:
    server, _, topic = fed
    producer = kafka.cluster().producer()

    def send(*ticks: tuple[str, int]) -> None:
        for isin, minute in ticks:
            time = (START + timedelta(minutes=minute)).isoformat()
            tick = {"isin": isin, "currency": "EUR", "time": time, "price": minute + 10.0, "volume": 1.0}
            producer.produce(topic, json.dumps(tick), key=isin)
        assert producer.flush(30) == 0

    send(*((isin, minute) for isin in (SAP, BANK) for minute in range(100)))
    with server.turned_on("new_ticks"):
        until(
            "the first ticks are in the table", lambda: (_get(server, "ticks_table", (SAP, "EUR")) or {}).get("price")
        )
        send((SAP, 100), (BANK, 1440), (SAP, -5))
        # The partitions may be read by two runs.
        until("all is in the series", lambda: _counts(server) == {SAP: (102, 110.0), BANK: (101, 1450.0)})
        until("all is in the table", lambda: (_latest(server, SAP), _latest(server, BANK)) == (110, 1450))


def _counts(server: DagsterServer) -> dict[str, tuple[int, float]]:
    """Return the number of samples of each security, and the last price."""
    asked = Query(
        start=START - timedelta(days=1),
        end=START + timedelta(days=3),
        functions=["count", "last"],
        fields=["price"],
        group_by=["isin"],
    )
    with server.lake() as lake:
        found = query(lake, MAIN, "stock_series", asked).to_pylist()
    return {row["isin"]: (row["count"], row["last"]) for row in found}


def _get(server: DagsterServer, table: str, key: Any) -> dict[str, Any] | None:
    # Before the first run there is no store.
    if not (server.lake_home / "nosql").exists():
        return None
    with closing(LMDBStore(server.lake_home / "nosql", read_only=True)) as store:
        found = store.get(table, key) if table in store.tables() else None
        return dict(found) if found is not None else None


def _latest(server: DagsterServer, isin: str) -> float | None:
    return (_get(server, "ticks_table", (isin, "EUR")) or {}).get("price")


def _sql(settings: dict[str, str], statement: str) -> str:
    """Return the row that `lake-assets sql` prints as CSV."""
    command = [sys.executable, "-c", "from lake_assets.cli import main; main()", "sql", statement, "--format", "csv"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]
