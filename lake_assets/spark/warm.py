"""The JVM of a process that executes one run after another: it outlives Spark's sessions, and nothing of them stays.

The JVM is started apart from the first session. Otherwise the settings of that session would be system properties of
the JVM, from which every later session would take them. Its output goes through this process's own stdout and stderr,
which are redirected during a step. A JVM of its own would keep those that it was started with.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lake_assets.spark.jvm import spark_jars

_PREFIX = "spark."
_AT_START = ("spark.driver.", "spark.jars", "spark.master", "spark.files", "spark.archives", "spark.submit.")
"""Beginnings of the settings that a JVM must be started with."""
_DEADLINE = 30.0


@dataclass
class _Kept:
    """What is known of the JVM of this process."""

    on: bool = False
    pinned: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    jars: list[str] = field(default_factory=list)
    properties: Mapping[str, str] = field(default_factory=dict)


_kept = _Kept()


def keep() -> None:
    """Let the JVM of this process outlive the sessions, from now on."""
    _kept.on = True


@contextmanager
def any_session_fits() -> Generator[None]:
    """Within this, sessions use the JVM that is there, whatever their settings: those of the warm-up."""
    _kept.pinned = True
    try:
        yield
    finally:
        _kept.pinned = False


def prepare_jvm(settings: Mapping[str, str]) -> None:
    """Start the JVM for a session, if it is to be kept.

    One that was started with other memory, options or jars is replaced, also if a jar was replaced on disk.

    Parameters
    ----------
    settings
        Settings of the session. None of them is secret.
    """
    if not _kept.on or (_kept.pinned and is_alive()):
        return
    wanted = {name: value for name, value in settings.items() if name.startswith(_AT_START)}
    jars = [*spark_jars(), *_named_jars(settings)]
    if is_alive() and (_kept.settings, _kept.jars) == (wanted, jars):
        return
    end_jvm()
    _start(wanted)
    _kept.settings, _kept.jars = wanted, jars


def _named_jars(settings: Mapping[str, str]) -> list[str]:
    """Describe the jars that a setting names: by path, size and time where they are on this machine."""
    described: list[str] = []
    for uri in filter(None, settings.get("spark.jars", "").split(",")):
        path = Path(unquote(urlsplit(uri).path))
        described.append(f"{uri} {path.stat().st_size} {path.stat().st_mtime_ns}" if path.is_file() else uri)
    return described


def _start(settings: Mapping[str, str]) -> None:
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    conf = SparkConf(loadDefaults=False)
    for name, value in settings.items():
        conf.set(name, value)
    outputs = {"stdout": 1, "stderr": 2}
    relays = {name: os.pipe() for name in outputs}
    try:
        gateway = launch_gateway(conf, {name: written for name, (_, written) in relays.items()})
    finally:
        for name, (read, written) in relays.items():
            os.close(written)
            threading.Thread(target=_relay, args=(read, outputs[name]), daemon=True, name=f"jvm-{name}").start()
    # Spark has no public API for a JVM that is there already.
    shared: Any = SparkContext
    shared._gateway, shared._jvm = gateway, gateway.jvm
    _kept.properties = dict(_properties())


def _relay(read: int, to: int) -> None:
    """Write what the JVM says to this process's own output, whatever that is at the moment."""
    with os.fdopen(read, "rb", buffering=0) as said:
        while piece := said.read(1 << 16):
            while piece:
                try:
                    piece = piece[os.write(to, piece) :]
                except OSError:
                    break


def is_alive() -> bool:
    """Tell whether there is a JVM, and its process lives."""
    gateway = _gateway()
    return gateway is not None and gateway.proc.poll() is None


def clean_jvm() -> bool:
    """Undo what sessions have left in the JVM. Returns whether it can be used again: it lives, or there is none."""
    if _gateway() is None:
        return True
    if not is_alive():
        return False
    from pyspark import SparkContext

    shared: Any = SparkContext
    if shared._active_spark_context is not None:
        # Views, functions, the cache and the settings of a session end with it.
        shared._active_spark_context.stop()
    jvm = shared._jvm
    # Connections with the address and credentials of a run.
    jvm.org.apache.hadoop.fs.FileSystem.closeAll()
    system = jvm.java.lang.System
    for name, value in _properties():
        if name not in _kept.properties:
            system.clearProperty(name)
        elif value != _kept.properties[name]:
            system.setProperty(name, _kept.properties[name])
    for name in _kept.properties.keys() - dict(_properties()):
        system.setProperty(name, _kept.properties[name])
    system.gc()
    return True


def _properties() -> list[tuple[str, str]]:
    """Return the JVM's system properties that Spark reads as settings."""
    gateway = _gateway()
    assert gateway is not None
    properties = gateway.jvm.java.lang.System.getProperties()
    names = [str(name) for name in properties.stringPropertyNames()]
    return [(name, str(properties.getProperty(name))) for name in names if name.startswith(_PREFIX)]


def end_jvm() -> None:
    """End the JVM of this process, if there is one."""
    gateway = _gateway()
    if gateway is None:
        return
    from pyspark import SparkContext

    shared: Any = SparkContext
    if shared._active_spark_context is not None and gateway.proc.poll() is None:
        shared._active_spark_context.stop()
    gateway.shutdown()
    # It ends when its input does.
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(_DEADLINE)
    except Exception:  # noqa: BLE001 -- whatever it does, it is not needed any more
        gateway.proc.kill()
        gateway.proc.wait()
    shared._gateway = shared._jvm = shared._active_spark_context = None


def _gateway() -> Any:
    import sys

    # A process that has not imported pyspark has no JVM.
    if "pyspark" not in sys.modules:
        return None
    from pyspark import SparkContext

    shared: Any = SparkContext
    return shared._gateway
