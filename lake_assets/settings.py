"""Every setting of the environment, in one list: `.env.example` and `lake-assets doctor` show it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class SettingError(ValueError):
    """A setting has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: its name, its value where unset, what it does, and whether it is secret."""

    name: str
    default: str
    description: str
    secret: bool = False

    @property
    def value(self) -> str:
        """The value in force; an empty variable counts as unset."""
        return os.environ.get(self.name) or self.default

    def given(self) -> str:
        """Return the value, which must be set.

        Raises
        ------
        SettingError
            It is not.
        """
        if not self.value:
            raise SettingError(f"{self.name} is not set: {self.description}")
        return self.value

    def choice(self, *allowed: str) -> str:
        """Return the value, which must be one of ``allowed``.

        Raises
        ------
        SettingError
            It is another one.
        """
        if self.value not in allowed:
            raise SettingError(f"{self.name} is {self.value!r}; it must be one of {', '.join(allowed)}")
        return self.value

    def number(self, lowest: float, highest: float) -> float:
        """Return the value as a number within bounds.

        Raises
        ------
        SettingError
            It is none, or out of bounds.
        """
        try:
            number = float(self.value)
        except ValueError:
            number = float("nan")
        if not lowest <= number <= highest:
            raise SettingError(f"{self.name} is {self.value!r}; it must be a number from {lowest:g} to {highest:g}")
        return number


def _project() -> Path:
    """Return the checkout this package runs from; the working folder where it is installed elsewhere."""
    checkout = Path(__file__).parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


LAKE_ENV = Setting("LAKE_ENV", "embedded", "Preset of resources: embedded (no server) or services (lakeFS).")
LAKE_HOME = Setting("LAKE_HOME", str(_project() / ".lake"), "Folder of the embedded lake and NoSQL store.")
LAKEFS_ENDPOINT = Setting("LAKEFS_ENDPOINT", "http://127.0.0.1:8000", "Address of the lakeFS server.")
LAKEFS_ACCESS_KEY_ID = Setting("LAKEFS_ACCESS_KEY_ID", "", "lakeFS access key.", secret=True)
LAKEFS_SECRET_ACCESS_KEY = Setting("LAKEFS_SECRET_ACCESS_KEY", "", "lakeFS secret key.", secret=True)
LAKEFS_REPOSITORY = Setting("LAKEFS_REPOSITORY", "lake", "lakeFS repository; made where it is missing.")
LAKEFS_STORAGE = Setting(
    "LAKEFS_STORAGE", "", "Where a new lakeFS repository keeps its objects, such as s3://bucket/lake; local if empty."
)
LAKEFS_DEADLINE = Setting("LAKEFS_DEADLINE", "60", "Seconds until a call of lakeFS that only fails gives up.")
KAFKA_SERVERS = Setting(
    "KAFKA_SERVERS", "127.0.0.1:9092", "Kafka servers of the topic commands: host:port[,host:port]."
)
KAFKA_SECURITY_PROTOCOL = Setting(
    "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "How Kafka is reached: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
)
KAFKA_SASL_MECHANISM = Setting(
    "KAFKA_SASL_MECHANISM", "PLAIN", "Kafka's mechanism of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
)
KAFKA_SASL_USERNAME = Setting("KAFKA_SASL_USERNAME", "", "Kafka user.", secret=True)
KAFKA_SASL_PASSWORD = Setting("KAFKA_SASL_PASSWORD", "", "Kafka password.", secret=True)
KAFKA_SSL_CA = Setting("KAFKA_SSL_CA", "", "PEM file of certificates that Kafka is trusted by; the system's if empty.")
KAFKA_DEADLINE = Setting("KAFKA_DEADLINE", "30", "Seconds until a call of Kafka gives up.")
SPARK_JARS = Setting("SPARK_JARS", "~/.cache/lake_assets/jars", "Folder of Spark's connectors, fetched once.")
LAKE_EXECUTOR = Setting(
    "LAKE_EXECUTOR", "in_process", "in_process (one Spark session a run) or multiprocess (one a step)."
)
SPARK_MASTER = Setting("SPARK_MASTER", "local[*]", "Any Spark master, such as spark://host:7077.")
SPARK_DRIVER_MEMORY = Setting("SPARK_DRIVER_MEMORY", "2g", "Memory of Spark's driver; of all of Spark when local.")
STOCKS_SOURCE = Setting(
    "STOCKS_SOURCE",
    "generated",
    "Where stock files come from: generated, a folder, an http(s) or s3 URL, or a template with {date}, {hour}.",
)
STOCKS_ROWS = Setting("STOCKS_ROWS", "7500", "Rows of a generated file in a trading hour.")
STOCKS_MAX_QUARANTINED = Setting(
    "STOCKS_MAX_QUARANTINED",
    "0.05",
    "Share of a file's rows that may be quarantined before publishing is blocked.",
)
STOCKS_PARTITIONS_PER_RUN = Setting(
    "STOCKS_PARTITIONS_PER_RUN", "1", "Hours that one run of an asset backfill takes; all for a single run."
)
STOCKS_PROBE_HOURS = Setting(
    "STOCKS_PROBE_HOURS",
    "24",
    "Hours back from now that the sensor probes at a source that cannot be listed.",
)
WORDS_SOURCE = Setting(
    "WORDS_SOURCE", "", "Where lines of text come from: kafka://host:port/topic, or a folder; a small sample if empty."
)
WORDS_CSV = Setting("WORDS_CSV", "false", "Whether word counts are kept as CSV, too: true or false.")
WORDS_STATE_STORE = Setting(
    "WORDS_STATE_STORE", "hdfs", "State of new word counts: hdfs (in Spark's memory, kept in files) or rocksdb."
)
WORDS_WINDOW = Setting("WORDS_WINDOW", "60", "Seconds of a window of word_counts_windowed.")
WORDS_SLIDE = Setting("WORDS_SLIDE", "", "Seconds from one window's beginning to the next's; WORDS_WINDOW if empty.")
WORDS_WATERMARK = Setting("WORDS_WATERMARK", "600", "Seconds that a line may be behind the newest and still count.")
WORDS_LAG_LINES = Setting(
    "WORDS_LAG_LINES", "1", "Unread lines of a topic, or files of a folder, for which a sensor requests a run at once."
)
WORDS_LAG_SECONDS = Setting(
    "WORDS_LAG_SECONDS", "10", "Age in seconds of the oldest unread line, or file, for which it requests one, too."
)
STREAM_HOME = Setting(
    "STREAM_HOME",
    "",
    "Folder where checkpoints are worked on, which all of Spark must see; LAKE_HOME's if empty.",
)
WORDS_SINK = Setting(
    "WORDS_SINK",
    "",
    "Where published word counts are delivered: kafka://host:port/topic, or a file; the environment's if empty.",
)
USERS_SOURCE = Setting("USERS_SOURCE", "generated", "Where users come from: generated, or a folder of Parquet files.")
SWEEP_AFTER_DAYS = Setting("SWEEP_AFTER_DAYS", "7", "Days that the branch of a failed run stays for inspection.")
GC_GRACE_DAYS = Setting("GC_GRACE_DAYS", "14", "Days that what nothing reaches any more stays, for garbage collection.")
DAGSTER_WEBSERVER_URL = Setting(
    "DAGSTER_WEBSERVER_URL", "", "Address of Dagster's web page, for links from commits to their runs."
)
S3_ENDPOINT_URL = Setting("S3_ENDPOINT_URL", "", "Endpoint of an S3-compatible source; empty for AWS.")

SETTINGS = (
    LAKE_ENV,
    LAKE_HOME,
    LAKEFS_ENDPOINT,
    LAKEFS_ACCESS_KEY_ID,
    LAKEFS_SECRET_ACCESS_KEY,
    LAKEFS_REPOSITORY,
    LAKEFS_STORAGE,
    LAKEFS_DEADLINE,
    KAFKA_SERVERS,
    KAFKA_SECURITY_PROTOCOL,
    KAFKA_SASL_MECHANISM,
    KAFKA_SASL_USERNAME,
    KAFKA_SASL_PASSWORD,
    KAFKA_SSL_CA,
    KAFKA_DEADLINE,
    SPARK_JARS,
    LAKE_EXECUTOR,
    SPARK_MASTER,
    SPARK_DRIVER_MEMORY,
    STOCKS_SOURCE,
    STOCKS_ROWS,
    STOCKS_MAX_QUARANTINED,
    STOCKS_PARTITIONS_PER_RUN,
    STOCKS_PROBE_HOURS,
    WORDS_SOURCE,
    WORDS_CSV,
    WORDS_STATE_STORE,
    WORDS_WINDOW,
    WORDS_SLIDE,
    WORDS_WATERMARK,
    WORDS_LAG_LINES,
    WORDS_LAG_SECONDS,
    STREAM_HOME,
    WORDS_SINK,
    USERS_SOURCE,
    SWEEP_AFTER_DAYS,
    GC_GRACE_DAYS,
    DAGSTER_WEBSERVER_URL,
    S3_ENDPOINT_URL,
)
