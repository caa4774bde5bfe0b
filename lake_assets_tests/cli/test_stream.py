"""`stream words`: what it refuses, how it stops, and that it goes on where it stopped or was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lake_assets.streaming.kept_running import CheckpointTaken, Identity, held
from lake_assets.streaming.outputs import Console, Files
from lake_assets_tests.kafka_broker import KafkaBroker

PROGRAM = str(Path(sys.executable).with_name("lake-assets"))
STOPPED_WITHIN = 10


# What is refused, before anything starts


def test_append_of_counts_that_may_change_is_refused_with_its_reason(refused: Callable[..., str]) -> None:
    said = refused("stream", "words", "--output-mode", "append")
    assert "a count over all time is never final: add --windowed" in said


def test_outputs_that_are_not_right_are_refused(refused: Callable[..., str], lake_home: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.mkdir()

    def said(*options: str) -> str:
        return refused("stream", "words", "--source", str(lines), *options)

    assert "needs --to FOLDER" in said("--output", "csv")
    assert "needs --to kafka://" in said("--output", "kafka")
    assert "takes no --to" in said("--to", "folder")
    assert "does not begin with kafka://" in said("--output", "kafka", "--to", "topic")
    assert "writes to a folder" in said("--output", "parquet", "--to", "s3://bucket/counts")
    assert "would be counted, too" in said("--output", "parquet", "--to", str(lines / "counts"))


def test_a_source_that_is_not_there_is_refused(refused: Callable[..., str], lake_home: Path) -> None:
    assert "--source: there is no folder" in refused("stream", "words", "--source", "nowhere")
    assert "give kafka://host:port/topic, s3://bucket/prefix, or a folder" in refused(
        "stream", "words", "--source", "http://nowhere/"
    )


@pytest.mark.services
def test_the_topic_that_is_read_is_not_written_to_and_one_that_is_missing_not_made(
    refused: Callable[..., str], lake_home: Path, kafka: KafkaBroker
) -> None:
    topic = f"kafka://{kafka.servers}/{kafka.fresh_topic()}"
    assert "is also the source" in refused("stream", "words", "--source", topic, "--output", "kafka", "--to", topic)
    missing = f"kafka://{kafka.servers}/missing"
    assert "topic 'missing'" in refused("stream", "words", "--source", topic, "--output", "kafka", "--to", missing)


def test_a_checkpoint_is_used_by_one_process_for_one_query_alone(tmp_path: Path) -> None:
    identity = Identity("word_counts 1", "kafka://127.0.0.1:9092/test", "an id", "the console", "update")
    checkpoint = tmp_path / "checkpoint"
    with (
        held(checkpoint, identity, Console()),
        pytest.raises(CheckpointTaken, match="another process uses"),
        held(checkpoint, identity, Console()),
    ):
        pass
    with held(checkpoint, identity, Console()):
        pass
    for other, told in (
        (replace(identity, mode="complete"), "belongs to mode 'update', not 'complete'"),
        (replace(identity, source_id="made anew"), "belongs to source_id 'an id', not 'made anew'"),
    ):
        with pytest.raises(CheckpointTaken, match=told), held(checkpoint, other, Console()):
            pass


@pytest.mark.parametrize("left", ["batch=7/part-0.parquet", "counts.parquet"])
def test_a_new_checkpoint_does_not_write_into_the_output_of_another(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "counts"
    (folder / left).parent.mkdir(parents=True)
    (folder / left).touch()
    output = Files(folder, "parquet")
    identity = Identity("word_counts 1", "lines", "lines", output.name, "update")
    with pytest.raises(CheckpointTaken, match="has output already"), held(tmp_path / "new", identity, output):
        pass


# Processes


class Stream:
    """One process of the command, and what it says on stderr."""

    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        with log.open("w") as err:
            self.process = subprocess.Popen(
                [PROGRAM, "stream", "words", "--trigger", "0.2", *options],
                stdout=subprocess.DEVNULL,
                stderr=err,
                env={**os.environ, "SPARK_MASTER": "local[2]"},
                start_new_session=True,
            )

    def says(self, text: str) -> None:
        """Wait until it says that."""
        self.until(lambda: text in self.log.read_text())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition while it runs."""
        deadline = time.monotonic() + 240
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM, group: bool = False) -> None:
        """Ask it to stop: it does so in time, with exit code 0."""
        began = time.monotonic()
        os.killpg(self.process.pid, number) if group else self.process.send_signal(number)
        assert self.process.wait(60) == 0, self.log.read_text()
        assert time.monotonic() - began < STOPPED_WITHIN

    def kill(self) -> None:
        """End it and Spark's process at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


@pytest.fixture
def streaming(lake_home: Path, tmp_path: Path) -> Iterator[Callable[..., Stream]]:
    started: list[Stream] = []

    def start(*options: str) -> Stream:
        started.append(Stream(tmp_path / f"stderr{len(started)}", *options))
        return started[-1]

    yield start
    for stream in started:
        if stream.process.poll() is None:
            stream.kill()


def add(folder: Path, name: str, *lines: str) -> None:
    """Put a file of lines into a folder, at once."""
    folder.mkdir(exist_ok=True)
    (folder / f".{name}").write_text("".join(f"{line}\n" for line in lines))
    (folder / f".{name}").rename(folder / name)


def batch(folder: Path, number: int) -> dict[str, int]:
    """Return the counts that a micro-batch put out."""
    rows = pq.read_table(folder / f"batch={number}").to_pylist()
    return {row["word"]: row["count"] for row in rows}


@pytest.mark.soak
def test_stopped_by_sigterm_it_goes_on_from_its_checkpoint(streaming: Callable[..., Stream], tmp_path: Path) -> None:
    lines, counts = tmp_path / "lines", tmp_path / "counts"
    options = ["--source", str(lines), "--output", "parquet", "--to", str(counts)]
    add(lines, "1.txt", "Hello World!", "dog dog")
    first = streaming(*options)
    first.says("batch 0: 2 rows")
    assert batch(counts, 0) == {"Hello": 1, "World!": 1, "dog": 2}
    # Whatever it is at then: what is not finished is done again.
    add(lines, "2.txt", "dog cat")
    first.stop()

    add(lines, "3.txt", "cat Hello")
    second = streaming(*options)
    second.until(lambda: latest(counts) == {"Hello": 2, "World!": 1, "dog": 3, "cat": 2})
    second.stop(group=True)
    # Only what changed was put out.
    assert "World!" not in {word for number in batches(counts) if number for word in batch(counts, number)}


def batches(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("=")[2]) for path in folder.glob("batch=*"))


def latest(folder: Path) -> dict[str, int]:
    """Return each word's count by the last micro-batch that has it."""
    return {word: count for number in batches(folder) for word, count in batch(folder, number).items()}


