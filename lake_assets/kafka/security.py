"""Security settings of connections: protocol, credentials and certificates, for the client and for Spark."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
MECHANISMS: tuple[str, ...] = get_args(Mechanism)

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


@dataclass(frozen=True, slots=True)
class Security:
    """Protocol and credentials. The repr does not show the credentials.

    Parameters
    ----------
    protocol
        One of :data:`PROTOCOLS`.
    mechanism
        One of :data:`MECHANISMS`. Only used by SASL protocols.
    username, password
        SASL credentials.
    ca
        Path of the trusted CA certificates (PEM). Empty for the system's certificates.
    """

    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("protocol", self.protocol, PROTOCOLS),
            ("mechanism", self.mechanism, MECHANISMS),
        ):
            if value not in allowed:
                raise ValueError(f"Kafka's security {name} is {value!r}; it must be one of {', '.join(allowed)}")

    @property
    def has_credentials(self) -> bool:
        """Whether the protocol needs credentials."""
        return self.protocol.startswith("SASL_")

    @property
    def is_encrypted(self) -> bool:
        """Whether the protocol uses TLS."""
        return self.protocol.endswith("SSL")

    def client_options(self) -> dict[str, str]:
        """Return the options of librdkafka. They contain the password.

        Raises
        ------
        OSError
            The file of certificates cannot be read.
        """
        options = {"security.protocol": self.protocol}
        if self.has_credentials:
            options |= {
                "sasl.mechanisms": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        if self.is_encrypted and self.ca:
            options["ssl.ca.pem"] = self._certificates()
        return options

    def java_options(self) -> dict[str, str]:
        """Return the options of the Java client, which Spark uses. They contain the password.

        Raises
        ------
        OSError
            The file of certificates cannot be read.
        """
        options = {"security.protocol": self.protocol}
        if self.has_credentials:
            module = _LOGIN_MODULES[self.mechanism]
            credentials = f"username={_quoted(self.username)} password={_quoted(self.password)}"
            options |= {
                "sasl.mechanism": self.mechanism,
                "sasl.jaas.config": f"{module} required {credentials};",
            }
        if self.is_encrypted and self.ca:
            # The text and not the path, since executors on other machines do not have the file.
            options |= {
                "ssl.truststore.type": "PEM",
                "ssl.truststore.certificates": self._certificates(),
            }
        return options

    def _certificates(self) -> str:
        return Path(self.ca).expanduser().read_text(encoding="utf-8")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
