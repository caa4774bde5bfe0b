"""How the contract suite opens a lake, here and in other processes, and what it does with one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.contract import Commit, Lake
from lake_assets_tests import lakefs_server
from lake_assets_tests.lakefs_server import CREDENTIALS

# Children are forked from a server that has imported what they need: real processes, started in milliseconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["lake_assets.lake.embedded", "pyarrow.fs", __name__])

DEADLINE = 60.0
"""Seconds after which a test gives up on another process."""


@dataclass(frozen=True)
class LakeSpec:
    """What opens one lake in any process: the backend, and where its data lie."""

    backend: str
    place: str

    def open(self) -> Lake:
        if self.backend == "embedded":
            from lake_assets.lake.embedded import GitLake

            return GitLake(Path(self.place))
        if self.backend == "lakefs":
            from lake_assets.lake.lakefs import LakeFSLake

            endpoint, _, repository = self.place.rpartition("/")
            return LakeFSLake(endpoint, *CREDENTIALS, repository, deadline=20)
        raise ValueError(f"no backend {self.backend!r}")


BACKENDS = ["embedded", pytest.param("lakefs", marks=pytest.mark.services)]


def fresh_place(backend: str, folder: Path) -> str:
    """Return where a new lake of a backend may be; skips the test where the backend's server cannot be had."""
    return str(folder / "lake home") if backend == "embedded" else lakefs_server.fresh_repository()


def put(lake: Lake, branch: str, prefix: str, files: Mapping[str, str | bytes], **options: Any) -> Commit:
    """Write files by name and return the commit."""
    with lake.write(branch, prefix, **options) as write:
        for name, text in files.items():
            path = f"{write.root}/{name}"
            write.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            with write.filesystem.open_output_stream(path) as stream:
                stream.write(text.encode() if isinstance(text, str) else text)
    assert write.commit is not None
    return write.commit


def read(lake: Lake, ref: str, prefix: str) -> dict[str, str]:
    """Return text files by name, as a reader of ``lake.path`` sees them."""
    from pyarrow.fs import FileSelector, FileType

    snapshot = lake.path(ref, prefix)
    found: dict[str, str] = {}
    for info in snapshot.filesystem.get_file_info(FileSelector(snapshot.root, recursive=True)):
        if info.type == FileType.File:
            with snapshot.filesystem.open_input_stream(info.path) as stream:
                found[info.path[len(snapshot.root) + 1 :]] = stream.read().decode()
    return found


def paths(lake: Lake, ref: str, prefix: str = "") -> list[str]:
    return [item.path for item in lake.list(ref, prefix)]


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    process = PROCESSES.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def run_together(target: Callable[..., None], count: int, *arguments: object) -> None:
    """Run ``target(number, *arguments)`` in that many processes at once; fail where one fails."""
    processes = [start(target, number, *arguments) for number in range(count)]
    for process in processes:
        process.join(DEADLINE)
    assert [process.exitcode for process in processes] == [0] * count


def kill(process: BaseProcess) -> None:
    """End one of our own processes as ``kill -9`` does."""
    assert process.pid is not None
    os.kill(process.pid, 9)
    process.join(DEADLINE)
    assert process.exitcode == -9
