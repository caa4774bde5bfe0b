"""An outbox in a Kafka topic: one transaction contains a commit's updates and its marker.

The marker is in a separate compacted topic, similar to the offsets of exactly-once sources in Kafka Connect (KIP-618).
A sender first calls ``init_transactions`` with a stable ``transactional.id``. This fences an earlier sender: it aborts
its open transaction, or waits for its running commit. Only then does the sender read the marker, with
``read_committed``. The calls are in the order of ``examples/eos-transactions.py`` of confluent-kafka-python. Nothing
is retried after an error, since librdkafka warns that its state may then be wrong. The next sender finds out whether
the transaction was committed.
"""

# The client's own error codes, as opposed to the servers', begin with an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

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
    from confluent_kafka import Message, Producer

    from lake_assets.kafka.cluster import KafkaCluster

MARKERS = "-delivered"
"""Suffix of the name of a marker topic."""

TRANSACTION_TIMEOUT = 15 * 60
"""Maximal seconds of a transaction: the most that a broker allows by default.

The next sender does not wait for it. But if a killed sender left a transaction open and there is no next sender,
readers have to wait this long for later records.
"""

LARGEST = 8 << 20
"""Maximal size in bytes of a record in a topic that is created here.

A key may have 1 MiB, the default limit of a topic's records, and each of its bytes may be escaped in the value.
"""

_BATCH = 4096
_ABORT = 5.0
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


@dataclass(frozen=True, slots=True)
class _Marker:
    """The last delivered commit, its lake, and the id of the topic that it was delivered to."""

    commit: str
    repository: str
    topic_id: str


class KafkaOutbox:
    """A topic of JSON records such as ``{"key":"dog","value":2}``. The record of a removed key has a null value.

    Readers set ``isolation.level`` to ``read_committed``.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    topic
        Name of the topic. It is created with one partition if it is missing, and so is its marker topic. If it is
        deleted, everything is delivered again.
    repository
        The lake whose commits are delivered. It is stored in the marker for information.
    fields
        Field names of key and value in a record.

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
        """The URL of the topic."""
        return _address(self._cluster, self._topic)

    def delivered(self) -> str | None:
        """Return the commit in the marker. None if there is no marker, or its topic was deleted."""
        with _translated(self._cluster, self._topic):
            try:
                topic_id = self._cluster.topic(self._topic).id
                self._cluster.topic(self._topic + MARKERS)
            except TopicMissing:
                return None
            return _read_marker(self._cluster, self._topic, topic_id)

    @contextmanager
    def sender(self) -> Generator[KafkaSender]:
        """Fence earlier senders, then read the marker; see :meth:`Outbox.sender`."""
        with _translated(self._cluster, self._topic):
            topic_id = self._made(self._topic, {"max.message.bytes": str(LARGEST)})
            self._made(self._topic + MARKERS, {"cleanup.policy": "compact"})
            producer = self._cluster.producer(
                **{
                    "transactional.id": f"lake_assets.{self._topic}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT * 1000,
                    # The topic's setting limits the size of records.
                    "message.max.bytes": 1_000_000_000,
                    # Java's partitioner, so that Spark writes a key to the same partition.
                    "partitioner": "murmur2_random",
                }
            )
            producer.init_transactions(self._cluster.deadline)
            delivered = _read_marker(self._cluster, self._topic, topic_id)
        marker = _Marker("", self._repository, topic_id)
        yield KafkaSender(
            self._cluster,
            self._topic,
            producer=producer,
            delivered=delivered,
            marker=marker,
            fields=self._fields,
        )

    def _made(self, topic: str, config: dict[str, str]) -> str:
        """Return a topic's id. Create a missing topic with the brokers' default number of replicas."""
        with suppress(TopicMissing):
            return self._cluster.topic(topic).id
        self._cluster.create_topic(topic, replication=-1, config=config, exist_ok=True)
        return self._cluster.topic(topic).id


class KafkaSender:
    """The producer that fenced earlier ones."""

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: str,
        *,
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
        """The last delivered commit."""
        return self._delivered

    def live_keys(self) -> dict[bytes, Any]:
        """Return the keys whose last value is not None; see :meth:`Sender.live_keys`."""
        found: dict[bytes, Any] = {}
        with self._translated():
            for partition in self._cluster.topic(self._topic).latest:
                for message in _committed(self._cluster, self._topic, partition):
                    key, value = message.key(), message.value()
                    if key is None:
                        continue  # It is not ours.
                    if value is None:
                        found.pop(key, None)
                    else:
                        found[key] = self._fields.decode(value).key
        return found

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
            # So that readers need not wait for the next sender to abort it.
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
        """Pass a record to the client. If its queue is full, wait until the deadline."""
        end = time.monotonic() + self._cluster.deadline
        while True:
            try:
                return self._producer.produce(topic, value, key)
            except BufferError:
                if time.monotonic() > end:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT_QUEUE)) from None
                self._producer.poll(0.1)

    def _flush(self) -> None:
        """Wait until the servers have all records. Fail if none is acknowledged within the deadline."""
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
                if error.args[0].code() in (KafkaError._FATAL, KafkaError._STATE):
                    # They only say that the producer has failed. The next call's error has the reason.
                    self._producer.abort_transaction(min(_ABORT, self._cluster.deadline))
                raise


def _address(cluster: KafkaCluster, topic: str) -> str:
    return f"kafka://{cluster.servers}/{topic}"


def _read_marker(cluster: KafkaCluster, topic: str, topic_id: str) -> str | None:
    """Return the commit that was last delivered to the topic with this id, according to the marker topic."""
    found: bytes | None = None
    for message in _committed(cluster, topic + MARKERS, 0):
        found = message.value()
    return _commit_of(found, cluster, topic, topic_id)


def _committed(cluster: KafkaCluster, topic: str, partition: int) -> Iterator[Message]:
    """Yield the committed records of a partition, up to its current end. An active sender moves it again and again."""
    consumer = cluster.consumer(**{"enable.partition.eof": True, "fetch.wait.max.ms": 10})
    deadline = time.monotonic() + cluster.deadline
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), cluster.deadline)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        at = 0
        while at < end:
            message = consumer.poll(0.5)
            if message is None:
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                continue
            error = message.error()
            if error is None:
                at = (message.offset() or 0) + 1
                # The deadline is for the server's answers, not for all that is read.
                deadline = time.monotonic() + cluster.deadline
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                # The end of a transaction has an offset, but is not delivered as a message.
                break
            elif not error.retriable():
                raise KafkaException(error)
    finally:
        consumer.close()


def _commit_of(value: bytes | None, cluster: KafkaCluster, topic: str, topic_id: str) -> str | None:
    if value is None:
        return None
    try:
        marker = msgspec.json.decode(value, type=_Marker)
    except msgspec.MsgspecError as error:
        raise OutboxDamaged(
            f"the last record of topic {topic + MARKERS!r} is not a marker ({error}): delete that topic to deliver "
            f"all published commits to {_address(cluster, topic)} again"
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
                f"{TRANSACTION_TIMEOUT} s: nothing was committed. Run again if no other run is active"
            ) from error
        raise _outbox_error(failure(error.args[0], cluster.servers, topic)) from error
    except KafkaFailure as error:
        raise _outbox_error(error) from error


def _outbox_error(error: KafkaFailure) -> OutboxError:
    if isinstance(error, KafkaUnavailable):
        return OutboxUnavailable(f"{error}. Nothing is lost: the next run continues")
    return OutboxError(str(error))
