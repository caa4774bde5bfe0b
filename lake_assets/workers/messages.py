"""What a launcher and a worker say to each other: a line of JSON each way, over a Unix socket that only its user opens.

The sockets are in a private folder of Dagster's home. A worker's name is that of its socket.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

RUN, AT, STOP = "run", "at", "stop"
"""The questions: execute this run? Are you at this run? Stop this run!"""

_SUFFIX = ".sock"
_LONGEST = 1 << 20


class NoWorker(Exception):
    """There is no worker of this name: nobody listens, or it ended before it answered."""


class NoAnswer(Exception):
    """A worker is there, but it did not answer in time."""


def folder_of(instance: DagsterInstance) -> Path:
    """Return the folder of the workers' sockets, which is made if it is missing.

    Parameters
    ----------
    instance
        The Dagster instance.
    """
    folder = Path(instance.root_directory) / "workers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Also if it was made by hand.
    folder.chmod(0o700)
    return folder


def names(folder: Path) -> list[str]:
    """Return the names of the workers that have a socket, whether they live or not.

    Parameters
    ----------
    folder
        Folder of the sockets.
    """
    return sorted(path.stem for path in folder.glob(f"*{_SUFFIX}"))


def remove(folder: Path, name: str) -> None:
    """Remove the socket of a worker, so that nobody connects any more.

    Parameters
    ----------
    folder
        Folder of the sockets.
    name
        Name of the worker.
    """
    (folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)


def listen(folder: Path, name: str) -> socket.socket:
    """Return the listening socket of a worker.

    Parameters
    ----------
    folder
        Folder of the sockets.
    name
        Name of the worker.
    """
    server = socket.socket(socket.AF_UNIX)
    with _short(folder) as place:
        server.bind(f"{place}/{name}{_SUFFIX}")
    (folder / f"{name}{_SUFFIX}").chmod(0o600)
    server.listen(16)
    return server


def ask(folder: Path, name: str, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Ask a worker, and return its answer.

    Parameters
    ----------
    folder
        Folder of the sockets.
    name
        Name of the worker.
    question
        The question.
    seconds
        How long it may take.

    Raises
    ------
    NoWorker
        There is no such worker, or it ended before it answered.
    NoAnswer
        It did not answer in time.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            with _short(folder) as place:
                connection.connect(f"{place}/{name}{_SUFFIX}")
            send(connection, question)
            answer = receive(connection)
    except TimeoutError as error:
        raise NoAnswer(f"the warm worker {name} did not answer within {seconds:g} s") from error
    except OSError as error:
        raise NoWorker(f"the warm worker {name} does not listen: {error.strerror}") from error
    if answer is None:
        raise NoWorker(f"the warm worker {name} ended before it answered")
    return answer


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Send a message.

    Parameters
    ----------
    connection
        The connection.
    message
        The message.
    """
    connection.sendall(json.dumps(message).encode() + b"\n")


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Return the message that comes; None if the other side ended before it was whole.

    Parameters
    ----------
    connection
        The connection.
    """
    with connection.makefile("rb") as lines:
        line = lines.readline(_LONGEST)
    return json.loads(line) if line.endswith(b"\n") else None


@contextmanager
def _short(folder: Path) -> Generator[str]:
    """Yield a short path of a folder: that of a socket has at most 107 bytes."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
