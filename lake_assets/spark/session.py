"""The settings of every Spark session, the Java that it needs, and how Spark spells a path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUPPORTED_JAVA = (17, 21)

AS_NAMED = {"__globPaths__": "false"}
"""Option of Spark's readers that are no streams: one path is one file or folder, whatever wildcards are in its name."""
_HADOOP = "spark.hadoop."
_SECRET = re.compile("secret|password|token|access[.]?key", re.IGNORECASE)
"""Spark's own rule (`spark.redaction.regex`) for names of settings that it shows no value of."""

_WILDCARDS = frozenset("\\*?{}[]")


def session_conf() -> dict[str, str]:
    """Return the settings every session of ours has, whatever its master."""
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        # Loopback unless configured: nothing on this machine listens on an outer address.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": "8",
        # Partition values are strings, as their keys are: hour "08" is not 8.
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        # Not INT96, which other engines read as another century past the year 2262.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.log.level": "ERROR",
    }


def without_credentials(conf: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings that a session may start with, and Hadoop's credentials, for :func:`give_credentials`.

    What a session starts with stands on the command line of its JVM, which every user of the machine can read.
    """
    secret = {name for name in conf if name.startswith(_HADOOP) and _SECRET.search(name)}
    public = {name: value for name, value in conf.items() if name not in secret}
    return public, {name.removeprefix(_HADOOP): conf[name] for name in secret}


def give_credentials(session: SparkSession, credentials: Mapping[str, str]) -> None:
    """Set Hadoop's credentials in a running session; its executors get them with what they are to read and write."""
    # Spark has no public way to its JVM.
    context: Any = session._jsc  # pyright: ignore[reportPrivateUsage]
    configuration = context.hadoopConfiguration()
    for name, value in credentials.items():
        configuration.set(name, value)


def prepare_process() -> None:
    """Set what Spark reads from the process's environment when its JVM starts."""
    # Workers would otherwise run the system's Python.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    # In a locale without UTF-8 a JVM finds no file whose name is more than ASCII.
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "C")
    if not locale.lower().replace("-", "").endswith("utf8"):
        os.environ["LC_ALL"] = "C.UTF-8"
    # A site's own configuration wins; without one, the log is quiet from the first line on.
    os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "conf"))


def read_any_file_name(session: SparkSession) -> None:
    """Have Hadoop look for no checksum beside a local file: its name cannot be spelled where there is a ``:``.

    By the setting ``fs.file.impl`` another class would do without, but the S3A connector refuses that one.
    """
    # Spark has no public way to its JVM.
    java: Any = session._jvm  # pyright: ignore[reportPrivateUsage]
    context: Any = session._jsc  # pyright: ignore[reportPrivateUsage]
    # One file system for the whole JVM.
    local = java.org.apache.hadoop.fs.FileSystem.getLocal(context.hadoopConfiguration())
    local.setVerifyChecksum(False)
    local.setWriteChecksum(False)


def file_uri(path: str | Path) -> str:
    """Return what Spark reads as this very file or folder: wildcards in its name stand for themselves."""
    return literal(f"file://{path}")


def literal(uri: str) -> str:
    """Return what Spark reads as this very URI: it takes wildcards in it for themselves."""
    return re.sub(r"([\\*?{}\[\]])", r"\\\1", uri)


def can_be_escaped(path: str) -> bool:
    """Tell whether Spark finds a path as :func:`file_uri` spells it: not where there is a ':' beside a wildcard."""
    return ":" not in path or not _WILDCARDS & set(path)


def java_version() -> tuple[str, int | None]:
    """Return the java program that Spark would start, and its major version; None where it does not run."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return java, None
    found = re.search(r'version "(\d+)', answer.stderr)
    return java, int(found[1]) if found else None


def check_java() -> None:
    """Refuse to start without a Java that Spark 4.0 runs on.

    Raises
    ------
    RuntimeError
        There is none, or of another version than 17 or 21.
    """
    java, major = java_version()
    if major not in SUPPORTED_JAVA:
        found = f"{java!r} is version {major}" if major else f"{java!r} does not run"
        raise RuntimeError(
            f"Spark 4.0 needs Java 17 or 21, and {found}: install it, such as "
            "`apt-get install openjdk-17-jre-headless`, or point JAVA_HOME to it"
        )
