"""`topic`, `produce` and `consume`, against a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.depth import examples
from lake_assets_tests.kafka_broker import KafkaBroker, own_broker, remove

PROGRAM = str(Path(sys.executable).with_name("lake-assets"))

services = pytest.mark.services

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(kafka: KafkaBroker, lake_home: Path) -> Run:
    """Run the installed program: its input and output are bytes."""

    def run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "KAFKA_SERVERS": kafka.servers}
        return subprocess.run([PROGRAM, *arguments], input=given, env=environment, capture_output=True, timeout=120)

    return run


@pytest.fixture
def servers(kafka: KafkaBroker, lake_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KAFKA_SERVERS", kafka.servers)
    return kafka.servers


def one_line(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 1, done
    (line,) = done.stderr.decode().splitlines()
    return line.removeprefix("lake-assets: ")


@services
def test_a_topic_is_made_and_listed(command: Command, servers: str, kafka: KafkaBroker) -> None:
    made = command("topic", "create", "made-by-command", "--partitions", "2", "--config", "retention.ms=60000")
    assert (made.exit_code, made.stdout) == (0, "Topic made-by-command has 2 partition(s).\n")
    (listed,) = [
        topic for topic in json.loads(command("topic", "list", "--json").stdout) if topic["name"] == "made-by-command"
    ]
    assert listed == {"name": "made-by-command", "partitions": 2, "id": kafka.cluster().topic("made-by-command").id}
    assert command("topic", "list").stdout.splitlines()[0].split() == ["name", "partitions", "id"]


@services
def test_what_cannot_be_made_is_explained(refused: Callable[..., str], servers: str, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic()
    assert refused("topic", "create", topic).startswith("a topic of that name already exists")
    assert "is not a valid topic name" in refused("topic", "create", "a/b")
    assert "give NAME=VALUE" in refused("topic", "create", "another", "--config", "retention.ms")


@services
def test_lines_go_in_and_come_out_as_they_are(run: Run, kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.fresh_topic()
    lines = [
        b"Hello World!",
        b"",
        b"dog dog cat cat",
        b"\xff\xfe no text \x00",
        "größe".encode(),
        b"cr\r",
        b"",
        b"last",
    ]
    (tmp_path / "lines").write_bytes(b"\n".join(lines))
    produced = run("produce", "--topic", topic, str(tmp_path / "lines"))
    assert (produced.returncode, produced.stdout, produced.stderr) == (
        0,
        f"8 lines produced to {topic}\n".encode(),
        b"",
    )
    consumed = run("consume", "--topic", topic)
    assert (consumed.returncode, consumed.stdout, consumed.stderr) == (0, b"\n".join(lines) + b"\n", b"")


@services
@hypothesis_settings(
    max_examples=examples(15),
)
@given(lines=st.lists(st.binary(max_size=50).map(lambda text: text.replace(b"\n", b"")), max_size=20))
def test_any_bytes_but_the_newline_make_a_line(lines: list[bytes], kafka: KafkaBroker) -> None:
    from confluent_kafka import TopicPartition

    from lake_assets.cli.kafka import _Delivered, _send

    cluster = kafka.cluster()
    cluster.create_topic("any-bytes", exist_ok=True)
    start = cluster.topic("any-bytes").latest[0]
    delivered = _Delivered()
    _send([line + b"\n" for line in lines], "any-bytes", cluster, delivered)
    assert delivered.lines == len(lines)
    consumer = cluster.consumer(**{"fetch.wait.max.ms": 10})
    consumer.assign([TopicPartition("any-bytes", 0, start)])
    found = [message.value() for message in consumer.consume(len(lines), 30)] if lines else []
    consumer.close()
    assert found == lines


@services
def test_a_file_without_lines_produces_none(run: Run, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic()
    assert run("produce", "--topic", topic, "-").stdout == f"0 lines produced to {topic}\n".encode()
    assert run("consume", "--topic", topic).stdout == b""


@services
@pytest.mark.soak
def test_more_lines_than_the_queue_holds_all_arrive_in_order(run: Run, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic()
    lines = b"".join(b"%07d\n" % number for number in range(250_000))
    assert run("produce", "--topic", topic, "-", given=lines).stdout == f"250000 lines produced to {topic}\n".encode()
    assert run("consume", "--topic", topic).stdout == lines


@services
@pytest.mark.soak
def test_a_line_of_a_mebibyte_wants_a_topic_that_takes_it(run: Run, kafka: KafkaBroker) -> None:
    line = os.urandom(1 << 19).hex().encode() + b"\n"
    narrow = kafka.fresh_topic()
    reason = one_line(run("produce", "--topic", narrow, "-", given=b"before\n" + line + b"after\n"))
    assert "max.message.bytes" in reason
    assert narrow in reason
    # What is under way when the server refuses a line is not held back by it.
    arrived = run("consume", "--topic", narrow).stdout.splitlines()
    assert arrived in ([], [b"before"], [b"before", b"after"], [b"after"])
    assert f"; {len(arrived)} line(s) were acknowledged" in reason
    wide = kafka.fresh_topic(max_message_bytes="2000000")
    assert run("produce", "--topic", wide, "-", given=line).returncode == 0
    assert run("consume", "--topic", wide).stdout == line


@services
def test_a_topic_that_is_not_there_is_not_made_by_a_slip_of_the_pen(run: Run) -> None:
    for command in (["produce", "-"], ["consume"]):
        assert "lake-assets topic create" in one_line(run(*command, "--topic", "misspelt"))


@services
def test_a_file_that_is_not_there_is_named(run: Run, kafka: KafkaBroker) -> None:
    assert one_line(run("produce", "--topic", "t", "/no/such/file")) == (
        "/no/such/file cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["consume", "--topic", "t"],
        pytest.param(["produce", "--topic", "t", "-"], marks=pytest.mark.soak),
        pytest.param(["topic", "list"], marks=pytest.mark.soak),
        pytest.param(["topic", "create", "t"], marks=pytest.mark.soak),
    ],
)
def test_a_broker_that_is_away_is_one_line(lake_home: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "KAFKA_DEADLINE": "1"}
    command = [PROGRAM, *arguments, "--server", "127.0.0.1:9"]
    done = subprocess.run(command, input=b"line\n", env=environment, capture_output=True, timeout=60)
    assert "do not answer" in one_line(done)
    assert "127.0.0.1:9" in one_line(done)


@services
def test_only_what_is_committed_is_read_and_an_open_transaction_is_not_waited_for(run: Run, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic()
    producer = kafka.cluster().producer(**{"transactional.id": topic})
    producer.init_transactions(30)
    for value, commit in ((b"aborted", False), (b"committed", True)):
        producer.begin_transaction()
        producer.produce(topic, key=b"k", value=value)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, value=b"open")
    producer.flush(30)
    assert run("consume", "--topic", topic).stdout == b"committed\n"
    assert run("consume", "--topic", topic, "--with-key").stdout == b"k\tcommitted\n"
    producer.abort_transaction(30)


@services
def test_a_key_or_value_that_is_none_is_null(run: Run, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic()
    producer = kafka.cluster().producer()
    producer.produce(topic, key=b"dog", value=None)
    producer.produce(topic, key=None, value=b'{"word": "cat"}')
    assert producer.flush(30) == 0
    assert run("consume", "--topic", topic, "--with-key").stdout == b'dog\tnull\nnull\t{"word": "cat"}\n'


@services
def test_from_latest_without_following_there_is_nothing(run: Run, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic(2)
    run("produce", "--topic", topic, "-", given=b"a\nb\n")
    assert run("consume", "--topic", topic, "--from", "latest").stdout == b""


@pytest.fixture
def following(kafka: KafkaBroker, lake_home: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A topic with one line, and a command that has printed it and follows."""
    topic = kafka.fresh_topic()
    send(kafka, topic, b"first")
    environment = {**os.environ, "KAFKA_SERVERS": kafka.servers}
    command = [PROGRAM, "consume", "--topic", topic, "--follow"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        yield topic, process
        process.kill()


def send(kafka: KafkaBroker, topic: str, value: bytes) -> None:
    producer = kafka.cluster().producer()
    producer.produce(topic, value=value)
    assert producer.flush(30) == 0


@services
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.soak)]
)
def test_following_prints_what_comes_until_it_is_stopped(
    kafka: KafkaBroker, following: tuple[str, subprocess.Popen[bytes]], number: signal.Signals, code: int
) -> None:
    topic, process = following
    assert process.stdout is not None
    send(kafka, topic, b"second")
    assert process.stdout.readline() == b"second\n"
    process.send_signal(number)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == code


