"""Spark's connectors that pyspark does not ship: fetched once by Spark's own resolver, kept in one folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

S3A = ("org.apache.hadoop:hadoop-aws:3.4.1", "org.apache.spark:spark-hadoop-cloud_2.13:4.0.0")
"""The S3A file system, and the committers that do not rename."""

# Connectors of other clouds, which spark-hadoop-cloud brings with it, and what Spark has already.
_EXCLUDED = (
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
)
_RESOLVE = "from pyspark.java_gateway import launch_gateway; launch_gateway().shutdown()"
_DEADLINE = 1200


class JarsUnavailable(Exception):
    """The connectors could not be fetched."""


def jars(folder: Path, packages: Sequence[str]) -> Path:
    """Return the folder of a connector's jars, fetched there by the first who asks.

    Parameters
    ----------
    folder
        Where jars are kept, for any number of projects.
    packages
        Maven coordinates.

    Raises
    ------
    JarsUnavailable
        They cannot be fetched, or the folder cannot be written.
    """
    wanted = folder / "+".join(package.split(":", 1)[1].replace(":", "-") for package in packages)
    if wanted.is_dir():
        return wanted
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not wanted.is_dir():
                _fetch(wanted, packages)
    except OSError as error:
        raise JarsUnavailable(
            f"the folder of Spark's jars cannot be used: {error}; set SPARK_JARS to another"
        ) from error
    return wanted


def _fetch(wanted: Path, packages: Sequence[str]) -> None:
    """Resolve in a JVM of its own, beside the folder, and rename into place."""
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=wanted.parent) as place:
        arguments = f"--packages {','.join(packages)} --exclude-packages {','.join(_EXCLUDED)}"
        environment = {
            **os.environ,
            "PYSPARK_SUBMIT_ARGS": f"--conf spark.jars.ivy={place} {arguments} pyspark-shell",
        }
        command = [sys.executable, "-c", _RESOLVE]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_DEADLINE, check=True)
        except subprocess.SubprocessError as error:
            said = [line.strip() for line in str(getattr(error, "stderr", "")).splitlines() if "unresolved" in line]
            raise JarsUnavailable(
                f"Spark's resolver could not fetch {', '.join(packages)} ({(said or [type(error).__name__])[0]}): "
                f"check the connection to Maven Central, or put the jars and what they need into {wanted}"
            ) from error
        shutil.move(Path(place) / "jars", wanted)
