"""A Spark cluster that shares nothing: a master and two workers that see neither the driver's folders nor its settings.

Each worker is in a mount namespace of its own, where repository, home folder and temporary folder are empty. It sees
the virtual environment, as in the image of a real cluster, at a path that the driver does not have.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyspark
import pytest

from lake_assets.spark.session import check_java
from lake_assets_tests.ports import free_ports

ROOT = Path(__file__).parent.parent
_START = 120.0


class SparkCluster:
    """A cluster, which :meth:`start` starts.

    Parameters
    ----------
    place
        A folder that workers see.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        port, self._page = free_ports(2)
        self.master = f"spark://127.0.0.1:{port}"
        self.python = place / "image" / "bin" / "python"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._port = port

    def start(self, workers: int) -> None:
        """Start it.

        Parameters
        ----------
        workers
            Number of workers, with a core and a gigabyte each.
        """
        self._install(self.place / "packages")
        home = str(Path(pyspark.__file__).parent)
        program = "org.apache.spark.deploy.master.Master"
        ports = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._page)]
        self._start([f"{home}/bin/spark-class", program, *ports], {"SPARK_HOME": home})
        self.wait_for(0)
        for number in range(workers):
            self.add_worker(number)
        self.wait_for(workers)

    @property
    def conf(self) -> str:
        """The settings of a driver, as lines of SPARK_CONF."""
        return f"{self.bare_conf}\nspark.executorEnv.PYTHONPATH={self.place / 'packages'}"

    @property
    def page(self) -> str:
        """The address of the master's page."""
        return f"http://127.0.0.1:{self._page}"

    @property
    def bare_conf(self) -> str:
        """The same for workers that do not have this package."""
        return f"spark.driver.host=127.0.0.1\nspark.pyspark.python={self.python}\nspark.executor.memory=640m"

    @staticmethod
    def _install(folder: Path) -> None:
        """Copy this package for the workers, as its wheel has it. They cannot import Dagster."""
        shutil.copytree(ROOT / "lake_assets", folder / "lake_assets", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "dagster.py").write_text('raise ImportError("workers have no Dagster")\n')

    def add_worker(self, number: int) -> None:
        """Start a worker.

        Parameters
        ----------
        number
            Its number, which no other worker of this cluster has.
        """
        work = self.place / f"work-{number}"
        work.mkdir()
        program = [sys.executable, "-m", "lake_assets_tests.spark_worker"]
        # Executors of one address would read each other's shuffle files from a disk that they do not share.
        host = f"127.0.0.{2 + number}"
        command = [
            "unshare",
            "--mount",
            *program,
            self.master,
            host,
            str(self.place / "image"),
            str(work),
            *map(str, hidden()),
        ]
        self._start(command, {})

    def logs(self) -> str:
        """Return all that master, workers and executors have said."""
        files = [self.place / "log", *self.place.glob("work-*/*/*/std*")]
        return "".join(file.read_text(errors="replace") for file in files)

    def alive(self) -> int:
        """Return the number of workers that the master knows; -1 without a master."""
        with suppress(OSError), urllib.request.urlopen(f"{self.page}/json/", timeout=5) as answer:
            return answer.read().count(b'"ALIVE"') - 1
        return -1

    def wait_for(self, workers: int) -> None:
        """Wait for so many workers.

        Parameters
        ----------
        workers
            The number.
        """
        end = time.monotonic() + _START
        while self.alive() < workers:
            if time.monotonic() > end or self.processes[-1].poll() is not None:
                raise RuntimeError(f"the cluster does not start: {(self.place / 'log').read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End all processes, and remove the folder."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        plain = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment}
        if os.environ.get("JAVA_HOME"):
            plain["JAVA_HOME"] = os.environ["JAVA_HOME"]
        with (self.place / "log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=plain, cwd=ROOT, start_new_session=True)
            )


def hidden() -> list[Path]:
    """Return what workers do not see: the repository, the home folder, and where tests keep their files."""
    return [ROOT, Path.home(), Path(tempfile.gettempdir())]


@contextmanager
def spark_cluster(workers: int = 2) -> Iterator[SparkCluster]:
    """Yield a cluster; skip where there can be none."""
    try:
        check_java()
    except RuntimeError as error:
        _unavailable(str(error))
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        _unavailable("no mount namespace can be made here")
    place = Path(tempfile.mkdtemp(prefix=f"lake-assets-cluster-{os.getpid()}-", dir="/var/tmp"))
    cluster = SparkCluster(place)
    try:
        cluster.start(workers)
        yield cluster
    finally:
        cluster.stop()


def _unavailable(reason: str) -> None:
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(f"{reason}, and REQUIRE_SERVICES is set")
    pytest.skip(f"wants a Spark cluster: {reason}")
