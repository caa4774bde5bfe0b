"""What only the outbox in a topic has to stand: fenced senders, topics that go away, servers that do not answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from lake_assets.kafka import TopicAddress
from lake_assets.outbox.contract import OutboxDamaged, OutboxTaken, OutboxUnavailable, Update
from lake_assets_tests.kafka_broker import KafkaBroker, own_broker, remove
from lake_assets_tests.outbox.conftest import fresh_topic
from lake_assets_tests.outbox.outboxes import OutboxSpec, numbered

DOG, CAT = Update("dog", 2), Update("cat", 1)


@pytest.mark.services
def test_a_new_sender_fences_the_old_one_even_in_the_middle_of_its_transaction(topic: OutboxSpec) -> None:
    def taken_over() -> Iterator[Update]:
        yield from numbered(20_000)
        with topic.open().sender() as new:
            assert new.delivered == "one"
            new.deliver("two", [CAT])
        yield from numbered(20_000)

    with topic.open().sender() as old:
        old.deliver("one", [DOG])
        with pytest.raises(OutboxTaken, match="another run took over"):
            old.deliver("two", taken_over())
    assert topic.read() == [DOG, CAT]
    with topic.open().sender() as next_one:
        assert next_one.delivered == "two"


@pytest.mark.services
def test_reading_the_marker_fences_nobody(topic: OutboxSpec) -> None:
    def looked_at() -> Iterator[Update]:
        yield from numbered(20_000)
        assert topic.open().delivered() == "one"

    with topic.open().sender() as sender:
        sender.deliver("one", [DOG])
        assert topic.open().delivered() == "one"
        sender.deliver("two", looked_at())
        sender.deliver("three", [CAT])
    assert topic.open().delivered() == "three"


class Failing:
    """A producer whose records fail by an error that does not say why, as when it has just learnt of another one."""

    def __init__(self, producer: Any, code: int) -> None:
        self._producer, self._code = producer, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def produce(self, *record: Any) -> None:
        self._producer.produce(*record)
        with suppress(KafkaException):
            self._producer.flush(30)
        raise KafkaException(KafkaError(self._code))


@pytest.mark.services
@pytest.mark.parametrize("code", [KafkaError._STATE, KafkaError._FATAL], ids=["state", "fatal"])
def test_a_fenced_sender_says_who_took_over_whatever_its_first_error_is(topic: OutboxSpec, code: int) -> None:
    with topic.open().sender() as old:
        old.deliver("one", [DOG])
        with topic.open().sender():
            pass
        old._producer = Failing(old._producer, code)  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(OutboxTaken, match="another run took over"):
            old.deliver("two", [CAT])


@pytest.mark.services
def test_a_topic_that_was_deleted_and_made_anew_is_delivered_anew(kafka: KafkaBroker, topic: OutboxSpec) -> None:
    from confluent_kafka.admin import AdminClient

    with topic.open().sender() as sender:
        sender.deliver("one", [DOG])
    name = TopicAddress.parse(topic.address).topic
    client = AdminClient({"bootstrap.servers": kafka.servers})
    client.delete_topics([name])[name].result(30)
    assert topic.open().delivered() is None
    with topic.open().sender() as sender:
        assert sender.delivered is None
        sender.deliver("two", [CAT])
    assert topic.read() == [CAT]


@pytest.mark.services
def test_a_record_that_is_no_marker_is_named_with_the_remedy(kafka: KafkaBroker, topic: OutboxSpec) -> None:
    with topic.open().sender() as sender:
        sender.deliver("one", [DOG])
    # Only the next sender waits until the broker has ended the transaction: what comes after it is read then.
    with topic.open().sender():
        pass
    producer = kafka.cluster().producer()
    producer.produce(TopicAddress.parse(topic.address).topic + "-delivered", b"{", b"key")
    assert producer.flush(30) == 0
    with pytest.raises(OutboxDamaged, match=r"is not a marker .*: delete that topic"):
        topic.open().delivered()


@pytest.mark.soak
@pytest.mark.services
def test_a_server_that_goes_away_in_a_transaction_is_told_within_the_deadline_and_nothing_is_lost() -> None:
    broker = own_broker()
    try:
        broker.start()
        topic = fresh_topic(broker)
        with topic.open(deadline=2).sender() as sender:
            sender.deliver("one", [DOG])

            def cut_off() -> Iterator[Update]:
                yield from numbered(20_000)
                broker.kill()
                yield from numbered(20_000, 20_000)

            began = time.monotonic()
            with pytest.raises(OutboxUnavailable, match="Nothing is lost: the next run continues"):
                sender.deliver("two", cut_off())
            assert time.monotonic() - began < 30
        broker.start()
        with topic.open().sender() as sender:
            assert sender.delivered == "one"
            sender.deliver("two", [CAT])
        assert topic.read() == [DOG, CAT]
    finally:
        remove(broker)


def test_where_nobody_answers_that_is_said_within_the_deadline() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        outbox = OutboxSpec(f"kafka://127.0.0.1:{deaf.getsockname()[1]}/counts").open(deadline=1)
        for use in (outbox.delivered, outbox.sender().__enter__):
            began = time.monotonic()
            with pytest.raises(OutboxUnavailable, match="check that they are running"):
                use()
            assert time.monotonic() - began < 5
