"""One Kafka cluster: what its topics hold, and clients for the rest. Plain: knows nothing of Dagster."""

# The client's own documentation imports its administration's classes from where they are not declared public.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec, TopicDescription

from lake_assets.kafka.errors import KafkaFailure, KafkaUnavailable, TopicExists, TopicMissing
from lake_assets.kafka.security import Security
from lake_assets.kafka.translation import failure, is_hopeless, translated

logger = logging.getLogger(__name__)

_PAUSE = 0.02
"""Seconds between two looks at what a cluster is about to know."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: name, number of partitions, and an id that a recreated topic does not share."""

    name: str
    partitions: int
    id: str


@dataclass(frozen=True, slots=True)
class TopicState:
    """What a topic held when it was asked.

    Parameters
    ----------
    name
        Name of the topic.
    id
        Its id; a topic that was deleted and created again has another one.
    earliest
        Partition to the offset of its oldest record.
    latest
        Partition to the offset after its newest record, whether committed or not (the high watermark).
    """

    name: str
    id: str
    earliest: Mapping[int, int]
    latest: Mapping[int, int]


class _Heard:
    """What a cluster's clients were told last by their connections; apart, so that it keeps no cluster alive."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        self.error = error
        logger.info("Kafka %s: %s", self.servers, error)


class KafkaCluster:
    """A Kafka cluster. Calls are bounded: they answer or fail within the deadline.

    Parameters
    ----------
    servers
        Bootstrap servers, such as ``127.0.0.1:9092``.
    security
        Protocol and credentials.
    deadline
        Seconds until a call gives up.
    """

    def __init__(self, servers: str, security: Security, deadline: float = 30.0) -> None:
        self.servers = servers
        self.deadline = deadline
        self._security = security
        self._heard = _Heard(servers)

    def __repr__(self) -> str:
        return f"KafkaCluster({self.servers!r})"

    # Topics

    def topic(self, name: str) -> TopicState:
        """Return what a topic holds: two round trips, whatever its number of partitions.

        Raises
        ------
        TopicMissing
            There is none of that name.
        KafkaUnavailable
            The servers do not answer within the deadline.
        """
        end = self._end()
        while True:
            try:
                return self._state(name, end)
            except KafkaUnavailable:
                # A partition's leader may be about to change, which takes no time.
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    def _state(self, name: str, end: float) -> TopicState:
        described = self._describe([name], end)[0]
        partitions = [TopicPartition(name, partition.id) for partition in described.partitions]
        # Both requests are under way at once.
        earliest = self._offsets(partitions, OffsetSpec.earliest(), end)
        latest = self._offsets(partitions, OffsetSpec.latest(), end)
        return TopicState(
            name=name,
            id=str(described.topic_id),
            earliest=self._answered(earliest, end, name),
            latest=self._answered(latest, end, name),
        )

    def topics(self) -> tuple[Topic, ...]:
        """Return every topic but Kafka's own, by name.

        Raises
        ------
        KafkaUnavailable
            The servers do not answer within the deadline.
        """
        end = self._end()
        names = self._names(end)
        described = self._describe(names, end) if names else []
        return tuple(
            Topic(topic.name, len(topic.partitions), str(topic.topic_id))
            for topic in sorted(described, key=lambda topic: topic.name)
            if not topic.is_internal
        )

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication: int = 1,
        config: Mapping[str, str] | None = None,
        exist_ok: bool = False,
    ) -> None:
        """Make a topic, and wait until its partitions answer.

        Parameters
        ----------
        name
            Name of the topic.
        partitions, replication
            Their numbers.
        config
            The topic's settings, such as ``{"cleanup.policy": "compact"}``.
        exist_ok
            Whether one that is there already, whatever its settings, is taken as it is.

        Raises
        ------
        TopicExists
            There is one of that name.
        KafkaUnavailable
            The servers do not answer within the deadline.
        """
        end = self._end()
        wanted = NewTopic(name, partitions, replication, config=dict(config or {}))
        with translated(self.servers, name):
            made = self._admin.create_topics([wanted], request_timeout=self._left(end))
        try:
            self._answers(made.values(), end, name)
        except TopicExists:
            if not exist_ok:
                raise
        # The controller has it before every broker knows.
        while True:
            try:
                self._state(name, end)
            except (TopicMissing, KafkaUnavailable):
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def timestamp_at(self, topic: str, partition: int, offset: int) -> datetime | None:
        """Return the time of the first record at or after an offset, in UTC; None where there is none.

        None, too, where the record has no time, or one that no calendar has. An offset whose record is gone stands
        for the oldest that there is. The record is read whether its transaction is committed or not.

        Raises
        ------
        TopicMissing
            There is no such topic or partition.
        KafkaUnavailable
            The servers do not answer within the deadline.
        """
        end = self._end()
        consumer = self.consumer(
            **{
                "isolation.level": "read_uncommitted",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                # One record is wanted, not what the client would read ahead.
                "queued.min.messages": 1,
                "fetch.message.max.bytes": 1024,
                "fetch.wait.max.ms": 10,
                # A topic that the servers do not know is not waited for.
                "topic.metadata.propagation.max.ms": 100,
            }
        )
        with translated(self.servers, topic):
            try:
                consumer.assign([TopicPartition(topic, partition, offset)])
                while (left := end - time.monotonic()) > 0:
                    message = consumer.poll(min(left, 0.1))
                    if message is None:
                        self.check(topic)
                        continue
                    if (error := message.error()) is None:
                        return _moment(*message.timestamp())
                    if error.code() == KafkaError._PARTITION_EOF:
                        return None
                    raise failure(error, self.servers, topic)
            finally:
                consumer.close()
        raise failure(KafkaError(KafkaError._TIMED_OUT), self.servers, topic, self._heard.error)

    # Clients

    def producer(self, **options: Any) -> Producer:
        """Return a producer; ``options`` are librdkafka's, by ``**{"transactional.id": …}``, and win over ours.

        Raises
        ------
        KafkaFailure
            The options, or a file that they name, are not right.
        """
        with translated(self.servers):
            return Producer(self._options() | options)

    def consumer(self, **options: Any) -> Consumer:
        """Return a consumer, which commits no offsets and by default reads what is committed only.

        ``options`` are librdkafka's, by ``**{"auto.offset.reset": …}``, and win over ours. Without a
        ``group.id`` of one's own, use ``assign``: the group is never joined.

        Raises
        ------
        KafkaFailure
            The options, or a file that they name, are not right.
        """
        ours = {"group.id": "lake_assets", "enable.auto.commit": False, "isolation.level": "read_committed"}
        with translated(self.servers):
            return Consumer(self._options() | ours | options)

    def check(self, topic: str = "") -> None:
        """Raise what the clients were told since the last was made, if waiting will not help; for loops of ``poll``.

        Raises
        ------
        KafkaDenied
            The servers do not let us in.
        TopicMissing
            The topic is gone.
        """
        if self._heard.error is not None and is_hopeless(self._heard.error):
            raise failure(self._heard.error, self.servers, topic)

    def spark_options(self) -> dict[str, str]:
        """Return the options of Spark's ``kafka`` source and output; they hold the password.

        Raises
        ------
        KafkaFailure
            The file of certificates cannot be read.
        """
        with self._certificates_read():
            options = self._security.java_options()
        return {f"kafka.{name}": value for name, value in {"bootstrap.servers": self.servers, **options}.items()}

    def _options(self) -> dict[str, Any]:
        with self._certificates_read():
            security = self._security.client_options()
        self._heard.error = None
        return {
            "bootstrap.servers": self.servers,
            "client.id": "lake_assets",
            # A server that comes back is found within a second.
            "reconnect.backoff.max.ms": 1000,
            # The client would write to stderr; what matters is raised, and the rest is logged below.
            "log_level": 0,
            "error_cb": self._heard,
            **security,
        }

    @contextmanager
    def _certificates_read(self) -> Generator[None]:
        try:
            yield
        except (OSError, UnicodeError) as error:
            raise KafkaFailure(f"KAFKA_SSL_CA cannot be read: {error}", self.servers) from error

    # Requests of the administration

    @cached_property
    def _admin(self) -> AdminClient:
        with translated(self.servers):
            return AdminClient(self._options())

    def _end(self) -> float:
        return time.monotonic() + self.deadline

    @staticmethod
    def _left(end: float) -> float:
        return max(end - time.monotonic(), 0.001)

    def _describe(self, names: list[str], end: float) -> list[TopicDescription]:
        with translated(self.servers, ", ".join(names)):
            asked = self._admin.describe_topics(TopicCollection(names), request_timeout=self._left(end))
        return self._answers(asked.values(), end, ", ".join(names))

    def _names(self, end: float) -> list[str]:
        # Listing blocks until the deadline where we are not let in; this does not.
        with translated(self.servers):
            reached = self._admin.describe_cluster(request_timeout=self._left(end))
        self._answers([reached], end)
        with translated(self.servers):
            return list(self._admin.list_topics(timeout=self._left(end)).topics)

    def _offsets(
        self, partitions: list[TopicPartition], spec: OffsetSpec | None, end: float
    ) -> Mapping[TopicPartition, Future[Any]]:
        assert spec is not None
        with translated(self.servers, partitions[0].topic):
            return self._admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=self._left(end))

    def _answered(self, asked: Mapping[TopicPartition, Future[Any]], end: float, topic: str) -> dict[int, int]:
        found = zip(asked, self._answers(asked.values(), end, topic), strict=True)
        return {place.partition: result.offset for place, result in found}

    def _answers(self, asked: Collection[Future[Any]], end: float, topic: str = "") -> list[Any]:
        """Wait for requests under way, not longer than until ``end``; a refusal of our credentials is told at once."""
        self._heard.error = None
        while not_done := wait(asked, timeout=0.2).not_done:
            self._admin.poll(0)
            self.check(topic)
            # The client keeps the deadline itself; a second more, and it does not.
            if time.monotonic() > end + 1:
                for request in not_done:
                    request.cancel()
                raise failure(KafkaError(KafkaError._TIMED_OUT), self.servers, topic, self._heard.error)
        self._admin.poll(0)
        try:
            return [request.result() for request in asked]
        except KafkaException as error:
            raise failure(error.args[0], self.servers, topic, self._heard.error) from error


def _moment(kind: int, milliseconds: int) -> datetime | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
