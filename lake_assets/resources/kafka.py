"""Kafka as a Dagster resource: settings only; a cluster is reached when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import ConfigurableResource
from pydantic import Field

if TYPE_CHECKING:
    from lake_assets.kafka.cluster import KafkaCluster


class KafkaResource(ConfigurableResource["KafkaResource"]):
    """How Kafka is reached, whichever the servers.

    Parameters
    ----------
    security_protocol
        PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    sasl_mechanism
        PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    sasl_username, sasl_password
        Credentials; give them as ``EnvVar``, so that no page shows them.
    ssl_ca
        Path of the certificates (PEM) that servers are trusted by; empty for the system's.
    deadline
        Seconds after which a call gives up.
    """

    security_protocol: str = Field(default="PLAINTEXT", description="Security protocol")
    sasl_mechanism: str = Field(default="PLAIN", description="Mechanism of SASL")
    sasl_username: str = Field(default="", description="User of SASL", repr=False)
    sasl_password: str = Field(default="", description="Password of SASL", repr=False)
    ssl_ca: str = Field(default="", description="PEM file of trusted certificates; the system's if empty")
    deadline: float = Field(default=30.0, description="Seconds until a call gives up")

    def cluster(self, servers: str) -> KafkaCluster:
        """Return a cluster by its bootstrap servers; nothing is connected to yet."""
        from lake_assets.kafka.cluster import KafkaCluster
        from lake_assets.kafka.security import Security

        security = Security(
            self.security_protocol, self.sasl_mechanism, self.sasl_username, self.sasl_password, self.ssl_ca
        )
        return KafkaCluster(servers, security, self.deadline)
