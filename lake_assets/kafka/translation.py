"""The client's errors as ours: one table."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from lake_assets.kafka.errors import (
    KafkaDenied,
    KafkaFailure,
    KafkaUnavailable,
    RecordRefused,
    TopicExists,
    TopicMissing,
)

_MISSING = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
}
_DENIED = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.RECORD_LIST_TOO_LARGE}


def is_hopeless(error: KafkaError) -> bool:
    """Tell whether waiting will not help, as the client does: nobody lets us in, or there is no such topic."""
    return error.code() in _DENIED or error.code() in _MISSING


def failure(error: KafkaError, servers: str, topic: str = "", because: KafkaError | None = None) -> KafkaFailure:
    """Return the client's error as ours.

    Parameters
    ----------
    error
        What the call answered.
    servers, topic
        What it was about.
    because
        What the connections said meanwhile, which a timeout does not tell.
    """
    if because is not None and is_hopeless(because):
        error = because
    code, said = error.code(), error.str()
    if code in _MISSING:
        return TopicMissing(
            f"there is no such topic: make it, such as by `lake-assets topic create` ({said})", servers, topic
        )
    if code == KafkaError.TOPIC_ALREADY_EXISTS:
        return TopicExists("a topic of that name is there already", servers, topic)
    if code in _DENIED:
        return KafkaDenied(
            f"the servers do not let us in, or we do not trust them: {said}; check the KAFKA_SECURITY_PROTOCOL, "
            "KAFKA_SASL_ and KAFKA_SSL_ settings, and the user's rights",
            servers,
            topic,
        )
    if code in _REFUSED:
        return RecordRefused(
            f"a record is refused: {said}; the topic's max.message.bytes and the producer's message.max.bytes "
            "limit its size",
            servers,
            topic,
        )
    if code in _AWAY:
        reason = (because or error).str()
        return KafkaUnavailable(f"the servers do not answer: {reason}; see whether they run", servers, topic)
    return KafkaFailure(said, servers, topic)


@contextmanager
def translated(servers: str, topic: str = "") -> Generator[None]:
    """Raise what the client raises inside as an error of ours.

    Raises
    ------
    KafkaFailure
        Or a subclass of it.
    """
    try:
        yield
    except KafkaException as error:
        raise failure(error.args[0], servers, topic) from error
