"""Settings: environment variables, read and checked when they are asked for.

The platform's settings stand here, those of a domain in its ``defs/<domain>/settings.py``. `.env.example`,
docs/settings.md and `lake-assets doctor` show them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from typing_extensions import Self

from lake_assets.kafka.security import Mechanism, Protocol


class SettingError(ValueError):
    """A setting has a value that is not allowed, or is missing; one line says which, and what is allowed.

    Parameters
    ----------
    wrong
        Name of the environment variable to what is wrong with it.
    """

    def __init__(self, wrong: Mapping[str, str]) -> None:
        super().__init__("; ".join(wrong.values()))
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, as text.

    Parameters
    ----------
    name
        Its name.
    default
        Its value when it is not set.
    description
        What it does.
    allowed
        The values that it may have, in words; empty for any text.
    secret
        Whether its value is never shown.
    """

    name: str
    default: str
    description: str
    allowed: str
    secret: bool

    @property
    def value(self) -> str:
        """The value in force, not checked; an empty variable counts as not set."""
        return os.environ.get(self.name) or self.default


class Settings(BaseSettings):
    """A group of settings: each field names its environment variable, and says what the variable may be.

    Examples
    --------
    >>> class MailSettings(Settings):
    ...     port: int = Field(25, validation_alias="MAIL_PORT", ge=1, le=65_535, description="The server's port.")
    >>> MailSettings.read().port
    25
    """

    model_config = SettingsConfigDict(case_sensitive=True, env_ignore_empty=True, extra="ignore", frozen=True)

    @classmethod
    def read(cls) -> Self:
        """Return the settings as the environment has them now.

        Raises
        ------
        SettingError
            A value is not allowed. One line names the variable, its value and what is allowed.
        """
        try:
            return cls()
        except ValidationError as error:
            found = error.errors(include_url=False)
        # A union has an error for each of its members.
        parts = {str(part["loc"][0]): part for part in found}
        # Not chained: pydantic's own error quotes values, a secret's too.
        raise SettingError(
            {
                variable.name: _explain(variable, parts[variable.name])
                for variable in cls.variables()
                if variable.name in parts
            }
        )

    @classmethod
    def variables(cls) -> list[Variable]:
        """Return the environment variables of this group."""
        return [_variable(field) for field in cls.model_fields.values()]

    def given(self, field: str) -> str:
        """Return the value of a field that must be set, as text; a secret's, too.

        Parameters
        ----------
        field
            The field's name.

        Raises
        ------
        SettingError
            It is not set.
        """
        value = getattr(self, field)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
        if not text:
            variable = _variable(type(self).model_fields[field])
            raise SettingError({variable.name: f"{variable.name} is not set: {variable.description}"})
        return text


def _variable(field: FieldInfo) -> Variable:
    return Variable(
        name=str(field.validation_alias),
        default=_as_text(field.get_default(call_default_factory=True, validated_data={})),
        description=field.description or "",
        allowed=" or ".join(_allowed(field.annotation, field.metadata)),
        secret=field.annotation is SecretStr,
    )


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _allowed(annotation: Any, constraints: list[Any]) -> Iterator[str]:
    """Yield what a type allows, in words."""
    if get_origin(annotation) is Literal:
        choices: tuple[str, ...] = get_args(annotation)
        yield f"one of {', '.join(choices)}" if len(choices) > 1 else "".join(choices)
    elif annotation is bool:
        yield "one of false, true"
    elif annotation in (int, float):
        lowest = [f" from {item.ge}" for item in constraints if hasattr(item, "ge")]
        highest = [f" to {item.le}" for item in constraints if hasattr(item, "le")]
        yield "".join(["a whole number" if annotation is int else "a number", *lowest, *highest])
    elif args := get_args(annotation):
        # A union, or a type with constraints of its own.
        annotated = getattr(annotation, "__metadata__", None)
        for part in args[:1] if annotated else args:
            if part is not NoneType:
                yield from _allowed(part, [*constraints, *_constraints(annotated)])


def _constraints(annotated: tuple[Any, ...] | None) -> Iterator[Any]:
    for item in annotated or ():
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)


def _explain(variable: Variable, error: Any) -> str:
    shown = "***" if variable.secret else repr(variable.value)
    # A validator of the class says in its own words what is allowed.
    allowed = error["ctx"]["error"] if error["type"] == "value_error" else variable.allowed
    return f"{variable.name} is {shown}; " + (f"it must be {allowed}" if allowed else error["msg"])


def project() -> Path:
    """Return the checkout that this package runs from; the working folder where it is installed elsewhere."""
    checkout = Path(__file__).parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


