"""All readers: what follows a position is read, once and in order, and what is lost is an error. Real servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lake_assets.messages.contract import Batch, MessagesError, MessagesLost, Reader
from lake_assets.messages.folder import FolderReader
from lake_assets.messages.kafka import KafkaReader
from lake_assets.messages.kinesis import KinesisReader
from lake_assets.messages.rabbitmq_queue import RabbitMQQueueReader
from lake_assets.messages.rabbitmq_stream import RabbitMQStreamReader
from lake_assets_tests.rabbitmq_server import RabbitMQServer

Send = Callable[..., None]


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQServer]:
    server = RabbitMQServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def kinesis() -> Iterator[str]:
    """Moto's server: no real Kinesis can be run here."""
    moto = pytest.importorskip(
        "moto.server", reason="wants moto's server in place of Kinesis: pip install moto[server]"
    )
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    server = moto.ThreadedMotoServer("127.0.0.1", port)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def folder_source(tmp_path: Path) -> tuple[Reader, Send, Callable[[], object]]:
    def send(*bodies: bytes) -> None:
        with (tmp_path / "a").open("ab") as file:
            file.writelines(body + b"\n" for body in bodies)

    send()
    return FolderReader(tmp_path), send, lambda: (tmp_path / "a").write_bytes(b"")


def kafka_source(request: pytest.FixtureRequest) -> tuple[Reader, Send, Callable[[], object]]:
    broker = request.getfixturevalue("kafka")
    topic, cluster = broker.fresh_topic(), broker.cluster()
    producer = cluster.producer()

    def send(*bodies: bytes) -> None:
        for body in bodies:
            producer.produce(topic, body)
        producer.flush(30)

    def again() -> None:
        cluster._admin.delete_topics([topic])[topic].result(30)
        cluster.create_topic(topic)

    return KafkaReader(cluster, topic), send, again


def stream_source(server: RabbitMQServer, **retention: int) -> tuple[Reader, Send, Callable[[], object]]:
    from rstream import AMQPMessage, Producer

    name = uuid4().hex

    def call(act: Callable[[Any], Any]) -> None:
        async def run() -> None:
            async with Producer("127.0.0.1", server.stream_port, username="guest", password="guest") as producer:
                await act(producer)

        asyncio.run(run())

    def send(*bodies: bytes) -> None:
        async def publish(producer: Any) -> None:
            for body in bodies:
                await producer.send_wait(name, AMQPMessage(body=body))

        call(publish)

    async def recreate(producer: Any) -> None:
        await producer.delete_stream(name)
        await producer.create_stream(name)

    arguments = {name.replace("_", "-"): str(value) for name, value in retention.items()}
    call(lambda producer: producer.create_stream(name, arguments=arguments))
    return RabbitMQStreamReader(f"{server.stream_address}/{name}"), send, lambda: call(recreate)


def kinesis_source(endpoint: str) -> tuple[Reader, Send, Callable[[], object]]:
    import boto3

    client, name = boto3.client("kinesis", endpoint_url=endpoint), uuid4().hex
    client.create_stream(StreamName=name, ShardCount=1)

    def send(*bodies: bytes) -> None:
        for body in bodies:
            client.put_record(StreamName=name, Data=body, PartitionKey="one")

    def again() -> None:
        client.delete_stream(StreamName=name)
        client.create_stream(StreamName=name, ShardCount=1)

    return KinesisReader(name, endpoint), send, again