@services
@pytest.mark.soak
def test_following_goes_on_when_a_killed_broker_is_back(lake_home: Path) -> None:
    broker = own_broker()
    try:
        broker.start()
        topic = broker.fresh_topic()
        environment = {**os.environ, "KAFKA_SERVERS": broker.servers}
        command = [PROGRAM, "consume", "--topic", topic, "--follow"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in (b"before", b"after"):
                send(broker, topic, line)
                assert process.stdout.readline() == line + b"\n"
                broker.kill()
                broker.start()
            process.terminate()
            assert process.communicate(timeout=30) == (b"", b"")
    finally:
        remove(broker)


@services
@pytest.mark.soak
def test_every_line_is_stored_once_though_the_broker_is_killed_meanwhile(lake_home: Path) -> None:
    broker = own_broker()
    lines = [b"%d\n" % number for number in range(200_000)]
    try:
        broker.start()
        topic = broker.fresh_topic()
        environment = {**os.environ, "KAFKA_SERVERS": broker.servers, "KAFKA_DEADLINE": "120"}
        command = [PROGRAM, "produce", "--topic", topic, "-"]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            for at in range(0, len(lines), 50_000):
                process.stdin.writelines(lines[at : at + 50_000])
                broker.kill()
                broker.start()
            assert process.communicate(timeout=150)[0] == f"200000 lines produced to {topic}\n".encode()
        consume = [PROGRAM, "consume", "--topic", topic]
        assert subprocess.run(consume, env=environment, capture_output=True).stdout == b"".join(lines)
    finally:
        remove(broker)


@services
@pytest.mark.soak
def test_a_broker_that_stays_away_while_lines_are_sent_ends_the_command(lake_home: Path) -> None:
    broker = own_broker()
    try:
        broker.start()
        topic = broker.fresh_topic()
        environment = {**os.environ, "KAFKA_SERVERS": broker.servers, "KAFKA_DEADLINE": "3"}
        command = [PROGRAM, "produce", "--topic", topic, "-"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            assert process.stdin is not None
            process.stdin.write(b"stored\n")
            process.stdin.flush()
            end = time.monotonic() + 30
            while broker.cluster().topic(topic).latest != {0: 1}:
                assert time.monotonic() < end
            broker.kill()
            _, error = process.communicate(b"lost\n" * 1000, timeout=60)
        (line,) = error.decode().splitlines()
        assert (process.returncode, "do not answer" in line) == (1, True), line
        # The broker may have been killed between storing the line and saying so.
        assert line.endswith(("; 0 line(s) were acknowledged", "; 1 line(s) were acknowledged"))
    finally:
        remove(broker)


@services
def test_one_partition_is_read_from_an_offset_on(run: Run, kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic(partitions=2)
    producer = kafka.cluster().producer()
    for number in range(6):
        producer.produce(topic, value=b"%d" % number, partition=number % 2)
    producer.flush(30)

    def read(*options: str) -> list[bytes]:
        done = run("consume", "--topic", topic, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert read("--partition", "1") == [b"1", b"3", b"5"]
    assert read("--partition", "1", "--offset", "earliest") == [b"1", b"3", b"5"]
    assert read("--partition", "0", "--offset", "1") == [b"2", b"4"]
    assert read("--partition", "0", "--offset", "3") == []
    assert read("--partition", "0", "--offset", "latest") == []
    assert read("--partition", "0", "--from", "latest") == []
    assert f"topic {topic} has no partition 2: it has 0, 1" in one_line(
        run("consume", "--topic", topic, "--partition", "2")
    )
    beyond = one_line(run("consume", "--topic", topic, "--partition", "0", "--offset", "4"))
    assert beyond == f"partition 0 of topic {topic} has no offset 4: it starts at 0 and ends before 3"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--offset", "1"], "also give --partition N"),
        (["--partition", "0", "--offset", "1", "--from", "latest"], "give one of them"),
        (["--partition", "0", "--offset", "-1"], "a number that is not negative"),
        (["--partition", "0", "--offset", "soon"], "earliest, latest, or a number"),
        (["--partition", "-1"], "greater than or equal to 0"),
    ],
)
def test_where_to_begin_is_said_once_and_of_one_partition(command: Command, options: list[str], reason: str) -> None:
    result = command("consume", "--topic", "test", *options)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())
