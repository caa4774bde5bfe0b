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

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import LakeError, PathNotFound
from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.runs.verification import Verification
from lake_assets_tests.model.world import FAST_FOLDER
from lake_assets_tests.processes.forked_runs import PLACES, TABLE
from lake_assets_tests.processes.forking import ForkedRuns
from lake_assets_tests.system_calls import CHANGING, calls, skip_without_strace

NOTHING, OLD, NEW = None, 1.0, 2.0
FIRST, SECOND, NEXT = (str(UUID(int=number)) for number in (1, 2, 3))

WHERE = (
    *("rename", "link", "unlink", "unlinkat", "mkdir"),
    *("write", "writev", "pwrite64", "ftruncate", "fsync", "fdatasync"),
)
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO")

SAMPLE = (
    ("rename", "/refs/heads/main$", "signal=KILL"),
    ("link", "/lfs/objects/.*/[0-9a-f]+$", "error=ENOSPC"),
    ("fsync", "/refs/heads$", "error=EIO"),
    ("pwrite64", "/data.mdb$", "signal=KILL"),
)
"""In `make test`, each at the last call of its name on such a path; `make soak` has them all."""


@dataclass(frozen=True)
class Point:
    """The n-th call of that name in a run, or of those on its path, and the path that it works on.

    Dagster's own database is written to more often in one run than in another, and by the calls that the NoSQL store
    makes: those of the store are counted by its files, whose names stay.
    """

    name: str
    number: int
    path: str

    @property
    def filtered(self) -> list[str]:
        """The options of strace that leave all other paths out of the count."""
        return ["-P", self.path] if _is_counted_by_path(self.path) else []


def _is_counted_by_path(path: str) -> bool:
    return path.endswith("/nosql/data.mdb")


@pytest.fixture(scope="module")
def before(request: pytest.FixtureRequest) -> float | None:
    """The price that a run finds published; None where there is no lake."""
    return request.param


@pytest.fixture(scope="module")
def runs(before: float | None) -> Iterator[ForkedRuns]:
    """Runs that begin at that state."""
    skip_without_strace()
    with (
        tempfile.TemporaryDirectory(dir=FAST_FOLDER, prefix="lake-assets-faults-") as folder,
        closing(ForkedRuns(Path(folder))) as runs,
    ):
        assert before is None or runs.run(FIRST, before) == 0, runs.said()
        runs.keep()
        yield runs


@pytest.fixture(scope="module")
def points(runs: ForkedRuns, before: float | None) -> list[Point]:
    """The calls of a run that change what is below the lake's home; of one without a lake, those that make it."""
    runs.restore()
    assert runs.run(SECOND, NEW, ["-e", f"trace={CHANGING}"]) == 0, runs.said()
    count: Counter[str] = Counter()
    of_path: Counter[tuple[str, str]] = Counter()
    found: list[Point] = []
    for call in calls(runs.log, failed=True):
        count[call.name] += 1
        below = [path for path in (*call.paths, call.file) if path.startswith(str(runs.home))]
        if call.name in WHERE and below:
            path = below[-1]
            of_path[call.name, path] += 1
            number = of_path[call.name, path] if _is_counted_by_path(path) else count[call.name]
            found.append(Point(call.name, number, path))
    if before is not None:
        return found
    begun = next(number for number, point in enumerate(found) if "/refs/heads/run-" in point.path)
    return found[:begun] + [point for point in found[begun:] if re.search("/nosql(/[a-z]+.mdb)?$", point.path)]


def check_survives(runs: ForkedRuns, before: float | None, point: Point, fault: str) -> None:
    """Check a run that meets a fault at that call."""
    runs.restore()
    injected = f"inject={point.name}:{fault}:when={point.number}"
    code = runs.run(SECOND, NEW, [*point.filtered, "-e", f"trace={point.name}", "-e", injected])
    assert str(runs.home) in met(runs.log, point.name), "the fault is somewhere else"
    check_state(runs, {NEW} if code == 0 else {before, NEW})
    assert runs.run(NEXT, NEW) == 0, runs.said()
    check_state(runs, {NEW})
    git = ["git", "-C", str(runs.home / "lake.git"), "fsck", "--full", "--strict"]
    subprocess.run(git, check=True, capture_output=True)


