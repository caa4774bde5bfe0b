"""The job `ticks`: each message is published exactly once, in ticks, series and table, or rejected with its reason."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, SensorResult, SkipReason, build_sensor_context

from lake_assets import definitions, environments
from lake_assets.defs.ticks.schema import AVRO, Tick
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.messages.decoding import Decoder
from lake_assets.series.querying import Query, query
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.lake.backends import BACKENDS

START = datetime(2017, 7, 28, 8, tzinfo=timezone.utc)
SAP, BANK = "DE0007164600", "DE0005140008"


def tick(isin: str, minute: float, price: float) -> dict[str, Any]:
    time = START + timedelta(minutes=minute)
    return {"isin": isin, "currency": "EUR", "time": time.isoformat(), "price": price, "volume": 1.0}


class Stream:
    """The job on a fresh home, and its lake."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.defs = definitions.definitions(environments.resources())
        self.instance = instance
        self.lake: Lake = environments.open_lake()

    def run(self, raises: bool = True, **ops: Any) -> ExecuteInProcessResult:
        config = {"ops": {name: {"config": options} for name, options in ops.items()}}
        return self.defs.resolve_job_def("ticks").execute_in_process(
            instance=self.instance, run_config=config, raise_on_error=raises
        )

    def rows(self, asset: str) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        paths = [item.path for item in self.lake.list(MAIN, asset) if item.path.endswith(".parquet")]
        found = (self.lake.path(MAIN, path) for path in paths)
        return [row for one in found for row in pq.read_table(one.root, filesystem=one.filesystem).to_pylist()]

    def prices(self, asset: str = "ticks") -> list[tuple[str, float]]:
        return sorted((row["isin"], row["price"]) for row in self.rows(asset))

    def latest(self) -> dict[str, float]:
        with closing(environments.open_nosql(read_only=True)) as store:
            return {row["isin"]: row["price"] for batch in store.scan("ticks_table") for row in batch.to_pylist()}

    def tick(self) -> Any:
        wanted = ("lake", "kafka")
        resources = {key: value for key, value in environments.resources().items() if key in wanted}
        repository = self.defs.get_repository_def()
        with build_sensor_context(instance=self.instance, repository_def=repository, resources=resources) as context:
            return repository.get_sensor_def("new_ticks")(context)


