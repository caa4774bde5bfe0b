"""Opens the source of ticks, by the one reader interface of streams and queues."""

from __future__ import annotations

from pathlib import Path

from lake_assets import environments
from lake_assets.defs.ticks.schema import AVRO, Tick
from lake_assets.defs.ticks.settings import TicksSettings
from lake_assets.messages.contract import MessagesError, Reader
from lake_assets.messages.decoding import Decoder
from lake_assets.messages.folder import FolderReader
from lake_assets.resources.kafka import KafkaResource


def open_ticks(kafka: KafkaResource) -> Reader:
    """Return the reader of the settings.

    Parameters
    ----------
    kafka
        Connection settings of Kafka.

    Raises
    ------
    MessagesError
        There is no such kind of source.
    """
    address = TicksSettings.read().source.get_secret_value()
    scheme, separator, rest = address.partition("://")
    if not separator:
        folder = Path(address) if address else environments.lake_home() / "ticks" / "incoming"
        folder = folder.expanduser()
        if not address:
            folder.mkdir(parents=True, exist_ok=True)
        return FolderReader(folder)
    if scheme == "kafka":
        from lake_assets.messages.kafka import KafkaReader

        servers, _, topic = rest.partition("/")
        return KafkaReader(kafka.cluster(servers), topic)
    if scheme == "rabbitmq-stream":
        from lake_assets.messages.rabbitmq_stream import RabbitMQStreamReader

        return RabbitMQStreamReader(address)
    if scheme == "amqp":
        from lake_assets.messages.rabbitmq_queue import RabbitMQQueueReader

        return RabbitMQQueueReader(address)
    if scheme == "kinesis":
        from lake_assets.messages.kinesis import KinesisReader

        return KinesisReader(rest, TicksSettings.read().kinesis_endpoint)
    raise MessagesError(f"TICKS_SOURCE: {scheme}:// is no source of messages: see docs/settings.md")


def decoder() -> Decoder[Tick]:
    """Return the decoder of ticks."""
    settings = TicksSettings.read()
    in_folder = "://" not in settings.source.get_secret_value()
    return Decoder(Tick, "json" if in_folder else settings.format, AVRO)
