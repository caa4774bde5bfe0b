"""The options of the driver's JVM: a quiet log, and an archive of classes that halves the time of a cold start.

An archive holds Spark's classes as a JVM has loaded and checked them (class data sharing, JEP 350). It is made once for
each Java, each pyspark and each version of the small job whose JVM writes it at its end. A JVM checks that an archive
fits, and starts without it otherwise.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from lake_assets.spark.session import check_java, is_local, java_program, java_release

OPTIONS = "spark.driver.extraJavaOptions"
"""Spark's setting for the options of the driver's JVM."""

_OF_EVERY_JVM = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")
_LATE = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
"""The second compiler begins ten times later than by default. In a run of seconds, it costs more than it brings."""
_ROOM = "-XX:MetaspaceSize=256m"
"""Bytes of classes at which a JVM first collects all garbage. By default it does so twice while Spark starts."""
_SERIAL = "-XX:+UseSerialGC"
_SMALL = 4 << 30
"""Bytes of a heap that one thread collects soon enough. The default collector works in the background all the time."""
_UNITS = {"": 1 << 20, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DEADLINE = 600
_LOG = Path(__file__).parent / "conf" / "log4j2.properties"
_TRAINING = Path(__file__).parent / "training.py"
"""The job that makes an archive. What it uses is in the archive."""


class ArchiveFailed(Exception):
    """The archive could not be made."""


def driver_options(folder: Path, conf: Mapping[str, str]) -> dict[str, str]:
    """Return the setting of the driver's Java options: ours, and after them those that the settings have already.

    Parameters
    ----------
    folder
        Folder of Spark's connectors and archives.
    conf
        Settings of the session.
    """
    archive = archive_path(folder)
    return _with_options(conf, *_light(conf), *((f"-XX:SharedArchiveFile={archive}",) if archive.is_file() else ()))


def _light(conf: Mapping[str, str]) -> tuple[str, ...]:
    """Return options for short runs of Spark on this machine alone. A JVM does not start with two collectors."""
    if not is_local(conf.get("spark.master", "local")):
        return ()
    given = " ".join([conf.get(OPTIONS, ""), *(os.environ.get(name, "") for name in _OF_EVERY_JVM)])
    serial = _bytes(conf.get("spark.driver.memory", "1g")) <= _SMALL and not re.search(r"-XX:\+Use\w*GC\b", given)
    return (*_LATE, _ROOM, _SERIAL) if serial else (*_LATE, _ROOM)


def _bytes(memory: str) -> int:
    """Return the bytes of Spark's way to write memory, such as ``2g``; many, if it is written in another way."""
    found = re.fullmatch(r"(\d+)([kmgt]?)b?", memory.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else _SMALL + 1


def archive_path(folder: Path) -> Path:
    """Return the path of the archive for this Java, this pyspark and this training, whether it exists or not.

    Parameters
    ----------
    folder
        Folder of Spark's connectors and archives.
    """
    described = "\n".join([java_release(java_program()), *spark_jars(), _TRAINING.read_text()])
    return folder / f"classes-{sha256(described.encode()).hexdigest()[:16]}.jsa"


def spark_jars() -> list[str]:
    """Describe Spark's jars as a JVM compares them with those of an archive: by path, size and time."""
    spark = find_spec("pyspark")
    jars = Path(spark.origin).parent / "jars" if spark is not None and spark.origin else Path()
    found = sorted((jar.path, jar.stat()) for jar in os.scandir(jars) if jar.name.endswith(".jar"))
    return [f"{path} {status.st_size} {int(status.st_mtime)}" for path, status in found]


def make_archive(folder: Path) -> Path:
    """Make the archive if there is none, and return its path. This takes half a minute.

    Parameters
    ----------
    folder
        Folder of Spark's connectors and archives.

    Raises
    ------
    RuntimeError
        There is no suitable Java.
    ArchiveFailed
        The folder is not writable, or the job that makes the archive failed.
    """
    check_java()
    archive = archive_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".archives.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Nobody else makes one now, so what lies there is of a killed process.
            for left in folder.glob(".archive-*"):
                shutil.rmtree(left)
            if not archive.is_file():
                _make(archive)
    except OSError as error:
        raise ArchiveFailed(f"{archive} cannot be written ({error}); set SPARK_JARS to another folder") from error
    return archive


def _make(archive: Path) -> None:
    """Run the training job. Its JVM writes the archive, which is renamed into place when it is whole."""
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=archive.parent) as place:
        written = Path(place) / archive.name
        command = [sys.executable, "-m", "lake_assets.spark.training", str(written), place]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE, check=True)
        except subprocess.SubprocessError as error:
            reason = (str(getattr(error, "stderr", "")).strip().splitlines() or [type(error).__name__])[-1]
            raise ArchiveFailed(f"the job that makes Spark's archive of classes failed: {reason}") from error
        if not written.is_file():
            raise ArchiveFailed("the JVM wrote no archive of classes: this Java may not support it")
        written.rename(archive)


def training_options(written: Path) -> dict[str, str]:
    """Return the setting with which a JVM writes the archive at its end.

    Parameters
    ----------
    written
        Where it is written.
    """
    return _with_options({}, f"-XX:ArchiveClassesAtExit={written}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")


def _with_options(conf: Mapping[str, str], *options: str) -> dict[str, str]:
    ours = (f"-Dlog4j2.configurationFile={_LOG.as_uri()}", *options)
    return {OPTIONS: " ".join([*map(_quoted, ours), *filter(None, [conf.get(OPTIONS)])])}


def _quoted(option: str) -> str:
    """Quote an option as Spark's launcher parses it."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