@pytest.mark.soak
def test_complete_mode_keeps_one_file_of_all_counts(streaming: Callable[..., Stream], tmp_path: Path) -> None:
    lines, counts = tmp_path / "lines", tmp_path / "counts"
    add(lines, "1.txt", "dog dog")
    stream = streaming(
        "--source",
        str(lines),
        "--output",
        "csv",
        "--to",
        str(counts),
        "--output-mode",
        "complete",
        "--checkpoint",
        "cp",
    )
    stream.says("batch 0")
    add(lines, "2.txt", "cat")
    stream.says("batch 1")
    rows = pyarrow.csv.read_csv(counts / "counts.csv").to_pylist()
    assert {row["word"]: row["count"] for row in rows} == {"dog": 2, "cat": 1}
    assert [path.name for path in counts.iterdir()] == ["counts.csv"]
    stream.stop(signal.SIGINT)
    assert (Path.cwd() / "cp" / "commits").is_dir()


@pytest.mark.soak
def test_append_mode_puts_out_windows_that_are_final(streaming: Callable[..., Stream], tmp_path: Path) -> None:
    lines, counts = tmp_path / "lines", tmp_path / "counts"
    add(lines, "1.txt", "2017-07-28T08:00:10Z dog dog", "2017-07-28T08:01:10Z cat")
    stream = streaming(
        "--source", str(lines), "--output", "parquet", "--to", str(counts), "--output-mode", "append", "--windowed"
    )
    stream.says("batch 0")
    assert latest(counts) == {}
    add(lines, "2.txt", "2017-07-28T08:11:30Z bird")
    stream.until(lambda: latest(counts) == {"dog": 2})
    stream.stop()


@pytest.mark.soak
def test_asked_to_stop_while_it_starts_it_stops_too(streaming: Callable[..., Stream], tmp_path: Path) -> None:
    add(tmp_path / "lines", "1.txt", "dog")
    stream = streaming("--source", str(tmp_path / "lines"))
    # Spark's process has begun.
    stream.until(lambda: "WARNING" in stream.log.read_text())
    stream.stop()


@pytest.mark.soak
@pytest.mark.services
def test_killed_in_the_middle_kafka_has_every_words_last_count_all_the_same(
    streaming: Callable[..., Stream], kafka: KafkaBroker
) -> None:
    source, target = kafka.fresh_topic(2), kafka.fresh_topic()
    options = ["--source", f"kafka://{kafka.servers}/{source}", "--output", "kafka"]
    options += ["--to", f"kafka://{kafka.servers}/{target}"]
    sent = Counter[str]()

    def send(*lines: str) -> None:
        producer = kafka.cluster().producer()
        for line in lines:
            producer.produce(source, line.encode())
            producer.poll(0)
            sent.update(line.split())
        assert producer.flush(60) == 0

    with _Records(kafka, target) as records:
        send("dog cat")
        first = streaming(*options)
        first.says("batch 0")
        send(*(f"word{number} dog" for number in range(30_000)))
        # Some of the next micro-batch's records are there, which is then killed.
        first.until(lambda: records.read() > 2)
        first.kill()
        read = records.read()
        send("cat bird")
        second = streaming(*options)
        second.until(lambda: records.read() >= read and records.last == sent)
        second.stop()
        assert "lag" in second.log.read_text()


class _Records:
    """What a topic holds: how many records were read, and the last count by word."""

    def __init__(self, kafka: KafkaBroker, topic: str) -> None:
        from confluent_kafka import TopicPartition

        self.consumer = kafka.cluster().consumer(**{"isolation.level": "read_uncommitted"})
        self.consumer.assign([TopicPartition(topic, 0, 0)])
        self.number = 0
        self.last: dict[str, int] = {}

    def __enter__(self) -> _Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.close()

    def read(self) -> int:
        """Read what has come since, and return the number of all records."""
        while messages := self.consumer.consume(10_000, 0.2):
            for message in messages:
                assert message.error() is None
                key, value = message.key(), json.loads(message.value() or b"")
                assert key is not None
                assert key.decode() == value["word"]
                self.last[value["word"]] = value["count"]
                self.number += 1
        return self.number
