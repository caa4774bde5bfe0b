"""An outbox as a Dagster resource: settings only; the output is opened when it is used."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from pathlib import Path
from typing import TYPE_CHECKING

from dagster import AssetKey, ConfigurableResource, ResourceDependency
from pydantic import Field

from lake_assets.kafka.address import TopicAddress
from lake_assets.resources.kafka import KafkaResource

if TYPE_CHECKING:
    from lake_assets.outbox.contract import Outbox


_DEADLINE = 10.0
"""Seconds that a sensor waits for a server."""


class OutboxResource(ConfigurableResource["OutboxResource"]):
    """Where updates are delivered to.

    Parameters
    ----------
    address
        ``kafka://host:port/topic``, or the path of a file of JSON lines.
    kafka
        How Kafka is reached; not needed for a file.
    key_field, value_field
        Names of key and value in a record, such as ``{"key":"dog","value":2}``.
    """

    address: str = Field(description="kafka://host:port/topic, or the path of a file")
    kafka: ResourceDependency[KafkaResource | None] = None  # pyright: ignore[reportAssignmentType]
    key_field: str = Field(default="key", description="Name of the key in a record")
    value_field: str = Field(default="value", description="Name of the value in a record")

    def reflected_commit(self, asset_key: AssetKey) -> str | None:
        """Return the last commit delivered; None where none was. An outbox is one asset's.

        Parameters
        ----------
        asset_key
            The sink that feeds this outbox.
        """
        del asset_key
        return self.outbox("", _DEADLINE).delivered()

    def outbox(self, repository: str, deadline: float | None = None) -> "Outbox":
        """Return the outbox; nothing is connected to yet.

        Parameters
        ----------
        repository
            The lake whose commits are delivered.
        deadline
            Seconds, fewer than Kafka's own setting, for one who may not wait that long.

        Raises
        ------
        ValueError
            The address is neither a topic's nor a path.
        """
        from lake_assets.outbox.records import Fields

        fields = Fields(self.key_field, self.value_field)
        if "://" not in self.address:
            from lake_assets.outbox.lines import LinesOutbox

            return LinesOutbox(Path(self.address), repository, fields=fields)
        from lake_assets.outbox.kafka import KafkaOutbox

        where = TopicAddress.parse(self.address)
        cluster = (self.kafka or KafkaResource()).cluster(where.servers)
        cluster.deadline = min(cluster.deadline, deadline or cluster.deadline)
        return KafkaOutbox(cluster, where.topic, repository, fields)
