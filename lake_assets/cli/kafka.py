"""Commands for Kafka: `topic create`, `topic list`, `produce` and `consume`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from lake_assets import environments
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import Json, emit, emit_all, print_bytes, show
from lake_assets.settings import KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

    from lake_assets.kafka.cluster import KafkaCluster, TopicState

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT[,…]", help="Kafka's servers. Default: KAFKA_SERVERS."),
]
TopicName = Annotated[str, typer.Option("--topic", metavar="TOPIC", help="Name of the topic.")]

_AT_ONCE = 1000
"""Maximal number of records in one call of the client."""

_IDLE = 0.1
"""Maximal seconds that a call of the client waits for records, before signals and output are handled."""


class Start(str, Enum):
    """Start of reading."""

    EARLIEST = "earliest"
    LATEST = "latest"


def _cluster(server: str | None) -> KafkaCluster:
    return environments.open_kafka(server or KafkaSettings.read().servers)


# Topics


def create_topic(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the topic.")],
    partitions: Annotated[int, typer.Option(min=1, max=100_000, help="Number of partitions.")] = 1,
    config: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the topic, such as max.message.bytes=2000000."),
    ] = None,
    server: Server = None,
    json: Json = False,
) -> None:
    """Create a topic."""
    from lake_assets.kafka.address import topic_name_problem

    if problem := topic_name_problem(name):
        raise CommandError(problem)
    values: dict[str, str] = {}
    for setting in config or ():
        key, separator, value = setting.partition("=")
        if not separator or not key:
            raise CommandError(f"{setting!r} is not a setting of a topic: give NAME=VALUE")
        values[key] = value
    _cluster(server).create_topic(name, partitions, config=values)
    if json:
        emit({"name": name, "partitions": partitions})
    else:
        print(f"Topic {name} has {partitions} partition(s).")


def list_topics(server: Server = None, json: Json = False) -> None:
    """List topics with their ids. A topic that is created again gets another id."""
    records = [asdict(topic) for topic in _cluster(server).topics()]
    if json:
        emit_all(records)
    else:
        show(records, ("name", "partitions", "id"), right=("partitions",))


# Lines into a topic


def produce(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File of lines; - for standard input.")],
    topic: TopicName,
    server: Server = None,
) -> None:
    """Send the lines of a file to a topic.

    Each line, without its newline, becomes one record with the same bytes. Every line is stored exactly once.
    Otherwise the exit code is 1, and the error has the number of acknowledged lines.
    """
    with _opened(file) as lines:
        _produce(lines, topic, _cluster(server))


@contextmanager
def _opened(file: str) -> Generator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as lines:
            yield lines
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def _produce(lines: BinaryIO, topic: str, cluster: KafkaCluster) -> None:
    from lake_assets.kafka import KafkaFailure

    cluster.topic(topic)  # Otherwise a broker that creates topics automatically would create a misspelt one.
    delivered = _Delivered()
    try:
        _send(lines, topic, cluster, delivered)
    except (KafkaFailure, OSError) as error:
        raise CommandError(f"{error}; {delivered.lines} line(s) were acknowledged") from error
    print(f"{delivered.lines} lines produced to {topic}")


class _Delivered:
    """Counts acknowledged records, and keeps the first error."""

    def __init__(self) -> None:
        self.lines = 0
        self.refusal: KafkaError | None = None

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.lines += 1
        else:
            self.refusal = self.refusal or error


def _send(lines: Iterable[bytes], topic: str, cluster: KafkaCluster, delivered: _Delivered) -> None:
    from lake_assets.kafka.translation import failure, translated

    producer = cluster.producer(
        **{
            "enable.idempotence": True,
            "acks": "all",
            "delivery.timeout.ms": int(cluster.deadline * 1000),
            # The topic's setting limits the size of records.
            "message.max.bytes": 1_000_000_000,
            "queue.buffering.max.kbytes": 64 * 1024,
            "on_delivery": delivered,
        }
    )
    with translated(cluster.servers, topic):
        for line in lines:
            while delivered.refusal is None:
                try:
                    producer.produce(topic, value=line.removesuffix(b"\n"))
                except BufferError:
                    # The queue is full: wait until some of it is delivered.
                    producer.poll(1)
                else:
                    producer.poll(0)
                    break
            if delivered.refusal is not None:
                producer.purge()
                break
        # Every record is stored or refused within the delivery timeout.
        while producer.flush(1):
            pass
    if delivered.refusal is not None:
        raise failure(delivered.refusal, cluster.servers, topic)


# Lines out of a topic


def consume(
    topic: TopicName,
    start: Annotated[
        Start | None, typer.Option("--from", help="Where to start in every partition.", show_default="earliest")
    ] = None,
    partition: Annotated[
        int | None, typer.Option(min=0, max=100_000, metavar="N", help="Read only this partition.")
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(metavar="OFFSET", help="With --partition: earliest, latest or a number."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new records until stopped.")] = False,
    with_key: Annotated[bool, typer.Option("--with-key", help="Print key, tab, value.")] = False,
    server: Server = None,
) -> None:
    """Print the records of a topic, one line for each.

    The bytes are printed unchanged, and a missing key or value as null. Only committed records are read. The command
    stops at the end that the topic had at the start, unless --follow is given.
    """
    if offset is not None and partition is None:
        raise typer.BadParameter("--offset is the start in one partition: also give --partition N")
    if offset is not None and start is not None:
        raise typer.BadParameter("--from and --offset cannot be combined: give one of them")
    begin = _parse_offset(offset or (start or Start.EARLIEST).value)
    cluster = _cluster(server)
    state = cluster.topic(topic)
    first = _beginnings(state, partition, begin)
    # The end of a partition is reported after the broker has waited for more records.
    options = {"enable.partition.eof": True, "auto.offset.reset": "earliest"} | (
        {} if follow else {"fetch.wait.max.ms": 20}
    )
    with (
        _ended_by_sigterm(),
        closing(cluster.consumer(**options)) as consumer,
    ):
        try:
            for message in _records(consumer, cluster, state, first, follow):
                value = _text(message.value())
                line = _text(message.key()) + b"\t" + value if with_key else value
                print_bytes(line + b"\n")
        finally:
            sys.stdout.buffer.flush()


def _parse_offset(text: str) -> Start | int:
    if text in (Start.EARLIEST.value, Start.LATEST.value):
        return Start(text)
    if not (text.isascii() and text.isdecimal()):
        raise typer.BadParameter(f"--offset {text!r}: give earliest, latest, or a number that is not negative")
    return int(text)


def _beginnings(state: TopicState, partition: int | None, begin: Start | int) -> dict[int, int]:
    """Return the partitions to read, and the offset of the first record of each."""
    if partition is not None and partition not in state.latest:
        numbers = ", ".join(map(str, sorted(state.latest)))
        raise CommandError(f"topic {state.name} has no partition {partition}: it has {numbers}")
    wanted = sorted(state.latest) if partition is None else [partition]
    if isinstance(begin, Start):
        known = state.earliest if begin is Start.EARLIEST else state.latest
        return {number: known[number] for number in wanted}
    for number in wanted:
        if not state.earliest[number] <= begin <= state.latest[number]:
            raise CommandError(
                f"partition {number} of topic {state.name} has no offset {begin}: it starts at "
                f"{state.earliest[number]} and ends before {state.latest[number]}"
            )
    return dict.fromkeys(wanted, begin)


def _records(
    consumer: Consumer, cluster: KafkaCluster, state: TopicState, first: Mapping[int, int], follow: bool
) -> Generator[Message]:
    from confluent_kafka import KafkaError, TopicPartition

    from lake_assets.kafka.errors import KafkaUnavailable
    from lake_assets.kafka.translation import failure, translated

    open_ends = {number: state.latest[number] for number in first if follow or first[number] < state.latest[number]}
    last_received = time.monotonic()
    with translated(cluster.servers, state.name):
        consumer.assign([TopicPartition(state.name, number, first[number]) for number in open_ends])
        while open_ends:
            messages = consumer.consume(_AT_ONCE, _IDLE)
            cluster.check(state.name)
            if messages:
                last_received = time.monotonic()
            elif not follow and time.monotonic() - last_received > cluster.deadline:
                raise KafkaUnavailable(
                    f"no records received for {cluster.deadline:g} s: check that the servers are running",
                    cluster.servers,
                    state.name,
                )
            for message in messages:
                error = message.error()
                at_end = error is not None and error.code() == KafkaError._PARTITION_EOF
                if error is not None and not at_end:
                    raise failure(error, cluster.servers, state.name)
                number, offset = message.partition(), message.offset()
                assert number is not None
                assert offset is not None
                if error is None and (follow or offset < open_ends.get(number, 0)):
                    yield message
                # Records of open transactions are not waited for: stop at the end of the committed ones.
                if not follow and (at_end or offset >= open_ends.get(number, 0) - 1):
                    open_ends.pop(number, None)
            if follow:
                sys.stdout.buffer.flush()


def _text(content: bytes | None) -> bytes:
    return b"null" if content is None else content


@contextmanager
def _ended_by_sigterm() -> Generator[None]:
    """Handle SIGTERM like Ctrl-C: print what was read, and close connections."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
