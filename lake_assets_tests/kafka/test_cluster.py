"""What a cluster says of its topics, on a real broker, and how it says that nobody answers."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone

import psutil
import pytest

from lake_assets.kafka import (
    KafkaDenied,
    KafkaFailure,
    KafkaUnavailable,
    Security,
    TopicExists,
    TopicMissing,
)
from lake_assets.kafka.cluster import KafkaCluster
from lake_assets_tests.kafka_broker import PASSWORD, USER, KafkaBroker, own_broker, remove

services = pytest.mark.services

NOBODY = "127.0.0.1:9"
"""The discard port: nobody listens."""


@pytest.fixture
def cluster(kafka: KafkaBroker) -> KafkaCluster:
    return kafka.cluster()


def send(cluster: KafkaCluster, topic: str, *values: bytes | None, partition: int = 0, **options: object) -> None:
    producer = cluster.producer()
    for value in values:
        producer.produce(topic, value=value, partition=partition, **options)  # type: ignore[arg-type]
    assert producer.flush(30) == 0


def delete(cluster: KafkaCluster, topic: str) -> None:
    for deleted in cluster._admin.delete_topics([topic]).values():
        deleted.result()
    end = time.monotonic() + 30
    while topic in {known.name for known in cluster.topics()}:
        assert time.monotonic() < end, "the topic is still there"


@services
def test_a_topic_has_an_id_and_the_offsets_of_every_partition(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic(3)
    assert (cluster.topic(topic).earliest, cluster.topic(topic).latest) == ({0: 0, 1: 0, 2: 0}, {0: 0, 1: 0, 2: 0})
    send(cluster, topic, b"a", b"b", partition=0)
    send(cluster, topic, b"c", partition=2)
    state = cluster.topic(topic)
    assert (state.name, state.latest) == (topic, {0: 2, 1: 0, 2: 1})
    assert state.id == cluster.topic(topic).id
    assert len(state.id) == 22


@services
def test_records_that_were_deleted_move_the_earliest_offset(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    from confluent_kafka import TopicPartition

    topic = kafka.fresh_topic()
    send(cluster, topic, b"a", b"b", b"c")
    for deleted in cluster._admin.delete_records([TopicPartition(topic, 0, 2)]).values():
        deleted.result()
    assert (cluster.topic(topic).earliest, cluster.topic(topic).latest) == ({0: 2}, {0: 3})


@services
def test_partitions_that_were_added_are_seen_at_once(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic()
    before = cluster.topic(topic)
    kafka.grow(topic, 3)
    after = cluster.topic(topic)
    assert (after.id, list(after.latest)) == (before.id, [0, 1, 2])


@services
def test_a_topic_that_was_deleted_and_created_again_has_another_id(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic()
    before = cluster.topic(topic)
    delete(cluster, topic)
    with pytest.raises(TopicMissing, match=topic):
        cluster.topic(topic)
    cluster.create_topic(topic)
    assert cluster.topic(topic).id != before.id


@services
def test_topics_are_listed_without_kafkas_own(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    names = sorted([kafka.fresh_topic(2), kafka.fresh_topic()])
    listed = cluster.topics()
    assert [topic.name for topic in listed if topic.name in names] == names
    assert not any(topic.name.startswith("__") for topic in listed)
    assert {topic.name: topic.id for topic in listed}[names[0]] == cluster.topic(names[0]).id


@services
def test_a_topic_is_made_once(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic(2)
    with pytest.raises(TopicExists, match=topic):
        cluster.create_topic(topic)
    cluster.create_topic(topic, partitions=5, exist_ok=True)
    assert len(cluster.topic(topic).latest) == 2


@services
def test_a_setting_that_no_topic_has_is_refused(cluster: KafkaCluster) -> None:
    with pytest.raises(KafkaFailure, match=r"no\.such\.setting"):
        cluster.create_topic("with-a-setting", config={"no.such.setting": "1"})


@services
def test_nothing_is_made_by_asking(cluster: KafkaCluster) -> None:
    for ask in (lambda: cluster.topic("nothing"), lambda: cluster.timestamp_at("nothing", 0, 0)):
        with pytest.raises(TopicMissing, match="topic create"):
            ask()
    assert "nothing" not in {topic.name for topic in cluster.topics()}


@services
def test_the_time_of_a_record_is_the_producers(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic(2)
    moment = datetime(2017, 7, 28, 8, 0, 0, 250_000, tzinfo=timezone.utc)
    for second in range(3):
        at = moment + timedelta(seconds=second)
        send(cluster, topic, b"x" * 5000, partition=1, timestamp=int(at.timestamp() * 1000))
    assert [cluster.timestamp_at(topic, 1, offset) for offset in (0, 2)] == [moment, moment + timedelta(seconds=2)]
    assert cluster.timestamp_at(topic, 1, 3) is None
    assert cluster.timestamp_at(topic, 0, 0) is None


@services
def test_a_time_that_no_calendar_has_is_none(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic(message_timestamp_after_max_ms=str(2**62))
    send(cluster, topic, b"in microseconds", timestamp=1_500_000_000_000_000)
    assert cluster.timestamp_at(topic, 0, 0) is None


@services
def test_an_offset_that_is_gone_stands_for_the_oldest_there_is(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    from confluent_kafka import TopicPartition

    topic = kafka.fresh_topic()
    for milliseconds in (1000, 2000):
        send(cluster, topic, b"x", timestamp=milliseconds)
    for deleted in cluster._admin.delete_records([TopicPartition(topic, 0, 1)]).values():
        deleted.result()
    assert cluster.timestamp_at(topic, 0, 0) == datetime.fromtimestamp(2, timezone.utc)


@services
def test_latest_counts_what_is_not_committed_and_its_time_is_told(kafka: KafkaBroker, cluster: KafkaCluster) -> None:
    topic = kafka.fresh_topic()
    producer = cluster.producer(**{"transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value=b"open", timestamp=5000)
    assert producer.flush(30) == 0
    assert cluster.topic(topic).latest == {0: 1}
    assert cluster.timestamp_at(topic, 0, 0) == datetime.fromtimestamp(5, timezone.utc)
    producer.abort_transaction(30)


@services
def test_a_user_who_is_known_is_let_in_and_another_is_told_at_once(kafka: KafkaBroker) -> None:
    topic = kafka.fresh_topic()
    known = Security("SASL_PLAINTEXT", "PLAIN", USER, PASSWORD)
    assert KafkaCluster(kafka.sasl_servers, known).topic(topic).latest == {0: 0}
    stranger = KafkaCluster(kafka.sasl_servers, Security("SASL_PLAINTEXT", "PLAIN", USER, "guessed"), deadline=30)
    started = time.monotonic()
    with pytest.raises(KafkaDenied, match="KAFKA_SASL_"):
        stranger.topic(topic)
    assert time.monotonic() - started < 10


CALLS = {
    "topic": lambda cluster: cluster.topic("t"),
    "topics": lambda cluster: cluster.topics(),
    "create_topic": lambda cluster: cluster.create_topic("t"),
    "timestamp_at": lambda cluster: cluster.timestamp_at("t", 0, 0),
}


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "nobody answers"])
def test_a_call_gives_up_within_its_deadline(call: str, silent: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with silent_server() as server:
        servers = server if silent else NOBODY
        started = time.monotonic()
        with pytest.raises(KafkaUnavailable, match=servers):
            CALLS[call](KafkaCluster(servers, Security(), deadline=1))
    assert time.monotonic() - started < 3.5
    assert capfd.readouterr() == ("", ""), "the client wrote by itself"


def test_a_cluster_that_is_let_go_leaves_no_thread_behind() -> None:
    gc.collect()  # Those of the tests before.
    before = psutil.Process().num_threads()
    cluster = KafkaCluster(NOBODY, Security(), deadline=0.2)
    with suppress(KafkaUnavailable):
        cluster.topic("t")
    assert psutil.Process().num_threads() > before
    del cluster
    gc.collect()
    assert psutil.Process().num_threads() == before


@services
@pytest.mark.soak
def test_a_broker_that_comes_back_is_asked_by_the_same_cluster_again() -> None:
    broker = own_broker()
    try:
        broker.start()
        topic = broker.fresh_topic()
        cluster = broker.cluster(deadline=2)
        send(cluster, topic, b"a")
        before = cluster.topic(topic)
        broker.kill()
        with pytest.raises(KafkaUnavailable):
            cluster.topic(topic)
        broker.start()
        cluster.deadline = 30
        assert cluster.topic(topic) == before
    finally:
        remove(broker)