class LakeSettings(Settings):
    """The lake, and how its runs are executed."""

    env: Literal["embedded", "services"] = Field(
        "embedded",
        validation_alias="LAKE_ENV",
        description="Preset of resources: embedded (no server) or services (lakeFS).",
    )
    home: Path = Field(
        default_factory=lambda: project() / ".lake",
        validation_alias="LAKE_HOME",
        description="Folder of the embedded lake and NoSQL store.",
    )
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process",
        validation_alias="LAKE_EXECUTOR",
        description="in_process (one Spark session a run) or multiprocess (one a step).",
    )


class LakeFSSettings(Settings):
    """The lakeFS server."""

    endpoint: str = Field(
        "http://127.0.0.1:8000", validation_alias="LAKEFS_ENDPOINT", description="Address of the lakeFS server."
    )
    access_key_id: SecretStr = Field(
        SecretStr(""), validation_alias="LAKEFS_ACCESS_KEY_ID", description="lakeFS access key."
    )
    secret_access_key: SecretStr = Field(
        SecretStr(""), validation_alias="LAKEFS_SECRET_ACCESS_KEY", description="lakeFS secret key."
    )
    repository: str = Field(
        "lake", validation_alias="LAKEFS_REPOSITORY", description="lakeFS repository; made where it is missing."
    )
    storage: str = Field(
        "",
        validation_alias="LAKEFS_STORAGE",
        description="Where a new lakeFS repository keeps its objects, such as s3://bucket/lake; local if empty.",
    )
    deadline: float = Field(
        60,
        validation_alias="LAKEFS_DEADLINE",
        ge=1,
        le=3600,
        description="Seconds after which a call of lakeFS that only fails gives up.",
    )


class KafkaSettings(Settings):
    """How Kafka is reached."""

    servers: str = Field(
        "127.0.0.1:9092",
        validation_alias="KAFKA_SERVERS",
        description="Kafka servers of the topic commands: host:port[,host:port].",
    )
    security_protocol: Protocol = Field(
        "PLAINTEXT", validation_alias="KAFKA_SECURITY_PROTOCOL", description="Protocol that Kafka is reached by."
    )
    sasl_mechanism: Mechanism = Field(
        "PLAIN", validation_alias="KAFKA_SASL_MECHANISM", description="Kafka's mechanism of SASL."
    )
    sasl_username: SecretStr = Field(SecretStr(""), validation_alias="KAFKA_SASL_USERNAME", description="Kafka user.")
    sasl_password: SecretStr = Field(
        SecretStr(""), validation_alias="KAFKA_SASL_PASSWORD", description="Kafka password."
    )
    ssl_ca: str = Field(
        "",
        validation_alias="KAFKA_SSL_CA",
        description="PEM file of the certificates that Kafka is trusted by; the system's if empty.",
    )
    deadline: float = Field(
        30,
        validation_alias="KAFKA_DEADLINE",
        ge=1,
        le=3600,
        description="Seconds after which a call of Kafka gives up.",
    )


class SparkSettings(Settings):
    """Where Spark runs, and what it is given."""

    master: str = Field(
        "local[*]", validation_alias="SPARK_MASTER", description="Any Spark master, such as spark://host:7077."
    )
    driver_memory: str = Field(
        "2g",
        validation_alias="SPARK_DRIVER_MEMORY",
        description="Memory of Spark's driver; of all of Spark when local.",
    )
    jars: Path = Field(
        Path("~/.cache/lake_assets/jars"),
        validation_alias="SPARK_JARS",
        description="Folder of Spark's connectors, fetched once.",
    )
    stream_home: Path | None = Field(
        None,
        validation_alias="STREAM_HOME",
        description="Folder where checkpoints are worked on, which all of Spark must see; LAKE_HOME's if empty.",
    )


class RetentionSettings(Settings):
    """How long what nobody uses any more is kept."""

    sweep_after_days: float = Field(
        7,
        validation_alias="SWEEP_AFTER_DAYS",
        ge=0,
        le=36_500,
        description="Days that the branch of a failed run stays for inspection.",
    )
    gc_grace_days: float = Field(
        14,
        validation_alias="GC_GRACE_DAYS",
        ge=0,
        le=36_500,
        description="Days that files and commits stay after nothing refers to them, until garbage collection.",
    )


class DagsterSettings(Settings):
    """Dagster's web page."""

    webserver_url: str = Field(
        "",
        validation_alias="DAGSTER_WEBSERVER_URL",
        description="Address of Dagster's web page, for links from commits to their runs.",
    )


class SourceSettings(Settings):
    """Sources of files, whichever domain reads them."""

    s3_endpoint_url: str = Field(
        "",
        validation_alias="S3_ENDPOINT_URL",
        description="Endpoint of an S3-compatible source; empty for AWS.",
    )


PLATFORM: tuple[type[Settings], ...] = (
    LakeSettings,
    LakeFSSettings,
    KafkaSettings,
    SparkSettings,
    SourceSettings,
    RetentionSettings,
    DagsterSettings,
)
"""The classes above; those of the domains are in :func:`lake_assets.domains.all_settings`."""
