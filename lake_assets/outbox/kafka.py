"""An outbox in a Kafka topic: one transaction for a commit's updates and the marker that it was delivered.

The marker stands in a compacted topic of its own, as Kafka Connect keeps the offsets of an exactly-once source beside
its records (KIP-618), and for the same reason a sender first becomes the only one (``init_transactions`` under a stable
``transactional.id`` aborts what an earlier one left open, waits for what it was committing, and fences it), and only
then reads the marker, with ``read_committed``. The calls are in the order of ``examples/eos-transactions.py`` of
confluent-kafka-python. Unlike there, nothing is tried again after an error: librdkafka warns that its state may be
wrong then, and the next sender finds out whether the transaction was committed.
"""

# The client's error codes begin with an underscore where they are its own and not the servers'.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from lake_assets.kafka.errors import KafkaFailure, KafkaUnavailable, TopicMissing
from lake_assets.kafka.translation import failure
from lake_assets.outbox.contract import (
    OutboxDamaged,
    OutboxError,
    OutboxTaken,
    OutboxUnavailable,
    Update,
)
from lake_assets.outbox.records import DEFAULT_FIELDS, Fields, key_bytes

if TYPE_CHECKING:
    from confluent_kafka import Producer

    from lake_assets.kafka.cluster import KafkaCluster

MARKERS = "-delivered"
"""What the name of a topic of markers ends with."""

TRANSACTION_TIMEOUT = 15 * 60
"""Seconds that one transaction may take: the most that a broker allows by default. The next sender waits for none of
it; but what a killed one left open keeps readers of what comes after it waiting so long where no next one comes."""

LARGEST = 8 << 20
"""Bytes of the largest record of a topic that is made here: a key of 1 MiB, the longest line that a topic holds unless
configured, and in its value each byte may be escaped."""

_BATCH = 4096
_ABORT = 5.0
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


@dataclass(frozen=True, slots=True)
class _Marker:
    """The last commit delivered, the lake it is of, and the id of the topic it was delivered to."""

    commit: str
    repository: str
    topic_id: str


class KafkaOutbox:
    """A topic of JSON records such as ``{"key":"dog","value":2}`` under their key; null for a key that is gone.

    Readers set ``isolation.level`` to ``read_committed``.

    Parameters
    ----------
    cluster
        Where the topic is.
    topic
        Its name. It (one partition) and the topic of its marker are made where they are missing. Deleted, it is
        delivered anew.
    repository
        The lake whose commits are delivered; kept in the marker, for people.
    fields
        Names of key and value in a record.

    Examples
    --------
    >>> with KafkaOutbox(cluster, "testConsumer", "lake").sender() as sender:  # doctest: +SKIP
    ...     sender.deliver("c0ffee", [Update("dog", 2)])
    """

    def __init__(self, cluster: KafkaCluster, topic: str, repository: str, fields: Fields = DEFAULT_FIELDS) -> None:
        self._cluster = cluster
        self._topic = topic
        self._repository = repository
        self._fields = fields

    @property
    def address(self) -> str:
        """The topic's address."""
        return _address(self._cluster, self._topic)

    def delivered(self) -> str | None:
        """Return the commit in the marker; None where there is no marker, or its topic was deleted."""
        with _translated(self._cluster, self._topic):
            try:
                topic_id = self._cluster.topic(self._topic).id
                self._cluster.topic(self._topic + MARKERS)
            except TopicMissing:
                return None
            return _read_marker(self._cluster, self._topic, topic_id)

    @contextmanager
    def sender(self) -> Generator[KafkaSender]:
        """Fence every earlier sender, then read the marker."""
        with _translated(self._cluster, self._topic):
            topic_id = self._made(self._topic, {"max.message.bytes": str(LARGEST)})
            self._made(self._topic + MARKERS, {"cleanup.policy": "compact"})
            producer = self._cluster.producer(
                **{
                    "transactional.id": f"lake_assets.{self._topic}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT * 1000,
                    # How large a record may be is for the topic to say.
                    "message.max.bytes": 1_000_000_000,
                    # Java's, so that a key has the same partition here and in what Spark writes.
                    "partitioner": "murmur2_random",
                }
            )
            producer.init_transactions(self._cluster.deadline)
            delivered = _read_marker(self._cluster, self._topic, topic_id)
        marker = _Marker("", self._repository, topic_id)
        yield KafkaSender(self._cluster, self._topic, producer, delivered, marker, self._fields)

    def _made(self, topic: str, config: dict[str, str]) -> str:
        """Return a topic's id; make it where it is missing, with as many replicas as the brokers are set to."""
        with suppress(TopicMissing):
            return self._cluster.topic(topic).id
        self._cluster.create_topic(topic, replication=-1, config=config, exist_ok=True)
        return self._cluster.topic(topic).id


