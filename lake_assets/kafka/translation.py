"""Translating errors of confluent_kafka."""

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


def is_permanent(error: KafkaError) -> bool:
    """Tell whether waiting, as the client does, cannot help: access is denied, or there is no such topic."""
    return error.code() in _DENIED or error.code() in _MISSING


def failure(error: KafkaError, servers: str, topic: str = "", because: KafkaError | None = None) -> KafkaFailure:
    """Translate an error of the client.

    Parameters
    ----------
    error
        The error of the call.
    servers, topic
        For the message.
    because
        The last connection error, which explains a timeout.
    """
    if because is not None and is_permanent(because):
        error = because
    code, text = error.code(), error.str()
    if code in _MISSING:
        return TopicMissing(
            f"there is no such topic: create it, such as by `lake-assets topic create` ({text})", servers, topic
        )
    if code == KafkaError.TOPIC_ALREADY_EXISTS:
        return TopicExists("a topic of that name already exists", servers, topic)
    if code in _DENIED:
        return KafkaDenied(
            f"the servers deny access, or their certificate is not trusted: {text}; check the settings "
            "KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_* and KAFKA_SSL_CA, and the user's permissions",
            servers,
            topic,
        )
    if code in _REFUSED:
        return RecordRefused(
            f"a record is refused: {text}; the topic's max.message.bytes and the producer's message.max.bytes "
            "limit its size",
            servers,
            topic,
        )
    if code in _AWAY:
        reason = (because or error).str()
        return KafkaUnavailable(f"the servers do not answer: {reason}; check that they are running", servers, topic)
    return KafkaFailure(text, servers, topic)


@contextmanager
def translated(servers: str, topic: str = "") -> Generator[None]:
    """Translate errors of the client in this context.

    Parameters
    ----------
    servers, topic
        For the message.

    Raises
    ------
    KafkaFailure
        The client raised an error.
    """
    try:
        yield
    except KafkaException as error:
        raise failure(error.args[0], servers, topic) from error
