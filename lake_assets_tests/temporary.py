"""The temporary folder of a test run: in memory, where there is room, so that no test waits for a disk to sync."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

_MEMORY = Path("/dev/shm")
_WANTED = 6 * 2**30
_PREFIX = "lake-assets-"


def use_memory() -> None:
    """Let the temporary files of this process and of those that it starts lie in memory.

    Nothing changes where TMPDIR is set, or where memory is scarce. The folder is removed when this process ends.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    _remove_left()
    if min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) < _WANTED:
        return
    folder = _MEMORY / f"{_PREFIX}{os.getpid()}"
    folder.mkdir()
    # As /tmp: some tests are of two users.
    folder.chmod(0o1777)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    owner = os.getpid()

    def remove() -> None:
        # A forked child must not remove its parent's.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def _remove_left() -> None:
    """Remove the folders of test runs that were killed."""
    for folder in _MEMORY.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX)
        with suppress(PermissionError):
            if pid.isdigit() and not psutil.pid_exists(int(pid)) and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
