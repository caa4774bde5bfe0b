"""The settings of every Spark session, the required Java version, and paths for Spark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUPPORTED_JAVA = (17, 21)

SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"
MAINTENANCE_INTERVAL = "spark.sql.streaming.stateStore.maintenanceInterval"
"""Between two times that the state of streams is tidied: deltas become snapshots, and old ones go."""

AS_NAMED = {"__globPaths__": "false"}
"""Option of Spark's batch readers: wildcard characters in a path are part of the name."""
_HADOOP = "spark.hadoop."
_SECRET = re.compile("secret|password|token|access[.]?key", re.IGNORECASE)
"""Spark's own pattern (`spark.redaction.regex`) for the names of settings whose values are secret."""

_WILDCARDS = frozenset("\\*?{}[]")


def session_conf(master: str = "local[*]") -> dict[str, str]:
    """Return the default settings of a session.

    Parameters
    ----------
    master
        Spark's master. Only a local one is confined to the loopback interface, since the workers of a cluster connect
        to the driver; and only its workers are sure to have this package.
    """
    here = {
        # Only loopback where nobody else needs to connect, so that no port is open to other machines.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.python.daemon.module": "lake_assets.spark.python_daemon",
    }
    return {
        **(here if is_local(master) else {}),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": "2g",
        SHUFFLE_PARTITIONS: "8",
        # A JVM has one interval, that of its first stream. On one machine a batch over few lines takes less than a
        # second, and its state would never be tidied. On a cluster it takes longer, and each look costs requests.
        MAINTENANCE_INTERVAL: "100ms" if is_local(master) else "1s",
        # Partition values are strings, like partition keys: hour "08" is not 8.
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        # Not INT96, from which other engines read wrong times after the year 2262.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.log.level": "ERROR",
    }


def is_local(master: str) -> bool:
    """Tell whether Spark's workers are threads of the driver: ``local``, ``local[4]``, ``local[*]``."""
    return master.partition("[")[0] == "local"


def generate_no_code(session: SparkSession) -> None:
    """Let a session interpret its queries, which is faster for few lines: code is compiled in 0.2 to 0.8 s a query.

    Parameters
    ----------
    session
        A session that is used for nothing else.
    """
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")


def without_credentials(conf: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split settings into those that a session can start with, and Hadoop credentials for :func:`give_credentials`.

    The settings that a session starts with are on the command line of its JVM, which all users of the machine can read.

    Parameters
    ----------
    conf
        The settings.
    """
    secret = {name for name in conf if name.startswith(_HADOOP) and _SECRET.search(name)}
    public = {name: value for name, value in conf.items() if name not in secret}
    return public, {name.removeprefix(_HADOOP): conf[name] for name in secret}


def give_credentials(session: SparkSession, credentials: Mapping[str, str]) -> None:
    """Set Hadoop credentials in a running session. Executors get them together with their tasks.

    Parameters
    ----------
    session
        The session.
    credentials
        Name to value, from :func:`without_credentials`.
    """
    # Spark has no public API for its JVM.
    context: Any = session._jsc  # pyright: ignore[reportPrivateUsage]
    configuration = context.hadoopConfiguration()
    for name, value in credentials.items():
        configuration.set(name, value)


def prepare_process(conf: Mapping[str, str] | None = None) -> None:
    """Set the environment variables that Spark reads when its JVM starts.

    Parameters
    ----------
    conf
        Settings of the session. ``spark.pyspark.python`` is the Python of its workers; without it, those of a cluster
        use ``python3``.
    """
    conf = conf or {}
    # Otherwise local workers use the system's Python. Those of a cluster do not have this one.
    ours = sys.executable if is_local(conf.get("spark.master", "local")) else "python3"
    os.environ["PYSPARK_PYTHON"] = conf.get("spark.pyspark.python", ours)
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    # In a locale without UTF-8, a JVM does not find files with non-ASCII names.
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "C")
    if not locale.lower().replace("-", "").endswith("utf8"):
        os.environ["LC_ALL"] = "C.UTF-8"
    # A site's own configuration takes precedence. Spark has this folder on its class path even if there is none, and
    # a JVM uses no archive of classes if there is a folder with files on the class path.
    os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "no-conf"))


def read_any_file_name(session: SparkSession) -> None:
    """Make Hadoop ignore checksum files of local files, because it cannot handle their names if there is a ``:``.

    The setting ``fs.file.impl`` could select a file system without checksums, but the S3A connector refuses that.
    """
    # Spark has no public API for its JVM.
    java: Any = session._jvm  # pyright: ignore[reportPrivateUsage]
    context: Any = session._jsc  # pyright: ignore[reportPrivateUsage]
    # The JVM has a single local file system.
    local = java.org.apache.hadoop.fs.FileSystem.getLocal(context.hadoopConfiguration())
    local.setVerifyChecksum(False)
    local.setWriteChecksum(False)


def file_uri(path: str | Path) -> str:
    """Return the URI of a file or folder for Spark, with wildcard characters escaped."""
    return literal(f"file://{path}")


def literal(uri: str) -> str:
    """Escape the wildcard characters in a URI for Spark."""
    return re.sub(r"([\\*?{}\[\]])", r"\\\1", uri)


def can_be_escaped(path: str) -> bool:
    """Tell whether Spark finds a path that :func:`file_uri` escaped: it may not have both ':' and wildcards."""
    return ":" not in path or not _WILDCARDS & set(path)


def java_version() -> tuple[str, int | None]:
    """Return the Java program that Spark would start, and its major version. The version is None if it fails."""
    java = java_program()
    found = re.search(r'version "(\d+)', java_release(java))
    return java, int(found[1]) if found else None


def java_release(java: str) -> str:
    """Return what a Java program says of its version, or an empty text if it fails.

    Parameters
    ----------
    java
        The program, by name or path.
    """
    program = shutil.which(java)
    return _release(program) if program is not None else ""


@cache
def _release(program: str) -> str:
    # A session asks twice, and starting a JVM takes a quarter of a second.
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stderr


def java_program() -> str:
    """Return the Java program that Spark starts."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def check_java() -> None:
    """Check that there is a Java for Spark 4.0.

    Raises
    ------
    RuntimeError
        Java is missing, or its version is not 17 or 21.
    """
    java, major = java_version()
    if major not in SUPPORTED_JAVA:
        found = f"{java!r} is version {major}" if major else f"{java!r} does not run"
        raise RuntimeError(
            f"Spark 4.0 needs Java 17 or 21, and {found}: install it, such as "
            "`apt-get install openjdk-17-jre-headless`, or point JAVA_HOME to it"
        )
