"""A publication that is killed, or whose disk fails, at each of its calls: old or new, and the next one succeeds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets_tests.lake.backends import read
from lake_assets_tests.lake.publication import FILES, publish
from lake_assets_tests.system_calls import calls, skip_without_strace, traced

PUBLICATION = [sys.executable, "-B", "-m", "lake_assets_tests.lake.publication"]
WHERE = ("rename", "link", "unlink", "unlinkat", "fsync", "write", "mkdir")
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO")

SAMPLE = (
    ("rename", "signal=KILL", -1),
    ("link", "signal=KILL", -1),
    ("write", "error=ENOSPC", -1),
    ("fsync", "error=EIO", -1),
)
"""Of some kinds the last (of those the ref's own), in `make test`; `make soak` has them all."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    skip_without_strace()
    return tmp_path / "home"


def places(home: Path, log: Path) -> dict[str, list[int]]:
    """Publish, and return for each kind of call which ones of a thread's are below the lake's home."""
    publish(home, "old")
    assert traced([*PUBLICATION, str(home), "new"], log, os.environ).returncode == 0
    count: Counter[tuple[str, str]] = Counter()
    found: dict[str, set[int]] = {name: set() for name in WHERE}
    for call in calls(log, failed=True):
        count[call.thread, call.name] += 1
        if call.name in found and any(path.startswith(str(home)) for path in (call.file, *call.paths)):
            found[call.name].add(count[call.thread, call.name])
    return {name: sorted(numbers) for name, numbers in found.items()}


def content(lake: GitLake) -> set[str]:
    """Return the texts that `main` holds, which must be of one publication."""
    return {
        line.partition(" in ")[0]
        for prefix in FILES
        for text in read(lake, "main", prefix).values()
        for line in text.splitlines()
    }


def check_survives(folder: Path, name: str, fault: str, number: int) -> None:
    """Check a publication that meets a fault at its ``number``-th call of that name."""
    home = folder / "home"
    publish(home, "old")
    injected = ("-e", f"inject={name}:{fault}:when={number}")
    ended = traced([*PUBLICATION, str(home), "new"], folder / "log", os.environ, injected)
    lake = GitLake(home)
    held = content(lake)
    assert held in ({"old"}, {"new"}), (name, fault, number, ended.stderr)
    assert ended.returncode != 0 or held == {"new"}
    assert list(lake.verify("main")) == []
    publish(home, "new")
    assert content(lake) == {"new"}
    assert list(lake.verify("main")) == []
    lake.close()
    subprocess.run(["git", "-C", str(home / "lake.git"), "fsck", "--full"], check=True, capture_output=True)


def points(found: dict[str, list[int]], wanted: Iterable[tuple[str, str, int]]) -> Iterator[tuple[str, str, int]]:
    for name, fault, at in wanted:
        if found[name]:
            yield name, fault, found[name][at]


def test_a_publication_survives_a_fault_at_some_of_its_calls(home: Path, tmp_path: Path) -> None:
    found = places(home, tmp_path / "calls")
    for number, point in enumerate(points(found, SAMPLE)):
        (tmp_path / str(number)).mkdir()
        check_survives(tmp_path / str(number), *point)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", WHERE)
def test_a_publication_survives_a_fault_at_each_of_its_calls(home: Path, tmp_path: Path, name: str, fault: str) -> None:
    found = places(home, tmp_path / "calls")
    for number in found[name]:
        (tmp_path / str(number)).mkdir()
        check_survives(tmp_path / str(number), name, fault, number)
