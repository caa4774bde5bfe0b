"""A real lakeFS server for the tests: the `lakefs` program found on PATH, in a fresh folder, on loopback."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest

from lake_assets_tests.ports import free_ports

_RUNNING = os.environ.get("LAKEFS_ENDPOINT", "")

CREDENTIALS = (
    (os.environ["LAKEFS_ACCESS_KEY_ID"], os.environ["LAKEFS_SECRET_ACCESS_KEY"])
    if _RUNNING
    else ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
)
"""Of the running server, or of those that the tests start: the well-known example keys, good for nothing else."""

_CONFIGURATION = """\
listen_address: 127.0.0.1:{port}
database: {{type: local, local: {{path: {folder}/metadata}}}}
blockstore: {{type: local, local: {{path: {folder}/objects}}}}
auth: {{encrypt: {{secret_key: a test server on loopback}}}}
installation: {{user_name: admin, access_key_id: {key}, secret_access_key: {secret}}}
stats: {{enabled: false}}
security: {{check_latest_version: false}}
logging: {{level: WARN, output: {folder}/log}}
"""


class LakeFSServer:
    """One server: started, stopped, started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        configuration = _CONFIGURATION.format(port=self.port, folder=folder, key=CREDENTIALS[0], secret=CREDENTIALS[1])
        (folder / "lakefs.yaml").write_text(configuration)

    def start(self) -> None:
        """Start it and wait until it says that it is well."""
        command = ["lakefs", "--config", str(self.folder / "lakefs.yaml"), "run"]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder)
        end = time.monotonic() + 60
        while not self._is_well():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"lakefs does not start: {(self.folder / 'output').read_text()[-2000:]}")
            time.sleep(0.05)

    def _is_well(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Stop it, as an operator would; its data stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)
            self._process = None


def own_server() -> LakeFSServer:
    """Return a server for one test alone, not yet started; skips where there is no program to run."""
    if shutil.which("lakefs") is None:
        _unavailable("no `lakefs` program is on PATH")
    return LakeFSServer(Path(tempfile.mkdtemp(prefix="lake-assets-lakefs-")))


@cache
def shared_endpoint() -> str:
    """Return the server that the tests of a session share, started at first use; skips where there is none."""
    if _RUNNING:
        return _RUNNING
    server = own_server()
    server.start()
    owner = os.getpid()

    def end() -> None:
        # A forked child must not stop its parent's.
        if os.getpid() == owner:
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)

    atexit.register(end)
    return server.endpoint


def fresh_repository() -> str:
    """Return the address of a repository that does not exist yet: ``<endpoint>/<repository>``."""
    return f"{shared_endpoint()}/test-{uuid4().hex}"


def _unavailable(reason: str) -> None:
    """Skip, or fail where servers are required."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(f"{reason}, and REQUIRE_SERVICES is set")
    pytest.skip(f"wants a real lakeFS server: {reason}")
