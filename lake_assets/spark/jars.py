"""Spark connectors that pyspark does not include. Spark's own resolver fetches them once into a folder."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector to fetch.

    Parameters
    ----------
    packages
        Maven coordinates.
    excluded
        Dependencies that are not needed, as ``group:artifact``.
    """

    packages: tuple[str, ...]
    excluded: tuple[str, ...] = ()


S3A = Connector(
    (
        "org.apache.hadoop:hadoop-aws:3.4.1",
        "org.apache.spark:spark-hadoop-cloud_2.13:4.0.0",
        *(f"software.amazon.awssdk:{part}:2.25.53" for part in ("s3", "s3-transfer-manager", "sts")),
    ),
    # Amazon's bundle has the clients of all its services, 550 MB, which each worker would get. Then connectors of other
    # clouds, on which spark-hadoop-cloud depends, and jars that Spark includes.
    (
        "software.amazon.awssdk:bundle",
        "com.google.cloud.bigdataoss:gcs-connector",
        "org.apache.hadoop:hadoop-azure",
        "org.apache.hadoop:hadoop-azure-datalake",
        "org.apache.hadoop:hadoop-cloud-storage",
        "org.apache.hadoop:hadoop-client-runtime",
        "org.apache.hadoop:hadoop-client-api",
        "com.fasterxml.jackson.core:jackson-databind",
        "com.fasterxml.jackson.core:jackson-annotations",
        "com.fasterxml.jackson.dataformat:jackson-dataformat-cbor",
        "org.apache.httpcomponents:httpclient",
        "org.apache.httpcomponents:httpcore",
        "joda-time:joda-time",
        "com.squareup.okhttp3:okhttp",
        "com.squareup.okio:okio",
        "org.eclipse.jetty:jetty-util",
        "org.eclipse.jetty:jetty-util-ajax",
        "org.slf4j:slf4j-api",
        "commons-codec:commons-codec",
        "commons-logging:commons-logging",
        *(
            f"io.netty:netty-{part}"
            for part in (
                *("buffer", "codec", "codec-http", "codec-http2", "common", "handler", "resolver", "transport"),
                *("transport-classes-epoll", "transport-native-unix-common"),
            )
        ),
    ),
)
"""The S3A file system, and the committers that do not rename."""

KAFKA = Connector(
    ("org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0",),
    # Jars that Spark includes.
    (
        "org.apache.hadoop:hadoop-client-runtime",
        "org.apache.hadoop:hadoop-client-api",
        "org.scala-lang.modules:scala-parallel-collections_2.13",
        "com.github.luben:zstd-jni",
        "com.google.code.findbugs:jsr305",
        "org.lz4:lz4-java",
        "org.slf4j:slf4j-api",
        "org.xerial.snappy:snappy-java",
    ),
)
"""Spark's source and sink for Kafka."""

POSTGRESQL = Connector(("org.postgresql:postgresql:42.7.7",), ("org.checkerframework:checker-qual",))
"""The driver of PostgreSQL for Spark's reader of databases."""

_RESOLVE = "from pyspark.java_gateway import launch_gateway; launch_gateway().shutdown()"
_DEADLINE = 1200


class JarsUnavailable(Exception):
    """The connectors could not be fetched."""


def connector_conf(
    folder: Path, connectors: Sequence[Connector], conf: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the Spark setting that adds connectors to a session. Empty without connectors.

    Spark sends these jars to its workers, which need not see the driver's disk.

    Parameters
    ----------
    folder, connectors
        As of :func:`jars`, which also describes the errors.
    conf
        Settings of the session. The jars that they name already are kept.
    """
    files = (jar for connector in connectors for jar in sorted(jars(folder, connector).glob("*.jar")))
    # A comma separates jars in the setting, and Spark decodes the path of a URI.
    uris = [jar.absolute().as_uri().replace(",", "%2C") for jar in files]
    named = (conf or {}).get("spark.jars", "")
    return {"spark.jars": ",".join([*filter(None, [named]), *uris])} if uris else {}


def jars(folder: Path, connector: Connector) -> Path:
    """Return the folder of a connector's jars. They are fetched on the first call.

    Parameters
    ----------
    folder
        Folder for the jars, which any number of projects can share.
    connector
        The connector.

    Raises
    ------
    JarsUnavailable
        The jars cannot be fetched, or the folder is not writable.
    """
    wanted = folder / "+".join(package.split(":", 1)[1].replace(":", "-") for package in connector.packages)
    if wanted.is_dir():
        return wanted
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not wanted.is_dir():
                _fetch(wanted, connector)
    except OSError as error:
        raise JarsUnavailable(
            f"the folder of Spark's jars cannot be used: {error}; set SPARK_JARS to another folder"
        ) from error
    return wanted


def _fetch(wanted: Path, connector: Connector) -> None:
    """Resolve the packages in a separate JVM, into a temporary folder, and rename it into place."""
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=wanted.parent) as place:
        arguments = ["--conf", f"spark.jars.ivy={place}", "--packages", ",".join(connector.packages)]
        if connector.excluded:
            arguments += ["--exclude-packages", ",".join(connector.excluded)]
        environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": shlex.join([*arguments, "pyspark-shell"])}
        command = [sys.executable, "-c", _RESOLVE]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_DEADLINE, check=True)
        except subprocess.SubprocessError as error:
            unresolved = [
                line.strip() for line in str(getattr(error, "stderr", "")).splitlines() if "unresolved" in line
            ]
            reason = (unresolved or [type(error).__name__])[0]
            raise JarsUnavailable(
                f"Spark's resolver could not fetch {', '.join(connector.packages)} ({reason}): "
                f"check the connection to Maven Central, or put the jars and their dependencies into {wanted}"
            ) from error
        shutil.move(Path(place) / "jars", wanted)
