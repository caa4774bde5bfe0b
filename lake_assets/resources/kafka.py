"""Kafka as a Dagster resource. It has only settings, and connects when a cluster is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import ConfigurableResource
from pydantic import Field

if TYPE_CHECKING:
    from lake_assets.kafka.cluster import KafkaCluster


class KafkaResource(ConfigurableResource["KafkaResource"]):
    """Connection settings of Kafka, for any servers.

    Parameters
    ----------
    security_protocol
        PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    sasl_mechanism
        PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    sasl_username, sasl_password
        Credentials. Give them as ``EnvVar``, so that Dagster's UI does not show them.
    ssl_ca
        Path of the trusted CA certificates (PEM). Empty for the system's certificates.
    deadline
        Seconds after which a call fails.
    """

    security_protocol: str = Field(default="PLAINTEXT", description="Security protocol")
    sasl_mechanism: str = Field(default="PLAIN", description="SASL mechanism")
    sasl_username: str = Field(default="", description="SASL user", repr=False)
    sasl_password: str = Field(default="", description="SASL password", repr=False)
    ssl_ca: str = Field(default="", description="PEM file of trusted CA certificates; the system's if empty")
    deadline: float = Field(default=30.0, description="Seconds after which a call fails")

    def cluster(self, servers: str) -> KafkaCluster:
        """Return a cluster. Nothing is connected yet.

        Parameters
        ----------
        servers
            Bootstrap servers: ``host:port[,host:port]``.
        """
        from lake_assets.kafka.cluster import KafkaCluster
        from lake_assets.kafka.security import Security

        security = Security(
            self.security_protocol, self.sasl_mechanism, self.sasl_username, self.sasl_password, self.ssl_ca
        )
        return KafkaCluster(servers, security, self.deadline)
