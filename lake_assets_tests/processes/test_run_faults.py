"""A run that is killed, or whose disk fails, at each of its calls: old or new, and the next one succeeds."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pandas
import pytest
from dagster import DagsterInstance

from lake_assets.io_managers.verification import Verification
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import EmbeddedLake
from lake_assets.lake.errors import LakeError
from lake_assets.resources.nosql.lmdb_store import LMDBStore
from lake_assets_tests.model.world import FAST_FOLDER
from lake_assets_tests.processes.forked_runs import PLACES, TABLE
from lake_assets_tests.processes.forking import ForkedRuns
from lake_assets_tests.system_calls import CHANGING, calls, skip_without_strace

OLD, NEW = 1.0, 2.0
FIRST, SECOND, NEXT = (str(UUID(int=number)) for number in (1, 2, 3))

WHERE = (
    *("rename", "link", "unlink", "unlinkat", "mkdir"),
    *("write", "writev", "pwrite64", "ftruncate", "fsync", "fdatasync"),
)
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO")

SAMPLE = (
    ("rename", "/refs/heads/main$", "signal=KILL"),
    ("link", "/lfs/objects/.*/[0-9a-f]+$", "error=ENOSPC"),
    ("write", "/part-00000.parquet$", "error=ENOSPC"),
    ("fsync", "/refs/heads$", "error=EIO"),
    ("unlink", "/refs/heads/run-[-0-9a-f]+$", "signal=KILL"),
    ("pwrite64", "/data.mdb$", "signal=KILL"),
    ("fdatasync", "/data.mdb$", "error=EIO"),
)
"""In `make test`, each at the last call of its name on such a path; `make soak` has them all."""


@dataclass(frozen=True)
class Point:
    """The n-th call of that name in a run, and the path that it works on."""

    name: str
    number: int
    path: str


@pytest.fixture(scope="module")
def runs() -> Iterator[ForkedRuns]:
    """Runs on a lake to which one has published."""
    skip_without_strace()
    with (
        tempfile.TemporaryDirectory(dir=FAST_FOLDER, prefix="lake-assets-faults-") as folder,
        closing(ForkedRuns(Path(folder))) as runs,
    ):
        assert runs.run(FIRST, OLD) == 0, runs.said()
        runs.keep()
        yield runs


@pytest.fixture(scope="module")
def points(runs: ForkedRuns) -> list[Point]:
    """The calls of a run that change what is below the lake's home."""
    runs.restore()
    assert runs.run(SECOND, NEW, ["-e", f"trace={CHANGING}"]) == 0, runs.said()
    count: Counter[str] = Counter()
    found: list[Point] = []
    for call in calls(runs.log):
        count[call.name] += 1
        below = [path for path in (*call.paths, call.file) if path.startswith(str(runs.home))]
        if call.name in WHERE and below:
            found.append(Point(call.name, count[call.name], below[-1]))
    return found


def check_survives(runs: ForkedRuns, point: Point, fault: str) -> None:
    """Check a run that meets a fault at that call."""
    runs.restore()
    code = runs.run(
        SECOND, NEW, ["-e", f"trace={point.name}", "-e", f"inject={point.name}:{fault}:when={point.number}"]
    )
    assert str(runs.home) in met(runs.log, point.name), "the fault is somewhere else"
    check_state(runs, {NEW} if code == 0 else {OLD, NEW})
    assert runs.run(NEXT, NEW) == 0, runs.said()
    check_state(runs, {NEW})
    check_git(runs)


def met(log: Path, name: str) -> str:
    """Return the call that met the fault: it says so, or nothing comes after it."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if f" {name}(" in line]
    return next((line for line in lines if line.endswith("(INJECTED)")), lines[-1])


def check_state(runs: ForkedRuns, allowed: set[float]) -> None:
    """Check that `main` is as one run left it, and that the table is what `main` held."""
    with (
        closing(EmbeddedLake(runs.home)) as lake,
        closing(LMDBStore(runs.home / "nosql")) as store,
        DagsterInstance.from_config(str(runs.dagster)) as instance,
    ):
        held = prices_at(lake, MAIN)
        assert len(set(held)) == 1, held
        assert held[0] in allowed
        reflected = store.source_commit(TABLE)
        assert reflected in [commit.id for commit in lake.first_parents(MAIN)]
        (row,) = [row for batch in store.scan(TABLE) for row in batch.to_pylist()]
        assert row == {"isin": "DE1", "price": 2 * prices_at(lake, reflected)[0]}
        assert len(allowed) > 1 or row["price"] == 2 * NEW
        assert list(Verification(lake, instance, MAIN).problems(lambda _: None)) == []


def prices_at(lake: EmbeddedLake, ref: str) -> list[float]:
    """Return the price that was published, as each asset has it."""
    raw, prices, doubled = (lake.path(ref, place) for place in PLACES.values())
    text = Path(raw.root.removeprefix("file://"), "price.csv").read_text().splitlines()[1]
    frames = [pandas.read_parquet(place.root, filesystem=place.filesystem) for place in (prices, doubled)]
    return [float(text.split(",")[1]), frames[0]["price"][0], frames[1]["price"][0] / 2]


def check_git(runs: ForkedRuns) -> None:
    subprocess.run(
        ["git", "-C", str(runs.home / "lake.git"), "fsck", "--full", "--strict"], check=True, capture_output=True
    )


@pytest.mark.parametrize(("name", "path", "fault"), SAMPLE)
def test_a_run_survives_a_fault_at_some_of_its_calls(
    runs: ForkedRuns, points: list[Point], name: str, path: str, fault: str
) -> None:
    found = [point for point in points if point.name == name and re.search(path, point.path)]
    check_survives(runs, found[-1], fault)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", WHERE)
def test_a_run_survives_a_fault_at_each_of_its_calls(
    runs: ForkedRuns, points: list[Point], name: str, fault: str
) -> None:
    wanted = [point for point in points if point.name == name]
    failures = [said for point in wanted if (said := what_fails(runs, point, fault))]
    print(f"{name} {fault}: {len(wanted)} points, {len(failures)} failures")
    assert not failures, "\n\n".join(failures)


def what_fails(runs: ForkedRuns, point: Point, fault: str) -> str:
    """Return what a fault at a call does not survive; empty where all is well. Others are tried all the same."""
    try:
        check_survives(runs, point, fault)
    except (AssertionError, LakeError) as error:
        return f"{point}: {error}"
    return ""
