"""Kill -9 all over the jobs `customers` and `ticks`: nothing is lost, nothing comes twice, and positions agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from lake_assets import definitions, environments
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.kill import Kill
from lake_assets_tests.processes.ways_in import Customers, Ticks, WayIn
from lake_assets_tests.rabbitmq_server import RabbitMQServer

REPOSITORY = "lake_assets.lake.embedded.repository:GitLake"
REFS = "lake_assets.lake.embedded.refs:Refs"
INCREMENTS = "lake_assets.io_managers.incremental"
TABLE = "lake_assets.nosql.lmdb.writing:Writing"
SINK = "lake_assets.io_managers.nosql:NoSQLIOManager"

PUBLISHED = Kill("published and the sink not begun", "alone", (f"{REPOSITORY}.merge", 1, "after"))
COMMON = [
    Kill("fetched and written, and not committed", "alone", (f"{REFS}.advance", 1, "before")),
    Kill("the first asset is committed", "alone", (f"{REFS}.advance", 1, "after")),
    Kill("before the merge", "alone", (f"{REPOSITORY}.merge", 1, "before")),
    Kill("merging and main not moved", "alone", (f"{REPOSITORY}._three_way", 1, "after")),
    PUBLISHED,
    Kill("the sink is written and not committed", "alone", (f"{TABLE}.apply", 1, "after")),
    Kill("the sink is committed and nothing logged", "alone", (f"{SINK}._update", 1, "after")),
]
DATABASE = [
    Kill("nothing is fetched", "alone", ("lake_assets.from_database.assets:read", 1, "before")),
    Kill("the query is sent", "alone", ("lake_assets.from_database.assets:read", 2, "after")),
    Kill("fetched and merged", "alone", ("lake_assets.from_database.assets:merge", 1, "after")),
    *COMMON,
]
STREAM = [
    Kill("fetched", "alone", ("lake_assets.defs.ticks.assets:decoder", 1, "before")),
    Kill("one file is written", "alone", (f"{INCREMENTS}:write_file", 2, "after")),
    *COMMON,
    Kill("the ticks are committed and the series not", "alone", (f"{REFS}.advance", 2, "after")),
    Kill("all is committed", "alone", (f"{REFS}.advance", 3, "after")),
]

Run = Callable[[WayIn], None]


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the job in this process, which must succeed."""
    use_fresh("embedded", tmp_path, monkeypatch)

    def run(way: WayIn) -> None:
        for name, value in way.settings.items():
            monkeypatch.setenv(name, value)
        defs = definitions.definitions(environments.resources())
        with DagsterInstance.ephemeral() as instance:
            assert defs.resolve_job_def(way.job).execute_in_process(instance=instance).success

    return run


def strike(way: WayIn, kills: Sequence[Kill], start_job: StartJob, run_here: Run) -> None:
    way.send()
    run_here(way)
    way.check(whole=True)
    for kill in kills:
        way.send()
        kill.strike(start_job("", way.home, kill.deadly, job=way.job, **way.settings), way.home)
        way.check(whole=False)
        run_here(way)
        way.check(whole=True)


def in_folder(folder: Path) -> Callable[[Sequence[bytes]], None]:
    folder.mkdir()

    def send(bodies: Sequence[bytes]) -> None:
        with (folder / "ticks.jsonl").open("ab") as file:
            file.writelines(body + b"\n" for body in bodies)

    return send


def test_ticks_that_were_published_by_a_killed_run_reach_the_table_by_the_next(
    tmp_path: Path, start_job: StartJob, run_here: Run
) -> None:
    folder = tmp_path / "incoming"
    ticks = Ticks(tmp_path / "home", {"TICKS_SOURCE": str(folder)}, in_folder(folder))
    strike(ticks, [PUBLISHED], start_job, run_here)


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(3600)
def test_customers_survive_kills_in_every_phase(
    tmp_path: Path, start_job: StartJob, run_here: Run, postgresql: DatabaseServer
) -> None:
    strike(Customers(tmp_path / "home", postgresql), DATABASE, start_job, run_here)


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(3600)
def test_ticks_of_kafka_survive_kills_in_every_phase(
    tmp_path: Path, start_job: StartJob, run_here: Run, kafka: KafkaBroker
) -> None:
    topic, producer = kafka.fresh_topic(3), kafka.cluster().producer()

    def send(bodies: Sequence[bytes]) -> None:
        for number, body in enumerate(bodies):
            producer.produce(topic, body, partition=number % 3)
        assert producer.flush(30) == 0

    settings = {"TICKS_SOURCE": f"kafka://{kafka.servers}/{topic}"}
    strike(Ticks(tmp_path / "home", settings, send), STREAM, start_job, run_here)


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(3600)
def test_ticks_of_a_rabbitmq_stream_survive_a_kill(tmp_path: Path, start_job: StartJob, run_here: Run) -> None:
    from rstream import AMQPMessage, Producer

    server = RabbitMQServer()

    def call(act: Callable[[Any], Any]) -> None:
        async def run() -> None:
            async with Producer("127.0.0.1", server.stream_port, username="guest", password="guest") as producer:
                await act(producer)

        asyncio.run(run())

    def send(bodies: Sequence[bytes]) -> None:
        async def publish(producer: Any) -> None:
            for body in bodies:
                await producer.send_wait("ticks", AMQPMessage(body=body))

        call(publish)

    try:
        call(lambda producer: producer.create_stream("ticks"))
        settings = {"TICKS_SOURCE": f"{server.stream_address}/ticks"}
        two = [STREAM[-2], PUBLISHED]
        strike(Ticks(tmp_path / "home", settings, send), two, start_job, run_here)
    finally:
        server.stop()
