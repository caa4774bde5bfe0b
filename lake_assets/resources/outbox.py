"""An outbox as a Dagster resource. It has only settings, and opens the output when it is used."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from pathlib import Path
from typing import TYPE_CHECKING

from dagster import AssetKey, ResourceDependency
from pydantic import Field

from lake_assets.kafka.address import TopicAddress
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.working_branch import Sinks, apart

if TYPE_CHECKING:
    from lake_assets.outbox.contract import Outbox


_DEADLINE = 10.0
"""Seconds for which a sensor waits for a server."""


class OutboxResource(Sinks):
    """The output to which updates are delivered. A working branch has one of its own, named with the branch.

    Parameters
    ----------
    address
        ``kafka://host:port/topic``, or the path of a file of JSON lines.
    kafka
        Connection settings of Kafka. Not needed for a file.
    key_field, value_field
        Field names of key and value in a record, such as in ``{"key":"dog","value":2}``.
    """

    address: str = Field(description="kafka://host:port/topic, or the path of a file")
    kafka: ResourceDependency[KafkaResource | None] = None  # pyright: ignore[reportAssignmentType]
    key_field: str = Field(default="key", description="Name of the key in a record")
    value_field: str = Field(default="value", description="Name of the value in a record")

    def reflected_commit(self, asset_key: AssetKey) -> str | None:
        """Return the last delivered commit, or None. An outbox belongs to one asset.

        Parameters
        ----------
        asset_key
            The sink that feeds this outbox.
        """
        del asset_key
        return self.outbox("", _DEADLINE).delivered()

    def outbox(self, repository: str, deadline: float | None = None) -> "Outbox":
        """Return the outbox. Nothing is connected yet.

        Parameters
        ----------
        repository
            The lake whose commits are delivered.
        deadline
            A shorter deadline than Kafka's own setting, in seconds.

        Raises
        ------
        ValueError
            The address is neither a topic nor a path.
        """
        from lake_assets.outbox.records import Fields

        fields = Fields(self.key_field, self.value_field)
        if "://" not in self.address:
            from lake_assets.outbox.lines import LinesOutbox

            path = Path(self.address)
            return LinesOutbox(path.with_stem(apart(path.stem, self.target)), repository, fields=fields)
        from lake_assets.outbox.kafka import KafkaOutbox

        where = TopicAddress.parse(self.address)
        cluster = (self.kafka or KafkaResource()).cluster(where.servers)
        cluster.deadline = min(cluster.deadline, deadline or cluster.deadline)
        return KafkaOutbox(cluster, apart(where.topic, self.target), repository, fields)