@pytest.fixture(params=["folder", "kafka", "rabbitmq stream", "kinesis"])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Reader, Send, Callable[[], object]]:
    if request.param == "folder":
        return folder_source(tmp_path)
    if request.param == "kafka":
        return kafka_source(request)
    if request.param == "rabbitmq stream":
        return stream_source(request.getfixturevalue("rabbitmq"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return kinesis_source(request.getfixturevalue("kinesis"))


def test_what_follows_a_position_is_read_once_and_what_is_lost_is_an_error(
    source: tuple[Reader, Send, Callable[[], object]],
) -> None:
    reader, send, start_again = source
    with reader:
        assert reader.exactly_once
        empty = reader.read({}, 10)
        assert empty.messages == []
        send(*(b"%d" % number for number in range(7)))
        assert reader.backlog(empty.position)
        first = reader.read(empty.position, 3)
        again = reader.read(empty.position, 3)
        rest = reader.read(first.position, 100)
        assert first.messages == again.messages
        assert [message.body for message in (*first.messages, *rest.messages)] == [
            b"%d" % number for number in range(7)
        ]
        assert len({(message.partition, message.offset) for message in (*first.messages, *rest.messages)}) == 7
        assert not reader.backlog(rest.position)
        send(b"new")
        assert [message.body for message in reader.read(rest.position, 100).messages] == [b"new"]
        start_again()
        with pytest.raises(MessagesLost, match="fail_on_data_loss: false"):
            reader.read(rest.position, 100)
        send(b"after")
        found = reader.read(rest.position, 100, fail_on_loss=False)
        assert [message.body for message in found.messages] == [b"after"]
        assert reader.read(found.position, 100).messages == []


def test_a_source_that_was_made_again_and_is_longer_than_what_was_read_is_another_one(
    source: tuple[Reader, Send, Callable[[], object]],
) -> None:
    reader, send, start_again = source
    with reader:
        send(b"a", b"b")
        read = reader.read({}, 10)
        assert reader.read(read.position, 10) == Batch([], read.position)
        start_again()
        send(b"c", b"d", b"e")
        with pytest.raises(MessagesLost, match="fail_on_data_loss: false"):
            reader.read(read.position, 10)
        assert reader.backlog(read.position)
        found = reader.read(read.position, 10, fail_on_loss=False)
        assert [message.body for message in found.messages] == [b"c", b"d", b"e"]
        assert reader.read(found.position, 10).messages == []


def test_a_file_that_was_removed_is_lost_once(tmp_path: Path) -> None:
    reader, send, _ = folder_source(tmp_path)
    send(b"a")
    read = reader.read({}, 10)
    (tmp_path / "a").unlink()
    with pytest.raises(MessagesLost, match="a has 0 bytes, and 2 were read"):
        reader.read(read.position, 10)
    after = reader.read(read.position, 10, fail_on_loss=False)
    assert reader.read(after.position, 10).messages == []


def test_positions_of_earlier_versions_are_read_on(rabbitmq: RabbitMQServer, tmp_path: Path) -> None:
    for reader, send, _ in (folder_source(tmp_path), stream_source(rabbitmq)):
        send(b"a", b"b")
        earlier = {"offsets": reader.read({}, 1).position["offsets"]}
        assert [message.body for message in reader.read(earlier, 10).messages] == [b"b"]


def test_a_gap_in_the_offsets_of_a_stream_is_no_loss(rabbitmq: RabbitMQServer) -> None:
    from rstream import Producer

    reader, send, _ = stream_source(rabbitmq)
    send(b"a", b"b")
    read = reader.read({}, 10)
    (name,) = read.position["offsets"]

    async def store_offset() -> None:
        # What the server keeps of another consumer takes an offset of the stream.
        async with Producer("127.0.0.1", rabbitmq.stream_port, username="guest", password="guest") as other:
            client = await other.default_client
            await client.store_offset(name, "other", 1)
            # It is not answered. The server keeps it before it answers what is asked next.
            assert await client.query_offset(name, "other") == 1

    asyncio.run(store_offset())
    assert reader.read(read.position, 10) == Batch([], read.position)
    send(b"c")
    (found,) = reader.read(read.position, 10).messages
    assert (found.body, found.offset) == (b"c", "3")


def test_what_the_retention_of_a_stream_removed_is_lost_unless_nothing_was_read_before(
    rabbitmq: RabbitMQServer,
) -> None:
    reader, send, _ = stream_source(rabbitmq, max_length_bytes=20_000, stream_max_segment_size_bytes=5_000)
    send(b"0", b"1")
    read = reader.read({}, 1)
    send(*(b"%d" % number + b"x" * 1000 for number in range(2, 60)))
    # The server removes what is too much now and then.
    oldest = reader.read({}, 1).messages
    with pytest.raises(MessagesLost, match=rf"from 1 to {oldest[0].offset} are gone.*fail_on_data_loss: false"):
        reader.read(read.position, 100)
    found = reader.read(read.position, 100, fail_on_loss=False)
    assert found.messages[:1] == oldest
    assert found.messages[-1].body.startswith(b"59")
    assert reader.read(found.position, 100).messages == []


def test_a_slow_answer_is_not_the_end_of_a_stream(rabbitmq: RabbitMQServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from rstream import connection, schema

    reader, send, _ = stream_source(rabbitmq)
    send(b"a", b"b")
    read = reader.read({}, 1)
    receive = connection.Connection.read_frame

    async def receive_late(self: Any) -> Any:
        frame = await receive(self)
        if isinstance(frame, schema.Deliver):
            await asyncio.sleep(2.5)
        return frame

    monkeypatch.setattr(connection.Connection, "read_frame", receive_late)
    assert [message.body for message in reader.read(read.position, 1).messages] == [b"b"]
    assert reader.read(reader.read({}, 2).position, 1).messages == []


def test_messages_of_a_queue_stay_until_they_are_settled(rabbitmq: RabbitMQServer) -> None:
    import pika

    name = uuid4().hex
    reader = RabbitMQQueueReader(f"{rabbitmq.queue_address}/{name}")
    connection = pika.BlockingConnection(pika.URLParameters(f"{rabbitmq.queue_address}/%2F"))
    channel = connection.channel()
    channel.queue_declare(name)
    assert not reader.exactly_once
    for body in (b"a", b"b", b"c"):
        channel.basic_publish("", name, body)
    first = reader.read({}, 2)
    assert [message.body for message in first.messages] == [b"a", b"b"]
    # Nothing was acknowledged: a run that is not published reads them again.
    assert reader.read(first.position, 2) == first
    published = {message.offset for message in first.messages}
    assert reader.settle(lambda message: message.offset in published, 100) == 2
    assert [message.body for message in reader.read({}, 10).messages] == [b"c"]
    assert reader.backlog({}) == 1
    connection.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    for reader in (
        RabbitMQQueueReader(f"amqp://me:secret@127.0.0.1:{port}/q", 2),
        RabbitMQStreamReader(f"rabbitmq-stream://me:secret@127.0.0.1:{port}/s", 2),
    ):
        with pytest.raises(MessagesError, match=f"127.0.0.1:{port}") as failed:
            reader.read({}, 1)
        assert "secret" not in str(failed.value)


def test_a_line_of_a_folder_waits_for_its_end(tmp_path: Path) -> None:
    reader = FolderReader(tmp_path)
    (tmp_path / "a").write_bytes(b"one\ntw")
    read = reader.read({}, 10)
    assert [message.body for message in read.messages] == [b"one"]
    assert not reader.backlog(read.position)
    (tmp_path / "a").write_bytes(b"one\ntwo\n")
    assert reader.backlog(read.position)