class KafkaSender:
    """The producer that fenced the earlier ones."""

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        producer: Producer,
        delivered: str | None,
        marker: _Marker,
        fields: Fields,
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._producer = producer
        self._delivered = delivered
        self._marker = marker
        self._fields = fields
        self._failed = False

    @property
    def delivered(self) -> str | None:
        """The last commit delivered."""
        return self._delivered

    def deliver(self, commit: str, updates: Iterable[Update]) -> int:
        """Send a commit's updates and its marker in one transaction; see :meth:`Sender.deliver`."""
        if self._failed:
            raise OutboxError(f"this sender of {self._topic!r} has failed: open another")
        marker = msgspec.json.encode(replace(self._marker, commit=commit))
        try:
            with self._translated():
                self._producer.begin_transaction()
            sent = self._send(updates)
            with self._translated():
                self._produce(self._topic + MARKERS, self._topic.encode(), marker)
                self._flush()
                self._producer.commit_transaction(self._cluster.deadline)
        except BaseException:
            self._failed = True
            # Readers need not wait for the next sender to do it.
            with suppress(KafkaException):
                self._producer.abort_transaction(min(_ABORT, self._cluster.deadline))
            raise
        self._delivered = commit
        return sent

    def _send(self, updates: Iterable[Update]) -> int:
        encode, remaining, sent = self._fields.encode, iter(updates), 0
        while batch := list(islice(remaining, _BATCH)):
            with self._translated():
                for update in batch:
                    value = None if update.value is None else encode(update)
                    self._produce(self._topic, key_bytes(update.key), value)
                self._producer.poll(0)
            sent += len(batch)
        return sent

    def _produce(self, topic: str, key: bytes, value: bytes | None) -> None:
        """Hand a record to the client; wait while its queue is full, as long as it gets shorter."""
        end = time.monotonic() + self._cluster.deadline
        while True:
            try:
                return self._producer.produce(topic, value, key)
            except BufferError:
                if time.monotonic() > end:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT_QUEUE)) from None
                self._producer.poll(0.1)

    def _flush(self) -> None:
        """Wait until the servers have all records: not longer than the deadline for any of them."""
        end, left = time.monotonic() + self._cluster.deadline, len(self._producer)
        while now := self._producer.flush(0.5):
            if now < left:
                end, left = time.monotonic() + self._cluster.deadline, now
            elif time.monotonic() > end:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    @contextmanager
    def _translated(self) -> Generator[None]:
        with _translated(self._cluster, self._topic):
            try:
                yield
            except KafkaException as error:
                if error.args[0].code() == KafkaError._FATAL:
                    # Says only that the producer has failed for good; what comes next says why.
                    self._producer.abort_transaction(min(_ABORT, self._cluster.deadline))
                raise


def _address(cluster: KafkaCluster, topic: str) -> str:
    return f"kafka://{cluster.servers}/{topic}"


def _read_marker(cluster: KafkaCluster, topic: str, topic_id: str) -> str | None:
    """Return the commit delivered to that very topic, by the topic of markers as far as it is committed now."""
    options = {"enable.partition.eof": True, "fetch.wait.max.ms": 10}
    consumer = cluster.consumer(**options)
    to_commit = time.monotonic() + cluster.deadline
    found: bytes | None = None
    try:
        # The end is asked for first: a sender at work would move it before it is reached, again and again.
        _, end = consumer.get_watermark_offsets(TopicPartition(topic + MARKERS, 0), cluster.deadline)
        consumer.assign([TopicPartition(topic + MARKERS, 0, OFFSET_BEGINNING)])
        at = 0
        while at < end:
            message = consumer.poll(0.5)
            if message is None:
                if time.monotonic() > to_commit:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                continue
            error = message.error()
            if error is None:
                found, at = message.value(), (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                # What ends a transaction has an offset, too, but is no message.
                break
            elif not error.retriable():
                raise KafkaException(error)
    finally:
        consumer.close()
    return _commit_of(found, cluster, topic, topic_id)


def _commit_of(value: bytes | None, cluster: KafkaCluster, topic: str, topic_id: str) -> str | None:
    if value is None:
        return None
    try:
        marker = msgspec.json.decode(value, type=_Marker)
    except msgspec.MsgspecError as error:
        raise OutboxDamaged(
            f"the last record of topic {topic + MARKERS!r} is no marker ({error}): delete that topic to have every "
            f"published commit delivered anew to {_address(cluster, topic)}"
        ) from error
    return marker.commit if marker.topic_id == topic_id else None


@contextmanager
def _translated(cluster: KafkaCluster, topic: str) -> Generator[None]:
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() in _FENCED:
            raise OutboxTaken(
                f"another run took over {_address(cluster, topic)}, or one transaction took longer than "
                f"{TRANSACTION_TIMEOUT} s: this one is not committed. Run again if no other run goes on"
            ) from error
        raise _told(failure(error.args[0], cluster.servers, topic)) from error
    except KafkaFailure as error:
        raise _told(error) from error


def _told(error: KafkaFailure) -> OutboxError:
    if isinstance(error, KafkaUnavailable):
        return OutboxUnavailable(f"{error}. Nothing is lost: the next run goes on")
    return OutboxError(str(error))
