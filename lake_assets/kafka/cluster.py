"""A Kafka cluster: the state of its topics, and clients. It does not know Dagster."""

# The documentation of confluent_kafka imports its admin classes from modules that do not declare them public.
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
from lake_assets.kafka.translation import failure, is_permanent, translated

logger = logging.getLogger(__name__)

_PAUSE = 0.02
"""Seconds between two attempts while a cluster's metadata are not up to date yet."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Parameters
    ----------
    name
        Its name.
    partitions
        Number of partitions.
    id
        Its id. A topic that is deleted and created again gets another one.
    """

    name: str
    partitions: int
    id: str


@dataclass(frozen=True, slots=True)
class TopicState:
    """The state of a topic at one moment.

    Parameters
    ----------
    name
        Name of the topic.
    id
        Its id. A topic that is deleted and created again gets another one.
    earliest
        Offset of the oldest record by partition.
    latest
        Offset after the newest record by partition, also of open transactions (the high watermark).
    """

    name: str
    id: str
    earliest: Mapping[int, int]
    latest: Mapping[int, int]


class _LastError:
    """The last connection error of a cluster's clients. A class of its own, so that it keeps no cluster alive."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        self.error = error
        logger.info("Kafka %s: %s", self.servers, error)


class KafkaCluster:
    """A Kafka cluster. Each call succeeds or fails within the deadline.

    Parameters
    ----------
    servers
        Bootstrap servers, such as ``127.0.0.1:9092``.
    security
        Protocol and credentials.
    deadline
        Seconds after which a call fails.
    """

    def __init__(self, servers: str, security: Security, deadline: float = 30.0) -> None:
        self.servers = servers
        self.deadline = deadline
        self._security = security
        self._last_error = _LastError(servers)

    def __repr__(self) -> str:
        return f"KafkaCluster({self.servers!r})"

    # Topics

    def topic(self, name: str) -> TopicState:
        """Return the state of a topic, in two round trips for any number of partitions.

        Parameters
        ----------
        name
            Name of the topic.

        Raises
        ------
        TopicMissing
            There is no topic of that name.
        KafkaUnavailable
            The servers do not answer within the deadline.
        """
        end = self._end()
        while True:
            try:
                return self._state(name, end)
            except KafkaUnavailable:
                # The leader of a partition may be changing, which is quick.
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    def _state(self, name: str, end: float) -> TopicState:
        described = self._describe([name], end)[0]
        partitions = [TopicPartition(name, partition.id) for partition in described.partitions]
        # Both requests run at the same time.
        earliest = self._offsets(partitions, OffsetSpec.earliest(), end)
        latest = self._offsets(partitions, OffsetSpec.latest(), end)
        return TopicState(
            name=name,
            id=str(described.topic_id),
            earliest=self._answered(earliest, end, name),
            latest=self._answered(latest, end, name),
        )

    def topics(self) -> tuple[Topic, ...]:
        """Return all topics except Kafka's internal ones, sorted by name.

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
        """Create a topic, and wait until its partitions answer.

        Parameters
        ----------
        name
            Name of the topic.
        partitions
            Number of partitions.
        replication
            Number of replicas of each partition; -1 for the brokers' default.
        config
            The topic's settings, such as ``{"cleanup.policy": "compact"}``.
        exist_ok
            Whether to accept an existing topic, whatever its settings.

        Raises
        ------
        TopicExists
            A topic of that name exists, and ``exist_ok`` is not set.
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
        # The controller knows the topic before every broker does.
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
        """Return the time of the first record at or after an offset, in UTC.

        It is None if there is no such record, or if its time is missing or out of range. If the record at the offset
        was removed, the oldest record is read. Records of uncommitted transactions are read, too.

        Parameters
        ----------
        topic
            Name of the topic.
        partition
            Number of the partition.
        offset
            The offset.

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
                # Only one record is needed, so the client should not read ahead.
                "queued.min.messages": 1,
                "fetch.message.max.bytes": 1024,
                "fetch.wait.max.ms": 10,
                # Do not wait for a topic that the servers do not know.
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
        raise failure(KafkaError(KafkaError._TIMED_OUT), self.servers, topic, self._last_error.error)

    # Clients

    def producer(self, **options: Any) -> Producer:
        """Return a producer.

        Parameters
        ----------
        options
            Options of librdkafka, as in ``**{"transactional.id": …}``. They override the defaults.

        Raises
        ------
        KafkaFailure
            An option, or a file that it names, is not valid.
        """
        with translated(self.servers):
            return Producer(self._options() | options)

    def consumer(self, **options: Any) -> Consumer:
        """Return a consumer. It commits no offsets, and by default reads only committed records.

        Parameters
        ----------
        options
            Options of librdkafka, as in ``**{"auto.offset.reset": …}``. They override the defaults. Without a
            ``group.id``, use ``assign``: the default group must not be joined.

        Raises
        ------
        KafkaFailure
            An option, or a file that it names, is not valid.
        """
        defaults = {"group.id": "lake_assets", "enable.auto.commit": False, "isolation.level": "read_committed"}
        with translated(self.servers):
            return Consumer(self._options() | defaults | options)

    def check(self, topic: str = "") -> None:
        """Raise the last connection error if it is permanent. For loops of ``poll``.

        Errors before the last client was made do not count.

        Parameters
        ----------
        topic
            Name of the topic, for the message.

        Raises
        ------
        KafkaDenied
            The servers deny access.
        TopicMissing
            The topic was deleted.
        """
        if self._last_error.error is not None and is_permanent(self._last_error.error):
            raise failure(self._last_error.error, self.servers, topic)

    def spark_options(self) -> dict[str, str]:
        """Return the options of Spark's ``kafka`` source and output. They contain the password.

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
        self._last_error.error = None
        return {
            "bootstrap.servers": self.servers,
            "client.id": "lake_assets",
            # Reconnect to a restarted server within a second.
            "reconnect.backoff.max.ms": 1000,
            # Otherwise the client writes to stderr. Errors are raised, or logged by the callback.
            "log_level": 0,
            "error_cb": self._last_error,
            **security,
        }

    @contextmanager
    def _certificates_read(self) -> Generator[None]:
        try:
            yield
        except (OSError, UnicodeError) as error:
            raise KafkaFailure(f"KAFKA_SSL_CA cannot be read: {error}", self.servers) from error

    # Admin requests

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
        # If access is denied, list_topics blocks until its timeout. This request fails at once.
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
        """Wait for running requests until ``end``. Permanent errors, such as denied access, are raised at once."""
        self._last_error.error = None
        while not_done := wait(asked, timeout=0.2).not_done:
            self._admin.poll(0)
            self.check(topic)
            # The client should stop at the deadline by itself. After one more second, stop waiting for it.
            if time.monotonic() > end + 1:
                for request in not_done:
                    request.cancel()
                raise failure(KafkaError(KafkaError._TIMED_OUT), self.servers, topic, self._last_error.error)
        self._admin.poll(0)
        try:
            return [request.result() for request in asked]
        except KafkaException as error:
            raise failure(error.args[0], self.servers, topic, self._last_error.error) from error


def _moment(kind: int, milliseconds: int) -> datetime | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