def met(log: Path, name: str) -> str:
    """Return the call that met the fault: it says so, or nothing comes after it."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if f" {name}(" in line]
    return next((line for line in lines if line.endswith("(INJECTED)")), lines[-1])


def check_state(runs: ForkedRuns, allowed: set[float | None]) -> None:
    """Check that `main` is as one run left it, and that the table is what `main` held."""
    with (
        closing(GitLake(runs.home)) as lake,
        closing(LMDBStore(runs.home / "nosql")) as store,
        DagsterInstance.from_config(str(runs.dagster)) as instance,
    ):
        (published,) = set(prices_at(lake, MAIN))
        assert published in allowed
        told = None
        if TABLE in store.tables():
            reflected = store.source_commit(TABLE)
            assert reflected in [commit.id for commit in lake.first_parents(MAIN)]
            ((key, told),) = [row.values() for batch in store.scan(TABLE) for row in batch.to_pylist()]
            (price,) = set(prices_at(lake, reflected))
            assert price is not None
            assert (key, told) == ("DE1", 2 * price)
        assert len(allowed) > 1 or told == 2 * NEW
        assert list(Verification(lake, instance, MAIN).problems(lambda _: None)) == []


def prices_at(lake: GitLake, ref: str) -> list[float | None]:
    """Return the price that was published, as each asset has it; None where it has none."""
    return [price_of(lake, ref, name, place) for name, place in PLACES.items()]


def price_of(lake: GitLake, ref: str, name: str, place: str) -> float | None:
    try:
        held = lake.path(ref, place)
    except PathNotFound:
        return None
    file, read = ("price.csv", pandas.read_csv) if name == "raw" else ("part-00000.parquet", pandas.read_parquet)
    (row,) = read(f"{held.root}/{file}").to_dict("records")
    return row["price"] / 2 if name == "doubled" else row["price"]


@pytest.mark.parametrize(("name", "path", "fault"), SAMPLE)
@pytest.mark.parametrize("before", [OLD], indirect=True)
def test_a_run_survives_a_fault_at_some_of_its_calls(
    runs: ForkedRuns, before: float | None, points: list[Point], name: str, path: str, fault: str
) -> None:
    found = [point for point in points if point.name == name and re.search(path, point.path)]
    check_survives(runs, before, found[-1], fault)


@pytest.mark.soak
@pytest.mark.parametrize("before", [NOTHING], indirect=True)
def test_a_run_that_is_killed_as_it_makes_the_lake_is_followed_by_one_that_makes_it(
    runs: ForkedRuns, before: float | None, points: list[Point]
) -> None:
    (named,) = [point for point in points if (point.name, Path(point.path).name) == ("rename", "lake.git")]
    check_survives(runs, before, named, "signal=KILL")


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", WHERE)
@pytest.mark.parametrize("before", [OLD, NOTHING], indirect=True)
def test_a_run_survives_a_fault_at_each_of_its_calls(
    runs: ForkedRuns, before: float | None, points: list[Point], name: str, fault: str
) -> None:
    wanted = [point for point in points if point.name == name]
    failures = [said for point in wanted if (said := what_fails(runs, before, point, fault))]
    print(f"{name} {fault}: {len(wanted)} points, {len(failures)} failures")
    assert not failures, "\n\n".join(failures)


def what_fails(runs: ForkedRuns, before: float | None, point: Point, fault: str) -> str:
    """Return what a fault at a call does not survive; empty where all is well. Others are tried all the same."""
    try:
        check_survives(runs, before, point, fault)
    except (AssertionError, LakeError, NoSQLError) as error:
        return f"{point}: {error}"
    return ""
