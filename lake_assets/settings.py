"""Settings: environment variables, which are read and checked when they are needed.

This module has the platform's settings. Those of a domain are in its ``defs/<domain>/settings.py``. `.env.example`,
docs/settings.md and `lake-assets doctor` show all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from typing_extensions import Self

from lake_assets.kafka.security import Mechanism, Protocol
from lake_assets.runs.code_commit import VARIABLE as CODE_COMMIT_VARIABLE
from lake_assets.spark.conf_lines import BadConf, parse_conf
from lake_assets.spark.session import is_local
from lake_assets.text.masking import mask, unclear_user_part


class SettingError(ValueError):
    """A setting is missing, or its value is not allowed. The message names the setting and the allowed values.

    Parameters
    ----------
    wrong
        Name of each environment variable to the description of its problem.
    """

    def __init__(self, wrong: Mapping[str, str]) -> None:
        super().__init__("; ".join(wrong.values()))
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable, with its values as text.

    Parameters
    ----------
    name
        Its name.
    default
        Its value if it is not set.
    description
        Its description.
    allowed
        Description of the allowed values. Empty if any text is allowed.
    secret
        Whether its value must not be shown.
    """

    name: str
    default: str
    description: str
    allowed: str
    secret: bool

    @property
    def value(self) -> str:
        """The current value, which is not checked. An empty variable counts as not set."""
        return os.environ.get(self.name) or self.default


class Settings(BaseSettings):
    """A group of settings. Each field defines an environment variable and its allowed values.

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
        """Read the settings from the current environment.

        Raises
        ------
        SettingError
            A value is not allowed. The message names the variable, its value and the allowed values.
        """
        try:
            return cls()
        except ValidationError as error:
            found = error.errors(include_url=False)
        # A union type has an error for each of its members.
        parts = {str(part["loc"][0]): part for part in found}
        # Not chained, since pydantic's own error contains values, including secrets.
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

    def require(self, field: str) -> str:
        """Return the value of a required field as text, including that of a secret.

        Parameters
        ----------
        field
            Name of the field.

        Raises
        ------
        SettingError
            The variable is not set.
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
    if isinstance(value, dict):
        return ",".join(f"{name}={text}" for name, text in value.items())
    return "" if value is None else str(value)


def _allowed(annotation: Any, constraints: list[Any]) -> Iterator[str]:
    """Yield descriptions of the values that a type allows."""
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
        # A union, or an annotated type.
        annotated = getattr(annotation, "__metadata__", None)
        for part in args[:1] if annotated else args:
            if part is not NoneType:
                yield from _allowed(part, [*constraints, *_constraints(annotated)])


def _constraints(annotated: tuple[Any, ...] | None) -> Iterator[Any]:
    for item in annotated or ():
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)


def _explain(variable: Variable, error: Any) -> str:
    shown = "***" if variable.secret or "@" in variable.value else repr(mask(variable.value))
    # The error of a validator of the class describes the allowed values.
    allowed = error["ctx"]["error"] if error["type"] == "value_error" else variable.allowed
    return f"{variable.name} is {shown}; " + (f"it must be {allowed}" if allowed else error["msg"])


def _without_credentials(address: str) -> str:
    """Refuse an address with a user part or query. It is shown, in links and in Dagster's UI."""
    if unclear_user_part(address) or ("://" in address and mask(address) != address):
        raise ValueError("an address without user, password and query, which would be shown")
    return address


Address = Annotated[str, AfterValidator(_without_credentials)]
"""An address that everybody may see."""