@pytest.fixture
def stream(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    use_fresh(getattr(request, "param", "embedded"), tmp_path, monkeypatch)
    with DagsterInstance.ephemeral() as instance:
        found = Stream(instance)
        yield found
        found.lake.close()


def write(tmp_path: Path, *messages: Any, name: str = "a.jsonl") -> None:
    folder = tmp_path / "home" / "ticks" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("a") as file:
        for message in messages:
            file.write((message if isinstance(message, str) else json.dumps(message)) + "\n")


def test_what_is_read_is_published_in_all_places_or_rejected_with_its_reason(stream: Stream, tmp_path: Path) -> None:
    bad = tick(BANK, 0, -1)
    write(
        tmp_path,
        tick(SAP, 0, 1),
        tick(SAP, 1, 2),
        tick(SAP, 1, 3),
        "nonsense",
        bad,
        {**tick(BANK, 0, 1), "extra": 1},
    )
    result = stream.run()
    assert stream.prices() == stream.prices("stock_series") == [(SAP, 1), (SAP, 3)]
    assert stream.latest() == {SAP: 3}
    reasons = [row["reason"] for row in sorted(stream.rows("ticks_rejected"), key=lambda row: int(row["offset"]))]
    assert [reason.partition(" - ")[0].partition(":")[0] for reason in reasons] == [
        "JSON is malformed",
        "Expected `float` > 0.0",
        "Object contains unknown field `extra`",
    ]
    told = result.asset_materializations_for_node("stock_series")[0].metadata
    assert str(told["plot 2017-07-28"].value).startswith("![2017-07-28](data:image/svg+xml;base64,")
    # Late ticks and a new day: only what is new is read, and an older tick is not the latest.
    write(tmp_path, tick(SAP, -30, 9), tick(BANK, 1440, 5))
    stream.run()
    assert stream.prices() == stream.prices("stock_series") == [(BANK, 5), (SAP, 1), (SAP, 3), (SAP, 9)]
    assert stream.latest() == {SAP: 3, BANK: 5}
    head = stream.lake.head(MAIN)
    stream.run()
    assert stream.lake.head(MAIN) == head


def test_checks_read_only_the_days_that_a_run_changed(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_assets.quality import lake_profiles

    opened: list[str] = []
    profiled, streamed = lake_profiles.profile_files, lake_profiles.file_batches

    def profile_files(filesystem: Any, files: Any, **options: Any) -> Any:
        opened.extend(Path(file).name for file in files)
        return profiled(filesystem, files, **options)

    def file_batches(filesystem: Any, files: Any, **options: Any) -> Any:
        opened.extend(Path(file).name for file in files)
        return streamed(filesystem, files, **options)

    monkeypatch.setattr(lake_profiles, "profile_files", profile_files)
    monkeypatch.setattr(lake_profiles, "file_batches", file_batches)

    def read() -> tuple[set[Any], set[str]]:
        opened.clear()
        checks = stream.run().get_asset_check_evaluations()
        assert all(check.passed for check in checks)
        assert len(checks) == 3
        rows: set[Any] = {int(str(check.metadata["rows"].value)) for check in checks}
        return rows, set(opened)

    write(tmp_path, *(tick(SAP, 1440 * day, 1) for day in range(5)))
    assert read()[0] == {5}
    write(tmp_path, tick(BANK, 1440 * 2, 1))
    assert read() == ({2}, {"2017-07-30.parquet"})
    assert read() == ({0}, set())


def test_a_message_that_would_break_a_run_is_rejected() -> None:
    good = tick(SAP, 0, 1)
    json_, avro = Decoder(Tick, "json", AVRO), Decoder(Tick, "avro", AVRO)
    assert isinstance(json_.decode(json.dumps(good).encode()), Tick)
    for wrong in ({"time": "0001-01-01T00:00:00+14:00"}, {"isin": SAP + "\n"}, {"currency": "EUR\n"}, {"price": "1"}):
        assert isinstance(json_.decode(json.dumps({**good, **wrong}).encode()), str), wrong
    for number in (float("nan"), float("inf")):
        for name in ("price", "volume"):
            assert isinstance(avro.decode(_encoded({**good, name: number}, "avro")), str), (name, number)


def test_a_run_that_is_not_published_is_read_again_from_the_same_position(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_assets.series import changing

    write(tmp_path, tick(SAP, 0, 1), "nonsense")
    whole = changing.aggregates

    def fails(*_: Any) -> Any:
        raise RuntimeError("the power fails")

    monkeypatch.setattr(changing, "aggregates", fails)
    assert not stream.run(raises=False).success
    assert not list(stream.lake.list(MAIN, "ticks"))
    monkeypatch.setattr(changing, "aggregates", whole)
    write(tmp_path, tick(SAP, 1, 2))
    stream.run()
    assert stream.prices() == stream.prices("stock_series") == [(SAP, 1), (SAP, 2)]
    assert len(stream.rows("ticks_rejected")) == 1


def test_samples_are_deleted_by_range_and_stay_away(stream: Stream, tmp_path: Path) -> None:
    write(tmp_path, *(tick(isin, minute, minute + 1) for isin in (SAP, BANK) for minute in range(3)))
    stream.run()
    end = (START + timedelta(minutes=2)).isoformat()
    stream.run(
        stock_series={
            "delete_start": START.isoformat(),
            "delete_end": end,
            "delete_labels": {"isin": [SAP]},
        }
    )
    write(tmp_path, tick(SAP, 5, 6))
    stream.run()
    assert stream.prices("stock_series") == [(BANK, 1), (BANK, 2), (BANK, 3), (SAP, 3), (SAP, 6)]
    day = Query(start=START, end=START + timedelta(days=1), functions=["count"], fields=["price"], group_by=[])
    assert query(stream.lake, MAIN, "stock_series", day).to_pylist()[0]["count"] == 5


def test_lost_lines_are_an_error_unless_they_are_allowed(stream: Stream, tmp_path: Path) -> None:
    write(tmp_path, tick(SAP, 0, 1), tick(SAP, 1, 2))
    stream.run()
    (tmp_path / "home" / "ticks" / "incoming" / "a.jsonl").write_text(json.dumps(tick(SAP, 2, 3)) + "\n")
    failed = stream.run(raises=False)
    assert not failed.success
    told = failed.get_run_failure_event().message or "" + str(failed.all_events)
    assert "fail_on_data_loss: false" in told + "".join(str(event) for event in failed.all_events)
    write(tmp_path, tick(SAP, 3, 4), name="b.jsonl")
    stream.run(read_ticks={"fail_on_data_loss": False})
    assert (SAP, 4) in stream.prices()


@pytest.mark.parametrize("encoding", ["json", pytest.param("avro", marks=pytest.mark.soak)])
def test_a_topic_of_kafka_is_read_exactly_once_by_job_and_sensor(
    stream: Stream, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    topic = kafka.fresh_topic(3)
    monkeypatch.setenv("TICKS_SOURCE", f"kafka://{kafka.servers}/{topic}")
    monkeypatch.setenv("TICKS_FORMAT", encoding)
    producer = kafka.cluster().producer()

    def send(*messages: Any) -> None:
        for message in messages:
            body = message if isinstance(message, bytes) else _encoded(message, encoding)
            producer.produce(topic, body, key=None if isinstance(message, bytes) else message["isin"])
        producer.flush(30)

    assert isinstance(stream.tick(), SkipReason)
    send(*(tick(isin, minute, minute + 1) for isin in (SAP, BANK) for minute in range(100)), b"\x02bad")
    assert isinstance(stream.tick(), SensorResult)
    stream.run()
    assert isinstance(stream.tick(), SkipReason)
    assert len(stream.prices()) == len(stream.prices("stock_series")) == 200
    assert len(stream.rows("ticks_rejected")) == 1
    assert stream.latest() == {SAP: 100, BANK: 100}
    # What a transaction has not committed is not read.
    aborted = kafka.cluster().producer(**{"transactional.id": topic})
    aborted.init_transactions(30)
    aborted.begin_transaction()
    aborted.produce(topic, _encoded(tick(SAP, 500, 9), encoding), key=SAP)
    aborted.flush(30)
    aborted.abort_transaction(30)
    send(tick(SAP, 99, 1000))
    stream.run()
    assert len(stream.prices()) == 200
    assert stream.latest() == {SAP: 1000, BANK: 100}
    commit = next(stream.lake.log(MAIN, 1, "ticks"))
    assert '"offsets"' in commit.metadata["source/position"]


@pytest.mark.soak
def test_a_topic_that_was_created_again_is_an_error(
    stream: Stream, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka.fresh_topic()
    monkeypatch.setenv("TICKS_SOURCE", f"kafka://{kafka.servers}/{topic}")
    producer = kafka.cluster().producer()
    producer.produce(topic, _encoded(tick(SAP, 0, 1), "json"))
    producer.flush(30)
    stream.run()
    cluster = kafka.cluster()
    cluster._admin.delete_topics([topic])[topic].result(30)  # pyright: ignore[reportPrivateUsage]
    cluster.create_topic(topic)
    failed = stream.run(raises=False)
    assert "deleted and created again" in "".join(str(event) for event in failed.all_events)


@pytest.mark.parametrize("stream", [BACKENDS[1]], indirect=True)
def test_on_lakefs_it_is_the_same(stream: Stream, tmp_path: Path) -> None:
    write(tmp_path, tick(SAP, 0, 1), "nonsense")
    stream.run()
    write(tmp_path, tick(SAP, 1440, 2), tick(SAP, 1, 3))
    stream.run()
    assert stream.prices() == stream.prices("stock_series") == [(SAP, 1), (SAP, 2), (SAP, 3)]
    assert stream.latest() == {SAP: 2}
    hours = Query(
        start=START, end=START + timedelta(days=2), functions=["count"], fields=["price"], step=timedelta(hours=1)
    )
    assert [row["count"] for row in query(stream.lake, MAIN, "stock_series", hours).to_pylist()] == [2, 1]


def _encoded(message: dict[str, Any], encoding: str) -> bytes:
    if encoding == "json":
        return json.dumps(message).encode()
    import fastavro

    stream = io.BytesIO()
    datum = {**message, "time": datetime.fromisoformat(message["time"])}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(AVRO), datum)
    return stream.getvalue()


@pytest.mark.soak
def test_messages_of_a_queue_are_acknowledged_once_main_holds_them(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pika

    from lake_assets_tests.rabbitmq_server import RabbitMQServer

    server = RabbitMQServer()
    try:
        monkeypatch.setenv("TICKS_SOURCE", f"{server.queue_address}/ticks")
        with closing(pika.BlockingConnection(pika.URLParameters(f"{server.queue_address}/%2F"))) as connection:
            channel = connection.channel()
            channel.queue_declare("ticks")

            def waiting() -> int:
                return channel.queue_declare("ticks", passive=True).method.message_count

            # The second of equal messages is one of its own.
            for message in (tick(SAP, 0, 1), tick(SAP, 0, 2), tick(SAP, 0, 1)):
                channel.basic_publish("", "ticks", json.dumps(message))
            channel.basic_publish("", "ticks", b"nonsense")
            monkeypatch.setenv("TICKS_PER_RUN", "2")
            stream.run()
            assert (waiting(), stream.prices()) == (2, [(SAP, 2)])
            stream.run()
            assert (waiting(), stream.prices(), stream.latest()) == (0, [(SAP, 1)], {SAP: 1})
            assert [row["body"] for row in stream.rows("ticks_rejected")] == [b"nonsense"]
            stream.run()
            head = stream.lake.head(MAIN)
            stream.run()
            assert stream.lake.head(MAIN) == head
    finally:
        server.stop()
