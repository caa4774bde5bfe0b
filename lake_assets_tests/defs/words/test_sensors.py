"""What `consumer_lag` and `new_text_files` ask for, tick by tick: a real broker or folder, and hand-made commits."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, Definitions, build_sensor_context
from dagster._core.definitions.sensor_definition import SensorExecutionData

from lake_assets import environments
from lake_assets.defs.words.assets import word_counts, word_counts_windowed, words_published
from lake_assets.defs.words.checks import word_counts_audit, words_checks
from lake_assets.defs.words.jobs import words
from lake_assets.defs.words.sensors import consumer_lag, new_text_files
from lake_assets.kafka.cluster import KafkaCluster
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.names import beside
from lake_assets.streaming.places import places_of
from lake_assets.streaming.position import Position, write_position
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.kafka_broker import KafkaBroker, own_broker, remove
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.lakefs_server import fresh_repository

services = pytest.mark.services


both_lakes = pytest.mark.parametrize("home", BACKENDS, indirect=True)


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_fresh(getattr(request, "param", "embedded"), tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def lake(home: Path) -> Iterator[Lake]:
    with closing(environments.open_lake()) as lake:
        yield lake


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(dagster_home)) as instance:
        yield instance


class Sensor:
    """A sensor whose ticks go on from the cursor of the one before, on a graph of its own."""

    def __init__(self, name: str, instance: DagsterInstance) -> None:
        self.name = name
        self.instance = instance
        self.cursor: str | None = None

    @cached_property
    def defs(self) -> Definitions:
        return Definitions(
            assets=[word_counts, word_counts_windowed, words_published],
            asset_checks=[words_checks, word_counts_audit],
            jobs=[words],
            sensors=[consumer_lag, new_text_files],
            resources=environments.resources(),
        )

    def tick(self) -> SensorExecutionData:
        defs = self.defs
        resources = {key: value for key, value in environments.resources().items() if key in ("lake", "kafka")}
        with build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=defs.get_repository_def(),
            resources=resources,
        ) as context:
            data = defs.get_repository_def().get_sensor_def(self.name).evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data

    def requests(self) -> list[str]:
        """Return how much the runs that the next tick requests are for."""
        return [request.tags["words/unread"] for request in self.tick().run_requests or []]

    def skips(self) -> str:
        """Return why the next tick requests nothing."""
        data = self.tick()
        assert not data.run_requests
        return data.skip_message or ""

    def later(self, seconds: float) -> None:
        """Go on as if so much time had passed since the last tick."""
        told = json.loads(self.cursor or "{}")
        for name in ("since", "requested"):
            told[name] = told[name] and told[name] - seconds
        self.cursor = json.dumps(told)

    def run(self, status: DagsterRunStatus = DagsterRunStatus.STARTED) -> DagsterRun:
        """Return a run of the job, as Dagster has written it down."""
        run = self.instance.create_run_for_job(self.defs.resolve_job_def("words"), status=status)
        assert isinstance(run, DagsterRun)
        return run


@pytest.fixture
def sensor(lake: Lake, instance: DagsterInstance) -> Sensor:
    return Sensor("consumer_lag", instance)


@pytest.fixture
def files_sensor(lake: Lake, instance: DagsterInstance) -> Sensor:
    return Sensor("new_text_files", instance)


def publish(lake: Lake, position: Position, log: Mapping[str, str] | None = None) -> None:
    """Publish a position, and the log of files that a checkpoint has read."""
    lake.create_branch("mine", MAIN)
    places = places_of("word_counts")
    with lake.write("mine", "word_counts", beside=[beside("word_counts")]) as write:
        write_position(write, places.position, position)
        # What Spark has compacted it removes.
        write.removed.update(item.path for item in lake.list(MAIN, places.checkpoint))
        for name, text in (log or {}).items():
            folder = f"{write.place(places.checkpoint)}/sources/0"
            write.filesystem.create_dir(folder, recursive=True)
            with write.filesystem.open_output_stream(f"{folder}/{name}") as stream:
                stream.write(text.encode())
    lake.merge("mine", MAIN, audit=TESTS)
    lake.delete_branch("mine")


def read_until(cluster: KafkaCluster, topic: str, offsets: Mapping[str, int], batch: int = 0) -> Position:
    source = f"kafka://{cluster.servers}/{topic}"
    return Position("word_counts 1", source, cluster.topic(topic).id, batch, offsets, {}, {})


class Topic:
    """A topic of a broker, set as the source."""

    def __init__(self, broker: KafkaBroker, partitions: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = broker.cluster()
        self.name = broker.fresh_topic(partitions)
        monkeypatch.setenv("WORDS_SOURCE", f"kafka://{broker.servers}/{self.name}")

    def send(self, *lines: str, partition: int = 0, ago: float = 0) -> None:
        producer = self.cluster.producer()
        for line in lines:
            producer.produce(self.name, line.encode(), partition=partition, timestamp=int((time.time() - ago) * 1000))
        assert producer.flush(30) == 0


@pytest.fixture
def topic(home: Path, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch) -> Topic:
    return Topic(kafka, 2, monkeypatch)


# Kafka


@services
@both_lakes
def test_what_the_published_counts_lack_is_asked_for_in_one_run(lake: Lake, sensor: Sensor, topic: Topic) -> None:
    assert "Every line of" in sensor.skips()
    topic.send("a", "b", partition=0)
    topic.send("c", partition=1)
    assert sensor.requests() == ["3"]
    publish(lake, read_until(topic.cluster, topic.name, {"0": 2, "1": 1}))
    assert "is published" in sensor.skips()
    topic.send("d", partition=1)
    assert sensor.requests() == ["1"]


@services
def test_partitions_that_were_added_are_unread_from_their_beginning(
    lake: Lake, sensor: Sensor, topic: Topic, kafka: KafkaBroker
) -> None:
    topic.send("a")
    publish(lake, read_until(topic.cluster, topic.name, {"0": 1, "1": 0}))
    kafka.grow(topic.name, 3)
    deadline = time.monotonic() + 30
    while len(topic.cluster.topic(topic.name).latest) < 3:
        assert time.monotonic() < deadline
    topic.send("b", "c", partition=2)
    assert sensor.requests() == ["2"]


@services
def test_fewer_lines_than_the_threshold_wait_until_the_oldest_is_old_enough(
    lake: Lake, sensor: Sensor, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS_LAG_LINES", "4")
    monkeypatch.setenv("WORDS_LAG_SECONDS", "60")
    topic.send("new", "new", partition=0)
    assert "fewer and younger" in sensor.skips()
    # The partition with less to read has the oldest line.
    topic.send("old", partition=1, ago=61)
    assert sensor.requests() == ["3"]

    sensor.cursor = None
    publish(lake, read_until(topic.cluster, topic.name, {"0": 2, "1": 1}))
    topic.send("new", "new", "new", "new", partition=0)
    assert sensor.requests() == ["4"]


@services
def test_lines_from_the_future_wait_no_longer_than_others(
    sensor: Sensor, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS_LAG_LINES", "100")
    monkeypatch.setenv("WORDS_LAG_SECONDS", "60")
    topic.send("early", ago=-1800)
    assert "fewer and younger" in sensor.skips()
    sensor.later(61)
    assert sensor.requests() == ["1"]


@services
def test_a_topic_that_was_made_again_is_not_read_until_somebody_says_so(
    lake: Lake, sensor: Sensor, topic: Topic
) -> None:
    topic.send("a")
    other = read_until(topic.cluster, topic.name, {"0": 1, "1": 0})
    publish(lake, other)
    topic.send("b")
    client = AdminClient({"bootstrap.servers": topic.cluster.servers})
    client.delete_topics([topic.name])[topic.name].result(30)
    assert "is no such topic" in _after_deletion(sensor)
    topic.cluster.create_topic(topic.name, 2)
    assert "reset_checkpoint" in sensor.skips()
    publish(lake, replace(other, source_id=topic.cluster.topic(topic.name).id, offsets={"0": 0, "1": 0}, batch=9))
    topic.send("c")
    assert sensor.requests() == ["1"]


def _after_deletion(sensor: Sensor) -> str:
    """Return what is said once the broker knows that the topic is gone."""
    deadline = time.monotonic() + 30
    while "next tick tries again" not in (why := sensor.tick().skip_message or ""):
        sensor.cursor = None
        assert time.monotonic() < deadline, why
    return why


@services
def test_a_broker_that_is_away_is_told_within_the_deadline_and_found_again(
    home: Path, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = own_broker()
    try:
        monkeypatch.setenv("WORDS_SOURCE", f"kafka://{broker.servers}/test")
        began = time.monotonic()
        assert "do not answer" in sensor.skips()
        assert time.monotonic() - began < 10
        broker.start()
        assert "next tick tries again" in sensor.skips()
        Topic(broker, 1, monkeypatch).send("a", "b")
        assert sensor.requests() == ["2"]
    finally:
        remove(broker)


def test_servers_that_take_connections_and_say_nothing_do_not_hang_a_tick(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("WORDS_SOURCE", f"kafka://127.0.0.1:{deaf.getsockname()[1]}/test")
        monkeypatch.setenv("KAFKA_DEADLINE", "1")
        began = time.monotonic()
        assert "next tick tries again" in sensor.skips()
        assert time.monotonic() - began < 8


# Files


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home / "lines"
    folder.mkdir()
    monkeypatch.setenv("WORDS_SOURCE", str(folder))
    return folder


def files_published(lake: Lake, folder: Path, *batches: list[str], compact: int | None = None) -> None:
    """Publish that the files of these batches were read; as Spark writes it down, `compact` with all before it."""
    entries = [
        [json.dumps({"path": f"file://{folder}/{name}".replace(" ", "%20"), "timestamp": 1, "batchId": number})]
        for number, names in enumerate(batches)
        for name in names
    ]
    log: dict[str, str] = {}
    for number, lines in enumerate(entries):
        name = f"{number}.compact" if number == compact else str(number)
        known = [line for earlier in entries[: number + 1] for line in earlier] if number == compact else lines
        log[name] = "\n".join(["v1", *known])
    if compact is not None:
        log = {name: text for name, text in log.items() if int(name.partition(".")[0]) >= compact}
    position = Position("word_counts 1", str(folder), f"file://{folder}", len(batches) - 1, {}, {}, {})
    publish(lake, position, log)


@both_lakes
def test_files_that_the_published_checkpoint_has_not_read_are_asked_for(
    lake: Lake, files_sensor: Sensor, folder: Path
) -> None:
    assert "Every file of" in files_sensor.skips()
    (folder / "one file.txt").write_text("a\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "2.txt").write_text("b\n")
    assert files_sensor.requests() == ["2"]
    files_published(lake, folder, ["one file.txt"], ["sub/2.txt"])
    assert "is published" in files_sensor.skips()
    (folder / "3.txt").write_text("c\n")
    assert files_sensor.requests() == ["1"]
    files_published(lake, folder, ["one file.txt"], ["sub/2.txt"], ["3.txt"], compact=1)
    assert "is published" in files_sensor.skips()


def test_what_spark_does_not_read_is_not_asked_for(files_sensor: Sensor, folder: Path) -> None:
    for name in (".hidden", "_hidden", "copied._COPYING_", ".git/file", "_temporary/0/file"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n")
    assert "Every file of" in files_sensor.skips()


def test_fewer_files_than_the_threshold_wait_until_the_oldest_is_old_enough(
    files_sensor: Sensor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS_LAG_LINES", "3")
    monkeypatch.setenv("WORDS_LAG_SECONDS", "60")
    for name in ("1.txt", "2.txt"):
        (folder / name).write_text("a\n")
    assert "fewer and younger" in files_sensor.skips()
    old = time.time() - 61
    os.utime(folder / "2.txt", (old, old))
    assert files_sensor.requests() == ["2"]


@both_lakes
def test_another_folder_than_was_read_is_not_read_until_somebody_says_so(
    lake: Lake, files_sensor: Sensor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files_published(lake, folder, ["1.txt"])
    other = folder.with_name("other")
    monkeypatch.setenv("WORDS_SOURCE", str(other))
    assert f"there is no folder {str(other)!r}" in files_sensor.skips()
    other.mkdir()
    (other / "1.txt").write_text("a\n")
    assert "reset_checkpoint" in files_sensor.skips()


CURSORS = [
    None,
    "",
    "{",
    "[" * 100_000,
    "[]",
    "null",
    '{"position": "", "since": "x", "requests": 1, "requested": 0}',
    '{"position": "", "since": null, "requests": 1e999, "requested": NaN}',
    '{"position": "another", "since": 0, "requests": 99, "requested": 9e9}',
]


@both_lakes
def test_a_cursor_that_is_lost_garbage_or_old_changes_nothing(lake: Lake, files_sensor: Sensor, folder: Path) -> None:
    for name in ("1.txt", "2.txt"):
        (folder / name).write_text("a\n")
    for cursor in CURSORS:
        files_sensor.cursor = cursor
        assert files_sensor.requests() == ["2"]
    files_published(lake, folder, ["1.txt"])
    for cursor in CURSORS:
        files_sensor.cursor = cursor
        assert files_sensor.requests() == ["1"]
    files_published(lake, folder, ["1.txt"], ["2.txt"], compact=1)
    for cursor in CURSORS:
        files_sensor.cursor = cursor
        assert "is published" in files_sensor.skips()


@both_lakes
def test_where_the_lake_was_lost_all_is_asked_for_again(
    request: pytest.FixtureRequest, lake: Lake, files_sensor: Sensor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "1.txt").write_text("a\n")
    files_published(lake, folder, ["1.txt"])
    assert "is published" in files_sensor.skips()
    if "lakefs" in request.node.name:
        monkeypatch.setenv("LAKEFS_REPOSITORY", fresh_repository().rpartition("/")[2])
    else:
        monkeypatch.setenv("LAKE_HOME", str(folder.with_name("another home")))
    assert Sensor("new_text_files", files_sensor.instance).requests() == ["1"]
    files_sensor.__dict__.pop("defs")
    assert files_sensor.requests() == ["1"]


def test_each_kind_of_source_has_a_sensor_of_its_own(
    sensor: Sensor, files_sensor: Sensor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the sensor new_text_files looks after it" in sensor.skips()
    monkeypatch.setenv("WORDS_SOURCE", "kafka://127.0.0.1:9/test")
    assert "the sensor consumer_lag looks after it" in files_sensor.skips()
    monkeypatch.setenv("WORDS_SOURCE", "http://nowhere/")
    assert "give kafka://host:port/topic, s3://bucket/prefix, or a folder" in sensor.skips()
    monkeypatch.setenv("WORDS_SOURCE", "s3://bucket/lines")
    assert "the sensor new_text_files looks after it" in sensor.skips()


# Runs


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_while_a_run_is_queued_or_goes_on_no_other_is_requested(
    files_sensor: Sensor, folder: Path, status: DagsterRunStatus
) -> None:
    (folder / "1.txt").write_text("a\n")
    run = files_sensor.run(status)
    assert files_sensor.skips() == f"Run {run.run_id} goes on: one run reads the stream at a time."
    files_sensor.instance.report_run_failed(run)
    assert files_sensor.requests() == ["1"]


def test_a_run_whose_process_was_killed_is_in_nobodys_way(files_sensor: Sensor, folder: Path) -> None:
    (folder / "1.txt").write_text("a\n")
    run = files_sensor.run()
    instance = files_sensor.instance
    killed = (
        "import os, signal, sys; from dagster import DagsterInstance\n"
        "from lake_assets.runs.lock import acquire_run_lock\n"
        "acquire_run_lock(DagsterInstance.local_temp(sys.argv[1]), sys.argv[2]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", killed, instance.root_directory, run.run_id], timeout=60)
    assert files_sensor.requests() == ["1"]
    # Dagster would keep the pool for it.
    left = instance.get_run_by_id(run.run_id)
    assert left is not None
    assert left.status == DagsterRunStatus.FAILURE


@both_lakes
def test_a_run_that_published_nothing_is_requested_again_after_a_pause_that_grows(
    lake: Lake, files_sensor: Sensor, folder: Path
) -> None:
    (folder / "1.txt").write_text("a\n")
    for pause in (10, 20, 40):
        assert files_sensor.requests() == ["1"]
        assert "see why" in files_sensor.skips()
        files_sensor.later(pause - 5)
        assert "see why" in files_sensor.skips()
        files_sensor.later(5)
    for _ in range(10):
        files_sensor.later(600)
        assert files_sensor.requests() == ["1"]

    # As soon as anything is published all is as before.
    files_published(lake, folder, ["0.txt"])
    assert files_sensor.requests() == ["1"]