def _without_user(servers: str) -> str:
    if "@" in servers:
        raise ValueError("host:port[,host:port]; user and password are KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
    return servers


Servers = Annotated[str, AfterValidator(_without_user)]
"""Kafka's bootstrap servers."""


def project() -> Path:
    """Return the checkout that this package runs from, or the working folder if it is installed as a wheel."""
    checkout = Path(__file__).parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


class LakeSettings(Settings):
    """The lake, and the execution of runs."""

    env: Literal["embedded", "services"] = Field(
        "embedded",
        validation_alias="LAKE_ENV",
        description="Preset of resources: embedded (no server) or services (lakeFS, DynamoDB).",
    )
    home: Path = Field(
        default_factory=lambda: project() / ".lake",
        validation_alias="LAKE_HOME",
        description="Folder of the embedded lake and NoSQL store.",
    )
    nosql: Literal["auto", "lmdb", "dynamodb"] = Field(
        "auto",
        validation_alias="LAKE_NOSQL",
        description="Where tables are: lmdb (this machine's disk), dynamodb, or auto: dynamodb with LAKE_ENV=services.",
    )
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process",
        validation_alias="LAKE_EXECUTOR",
        description="in_process (one Spark session a run) or multiprocess (one a step).",
    )
    engine: Literal["auto", "local", "spark"] = Field(
        "auto",
        validation_alias="LAKE_ENGINE",
        description=(
            "Where batches are computed: local (this process), spark (its workers) or auto: local, unless SPARK_MASTER "
            "names a cluster and the input exceeds LAKE_LOCAL_BYTES."
        ),
    )
    local_bytes: int = Field(
        2 << 30,
        validation_alias="LAKE_LOCAL_BYTES",
        ge=0,
        description="Size of the largest input that LAKE_ENGINE=auto leaves to this process, in bytes.",
    )
    branch: str = Field(
        "main",
        validation_alias="LAKE_BRANCH",
        description="Branch that runs begin at and publish to: main, or one of `lake-assets branch create NAME`.",
    )
    branch_sinks: bool = Field(
        True,
        validation_alias="LAKE_BRANCH_SINKS",
        description="Whether a working branch has tables and topics of its own, named with the branch, or none.",
    )
    # Read by lake_assets.runs.code_commit, since other projects that use the library have no settings.
    code_commit: str = Field(
        "",
        validation_alias=CODE_COMMIT_VARIABLE,
        description="Git commit of the code, for an image that is built without the checkout; found if empty.",
    )


def _pairs(value: Any) -> Any:
    """Parse ``name=value,name=value``."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("pairs like team=desk,owner=ann")
    return {name.strip(): text.strip() for name, _, text in pairs}


class LakeFSSettings(Settings):
    """The lakeFS server."""

    endpoint: Address = Field(
        "http://127.0.0.1:8000", validation_alias="LAKEFS_ENDPOINT", description="Address of the lakeFS server."
    )
    access_key_id: SecretStr = Field(
        SecretStr(""), validation_alias="LAKEFS_ACCESS_KEY_ID", description="lakeFS access key."
    )
    secret_access_key: SecretStr = Field(
        SecretStr(""), validation_alias="LAKEFS_SECRET_ACCESS_KEY", description="lakeFS secret key."
    )
    repository: str = Field(
        "lake", validation_alias="LAKEFS_REPOSITORY", description="lakeFS repository; created if it is missing."
    )
    storage: Address = Field(
        "",
        validation_alias="LAKEFS_STORAGE",
        description="Where a new lakeFS repository keeps its objects, such as s3://bucket/lake; local if empty.",
    )
    deadline: float = Field(
        60,
        validation_alias="LAKEFS_DEADLINE",
        ge=1,
        le=3600,
        description="Seconds that a call to lakeFS may take, with all its tries.",
    )
    commit_metadata: Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)] = Field(
        {},
        validation_alias="LAKEFS_COMMIT_METADATA",
        description="Metadata of every commit, as a hook may require: team=desk,owner=ann.",
    )


class DynamoDBSettings(Settings):
    """Tables in DynamoDB. Region and credentials come from the AWS chain (`AWS_DEFAULT_REGION`, …)."""

    prefix: str = Field(
        "lake_assets",
        validation_alias="DYNAMODB_PREFIX",
        pattern=r"^[A-Za-z0-9_-]{3,80}$",
        description="Name of the catalog's table in DynamoDB, and what the names of all tables begin with.",
    )
    endpoint: Address = Field(
        "", validation_alias="DYNAMODB_ENDPOINT", description="Address of another server than AWS; AWS if empty."
    )
    writes_per_second: float = Field(
        0,
        validation_alias="DYNAMODB_WRITES_PER_SECOND",
        ge=0,
        description="The most items that a run writes in a second; no limit if 0.",
    )
    tags: Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)] = Field(
        {},
        validation_alias="DYNAMODB_TAGS",
        description="Tags of new tables in DynamoDB: team=desk,owner=ann.",
    )


class KafkaSettings(Settings):
    """Connections to Kafka."""

    servers: Servers = Field(
        "127.0.0.1:9092",
        validation_alias="KAFKA_SERVERS",
        description="Kafka servers of the topic commands: host:port[,host:port].",
    )
    security_protocol: Protocol = Field(
        "PLAINTEXT", validation_alias="KAFKA_SECURITY_PROTOCOL", description="Security protocol of Kafka."
    )
    sasl_mechanism: Mechanism = Field(
        "PLAIN", validation_alias="KAFKA_SASL_MECHANISM", description="SASL mechanism of Kafka."
    )
    sasl_username: SecretStr = Field(SecretStr(""), validation_alias="KAFKA_SASL_USERNAME", description="Kafka user.")
    sasl_password: SecretStr = Field(
        SecretStr(""), validation_alias="KAFKA_SASL_PASSWORD", description="Kafka password."
    )
    ssl_ca: str = Field(
        "",
        validation_alias="KAFKA_SSL_CA",
        description="PEM file of trusted CA certificates for Kafka; the system's if empty.",
    )
    deadline: float = Field(
        30,
        validation_alias="KAFKA_DEADLINE",
        ge=1,
        le=3600,
        description="Seconds after which a call to Kafka fails.",
    )


class SparkSettings(Settings):
    """Spark's master and resources."""

    master: Address = Field(
        "local[*]", validation_alias="SPARK_MASTER", description="Any Spark master, such as spark://host:7077."
    )
    driver_memory: str = Field(
        "2g",
        validation_alias="SPARK_DRIVER_MEMORY",
        description="Memory of Spark's driver; with a local master, of all of Spark.",
    )
    conf: SecretStr = Field(
        SecretStr(""),
        validation_alias="SPARK_CONF",
        description="Further settings of Spark: lines `key=value`, or the path of a file with such lines.",
    )
    jars: Path = Field(
        Path("~/.cache/lake_assets/jars"),
        validation_alias="SPARK_JARS",
        description="Folder of Spark's connectors and archive of classes, which are made once.",
    )
    stream_home: Path | None = Field(
        None,
        validation_alias="STREAM_HOME",
        description=(
            "Folder for checkpoints during a run; all machines of Spark must see it. If empty, it is in LAKE_HOME, or "
            "on a branch of the lake where Spark is a cluster and the lake is on lakeFS."
        ),
    )

    @property
    def on_cluster(self) -> bool:
        """Whether the master is a cluster's. That of SPARK_CONF counts before SPARK_MASTER."""
        try:
            chosen = parse_conf(self.conf.get_secret_value())
        except BadConf:
            # The session says so.
            chosen = {}
        return not is_local(chosen.get("spark.master", self.master))


