"""A real PostgreSQL for the tests: the programs of this machine, in a fresh folder, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of a server with an empty database; skip where there is no program to run."""
    programs = {name: _program(name) for name in ("initdb", "postgres")}
    if missing := [name for name, path in programs.items() if path is None]:
        _unavailable(f"no program {missing[0]!r}")
    # It does not run as root.
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder = Path(tempfile.mkdtemp(prefix="lake-assets-postgres-", dir="/var/tmp"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_user: dict[str, Any] = (
        {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    )
    arguments = ["-D", str(folder / "data"), "-U", "dagster", "-A", "trust", "--no-sync"]
    subprocess.run([str(programs["initdb"]), *arguments], check=True, capture_output=True, cwd=folder, **as_user)
    listen = ["-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(programs["postgres"]), *listen], stdout=log, stderr=log, cwd=folder, **as_user)
    try:
        _wait(server, port, folder / "log")
        # Without the driver's name, SQLAlchemy 2.1 takes another than dagster-postgres brings.
        yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 60
    while "ready to accept connections" not in log.read_text(errors="replace"):
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"postgres does not start on port {port}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _program(name: str) -> str | None:
    """Return a program on PATH, or where Debian puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(places[-1]) if places else shutil.which(name)


def _unavailable(reason: str) -> None:
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(f"{reason}, and REQUIRE_SERVICES is set")
    pytest.skip(f"wants a real PostgreSQL: {reason}")
