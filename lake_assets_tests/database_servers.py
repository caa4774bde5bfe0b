"""Real servers of databases for the tests: PostgreSQL and MariaDB, on loopback, with data of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import pytest

from lake_assets_tests.ports import free_ports

_START = 60


class DatabaseServer:
    """A running server.

    Parameters
    ----------
    url
        Its address, with a user that may do anything.
    """

    def __init__(self, url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._folder = folder
        self._process = process

    def stop(self) -> None:
        """Stop it, and remove its data."""
        self._process.send_signal(signal.SIGQUIT if "postgres" in self.url else signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)


def start_postgresql() -> DatabaseServer:
    """Start PostgreSQL; skips where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if not initdb:
        unavailable("PostgreSQL", "initdb is not found: apt-get install postgresql")
    folder, user = _folder_of("postgres")
    programs = Path(initdb).parent
    password = folder / "password"
    password.write_text("p/a@s:s\n")
    password.chmod(0o644)
    _run(
        [
            initdb,
            "-D",
            f"{folder}/data",
            "-U",
            "tester",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
        ],
        user,
    )
    (port,) = free_ports(1)
    options = [f"--port={port}", f"--unix_socket_directories={folder}", "--listen_addresses=127.0.0.1", "--fsync=off"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(programs / "postgres"), "-D", f"{folder}/data", *options],
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=_group(user),
            extra_groups=[],
        )
    server = DatabaseServer(f"postgresql://tester:p%2Fa%40s%3As@127.0.0.1:{port}/postgres", folder, process)
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    _wait(server, process, folder, lambda: subprocess.run(ready, check=False).returncode == 0)
    return server


def start_mariadb() -> DatabaseServer:
    """Start MariaDB; skips where it is not installed."""
    program, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if not program or not install:
        unavailable("MariaDB", "mariadbd is not found: apt-get install mariadb-server")
    folder, user = _folder_of("mysql")
    _run(
        [
            install,
            "--no-defaults",
            f"--datadir={folder}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        user,
    )
    (port,) = free_ports(1)
    begin = folder / "begin.sql"
    # A statement a line.
    begin.write_text(
        "CREATE DATABASE test;\nCREATE USER tester@'127.0.0.1' IDENTIFIED BY 'p/a@s:s';\n"
        "GRANT ALL ON *.* TO tester@'127.0.0.1';\n"
    )
    begin.chmod(0o644)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                program,
                "--no-defaults",
                f"--datadir={folder}/data",
                f"--port={port}",
                "--bind-address=127.0.0.1",
                f"--socket={folder}/socket",
                f"--init-file={begin}",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=_group(user),
            extra_groups=[],
        )
    server = DatabaseServer(f"mysql://tester:p%2Fa%40s%3As@127.0.0.1:{port}/test", folder, process)
    client = [
        str(shutil.which("mariadb")),
        "--no-defaults",
        "-h127.0.0.1",
        f"-P{port}",
        "-utester",
        "-pp/a@s:s",
        "test",
    ]
    _wait(
        server,
        process,
        folder,
        lambda: subprocess.run([*client, "-e", "SELECT 1"], check=False, capture_output=True).returncode == 0,
    )
    server.client = client  # pyright: ignore[reportAttributeAccessIssue]
    return server


def unavailable(what: str, reason: str) -> NoReturn:
    """Skip, or fail where servers are required."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(f"{reason}, and REQUIRE_SERVICES is set")
    pytest.skip(f"wants a real {what}: {reason}")


def _folder_of(name: str) -> tuple[Path, int]:
    """Return a new folder of the server's own user, which must not be root."""
    import pwd

    folder = Path(tempfile.mkdtemp(prefix=f"lake-assets-{name}-"))
    user = os.getuid()
    if user == 0:
        try:
            user = pwd.getpwnam(name).pw_uid
        except KeyError:
            unavailable(name, f"it does not run as root, and there is no user {name}")
        os.chown(folder, user, -1)
    return folder, user


def _group(user: int) -> int:
    import pwd

    return pwd.getpwuid(user).pw_gid


def _run(command: list[str], user: int) -> None:
    subprocess.run(
        command,
        capture_output=True,
        check=True,
        timeout=_START,
        user=user,
        group=_group(user),
        extra_groups=[],
        cwd="/",
    )


def _wait(server: DatabaseServer, process: subprocess.Popen[bytes], folder: Path, ready: object) -> None:
    end = time.monotonic() + _START
    assert callable(ready)
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            told = (folder / "log").read_text()[-2000:]
            server.stop()
            raise RuntimeError(f"the server does not start: {told}")
        time.sleep(0.05)
