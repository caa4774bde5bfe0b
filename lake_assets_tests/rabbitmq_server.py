"""A real RabbitMQ for the tests, with streams, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from lake_assets_tests.database_servers import unavailable
from lake_assets_tests.ports import free_ports

_START = 120


class RabbitMQServer:
    """One node, on ports of its own."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server"))
        program = str(found[-1]) if found else shutil.which("rabbitmq-server")
        if not program or not shutil.which("erl"):
            unavailable("RabbitMQ", "rabbitmq-server is not found: apt-get install rabbitmq-server")
        self.folder = Path(tempfile.mkdtemp(prefix="lake-assets-rabbitmq-", dir="/tmp"))
        user = os.getuid()
        if user == 0:
            user = pwd.getpwnam("rabbitmq").pw_uid
            os.chown(self.folder, user, -1)
        self.port, self.stream_port, epmd, dist = free_ports(4)
        (self.folder / "plugins").write_text("[rabbitmq_stream].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nstream.listeners.tcp.1 = 127.0.0.1:{self.stream_port}\n"
            f"stream.advertised_host = 127.0.0.1\nstream.advertised_port = {self.stream_port}\n"
            "disk_free_limit.absolute = 1MB\nlog.console = false\n"
        )
        self._environment = {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self._as_user = {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [program],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._as_user,
            )
        end = time.monotonic() + _START
        while not (_listens(self.port) and _listens(self.stream_port)):
            if self._process.poll() is not None or time.monotonic() > end:
                told = (self.folder / "output").read_text()[-2000:]
                self.stop()
                raise RuntimeError(f"RabbitMQ does not start: {told}")
            time.sleep(0.1)

    @property
    def queue_address(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    @property
    def stream_address(self) -> str:
        return f"rabbitmq-stream://guest:guest@127.0.0.1:{self.stream_port}"

    def stop(self) -> None:
        """Stop it and its port mapper, and remove its data."""
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
        subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
