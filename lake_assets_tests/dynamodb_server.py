"""A real DynamoDB Local for the tests, and for a try: one process, in memory, on loopback, from Maven Central."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import Connector, JarsUnavailable, jars
from lake_assets.spark.session import check_java
from lake_assets_tests.ports import free_ports

SERVER = Connector(("com.amazonaws:DynamoDBLocal:2.6.1",))

_START = 120
"""Seconds that a server may take to start, on a machine that is busy with other tests."""


class DynamoDBServer:
    """One server, which keeps its tables in memory.

    Parameters
    ----------
    port
        Where it listens on loopback; a free port if 0.
    """

    def __init__(self, port: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lake-assets-dynamodb-")
        self.port = port or free_ports(1)[0]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        folder = jars(SparkSettings.read().jars.expanduser(), SERVER)
        java = str(Path(os.environ["JAVA_HOME"]) / "bin" / "java") if "JAVA_HOME" in os.environ else "java"
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        output = Path(self._folder.name) / "output"
        with output.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    java,
                    *options,
                    "-DDDB_LOCAL_TELEMETRY=0",
                    "-cp",
                    f"{folder}/*",
                    "com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
                    "-inMemory",
                    "-port",
                    str(self.port),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder.name,
                env={**os.environ, "DDB_LOCAL_TELEMETRY": "0"},
            )
        end = time.monotonic() + _START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"DynamoDB Local did not start: {output.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def options(self, **changed: Any) -> dict[str, Any]:
        """Return what opens a store of its own: other names than every other test's, and keys good for nothing else."""
        return {
            "prefix": f"test-{uuid4().hex}",
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "access_key_id": "testing",
            "secret_access_key": "testing",
            "lease_seconds": 20.0,
        } | changed

    def stop(self) -> None:
        """End it. Its tables are gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def own_server() -> DynamoDBServer:
    """Return a server, not yet started; skips where there is none to be had."""
    try:
        check_java()
        jars(SparkSettings.read().jars.expanduser(), SERVER)
    except (RuntimeError, JarsUnavailable) as error:
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(f"{error}, and REQUIRE_SERVICES is set")
        pytest.skip(f"wants a real DynamoDB Local: {error}")
    return DynamoDBServer()
