"""A terminal for commands that run in this process, and for programs."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
import tty
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from unittest import mock

from lake_assets.cli.app import app
from lake_assets.cli.terminal import protect

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Screen:
    """What a terminal got."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.exit_code = 0

    @property
    def text(self) -> str:
        """All of it."""
        return self._bytes.decode()

    def read(self, descriptor: int) -> None:
        """Read until the other end is closed."""
        while True:
            try:
                found = os.read(descriptor, 1 << 16)
            except OSError:
                return
            if not found:
                return
            self._bytes += found


@contextmanager
def terminal(columns: int = 200) -> Generator[tuple[int, Screen]]:
    """Yield the descriptor of a terminal, and what it shows, which is complete after the end of this context."""
    master, slave = pty.openpty()
    tty.setraw(slave)  # So that a newline stays one.
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    screen = Screen()
    reader = threading.Thread(target=screen.read, args=(master,))
    reader.start()
    try:
        yield slave, screen
    finally:
        os.close(slave)
        reader.join()
        os.close(master)


def on_terminal(*arguments: str, columns: int = 200, variables: Mapping[str, str] | None = None) -> Screen:
    """Run a command in this process, as the program does on a terminal, and return what it shows."""
    before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    environment = {"TERM": "xterm-256color", "COLUMNS": "", **(variables or {})}
    with terminal(columns) as (slave, screen), mock.patch.dict(os.environ, environment):
        for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
            if name not in (variables or {}):
                os.environ.pop(name, None)
        out, error = (io.TextIOWrapper(io.FileIO(os.dup(slave), "w"), "utf-8", line_buffering=True) for _ in range(2))
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = out, error, out, error  # type: ignore[misc]
        protect()
        try:
            app(list(arguments))
        except SystemExit as end:
            screen.exit_code = int(end.code or 0)
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                stream.close()
            sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = before  # type: ignore[misc]
    return screen