class WorkerSettings(Settings):
    """Warm workers, which execute runs in processes that are there already."""

    number: int = Field(
        1, validation_alias="LAKE_WORKERS", ge=0, le=64, description="Number of warm workers; 0 for none."
    )
    runs: int = Field(
        20,
        validation_alias="LAKE_WORKER_RUNS",
        ge=1,
        le=100_000,
        description="Runs after which a warm worker is replaced; 1 gives each run a process and a JVM of its own.",
    )
    memory: int = Field(
        4096,
        validation_alias="LAKE_WORKER_MEMORY",
        ge=256,
        description="MiB of memory, with Spark's JVM, at which a warm worker is replaced after its run.",
    )


class RetentionSettings(Settings):
    """How long unused data are kept."""

    sweep_after_days: float = Field(
        7,
        validation_alias="SWEEP_AFTER_DAYS",
        ge=0,
        le=36_500,
        description="Days for which the branch of a failed run is kept for inspection.",
    )
    gc_grace_days: float = Field(
        14,
        validation_alias="GC_GRACE_DAYS",
        ge=0,
        le=36_500,
        description="Days for which garbage collection keeps files and commits that nothing refers to any more.",
    )


class DagsterSettings(Settings):
    """Dagster's web page."""

    webserver_url: Address = Field(
        "",
        validation_alias="DAGSTER_WEBSERVER_URL",
        description="Address of Dagster's web page, for links from commits to their runs.",
    )


class SourceSettings(Settings):
    """Sources of files, for all domains."""

    s3_endpoint_url: Address = Field(
        "",
        validation_alias="S3_ENDPOINT_URL",
        description="Endpoint of an S3-compatible source; empty for AWS.",
    )
    links_outside: bool = Field(
        False,
        validation_alias="SOURCE_LINKS_OUTSIDE",
        description="Whether links in a folder of source files may lead out of it: true or false.",
    )


PLATFORM: tuple[type[Settings], ...] = (
    LakeSettings,
    LakeFSSettings,
    DynamoDBSettings,
    KafkaSettings,
    SparkSettings,
    WorkerSettings,
    SourceSettings,
    RetentionSettings,
    DagsterSettings,
)
"""The classes of this module. :func:`lake_assets.domains.all_settings` also returns those of the domains."""
