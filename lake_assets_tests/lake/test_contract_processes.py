"""What every lake promises to several processes at once, and after one of them was killed."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import pytest

from lake_assets.lake.contract import Lake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import (
    DEADLINE,
    PROCESSES,
    LakeSpec,
    kill,
    paths,
    put,
    read,
    run_together,
    start,
)


def _write_own_prefix(number: int, spec: LakeSpec) -> None:
    lake = spec.open()
    for step in range(5):
        put(lake, "work", f"p{number}/s{step}", {"a": f"{number}.{step}"})


def test_writers_of_disjoint_prefixes_in_eight_processes_all_land(lake: Lake, lake_backend: LakeSpec) -> None:
    run_together(_write_own_prefix, 8, lake_backend)
    expected = {f"p{number}/s{step}/a": f"{number}.{step}" for number in range(8) for step in range(5)}
    assert read(lake, "work", "") == expected
    assert len(list(lake.log("work"))) == 41


def _publish_runs(number: int, spec: LakeSpec) -> None:
    lake = spec.open()
    for step in range(3):
        branch = f"run-{number}-{step}"
        lake.create_branch(branch, "main")
        put(lake, branch, "t", {f"part={number}-{step}/a": branch}, partitions=[f"part={number}-{step}"])
        lake.merge(branch, "main", metadata={"run": branch}, audit=TESTS)
        lake.delete_branch(branch)


def test_merges_from_sixteen_processes_into_main_all_land(lake: Lake, lake_backend: LakeSpec) -> None:
    run_together(_publish_runs, 16, lake_backend)
    runs = {f"run-{number}-{step}" for number in range(16) for step in range(3)}
    assert set(read(lake, "main", "t").values()) == runs
    assert {commit.metadata["run"] for commit in lake.log("main") if "run" in commit.metadata} == runs
    assert lake.branches() == ("main", "work")


def test_threads_share_one_lake(lake: Lake) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(lake, "work", f"p{number}", {"a": str(number)}), range(24)))
        found = list(pool.map(lambda number: read(lake, "work", f"p{number}"), range(24)))
    assert found == [{"a": str(number)} for number in range(24)]


def _create_branch(number: int, spec: LakeSpec, made: Connection) -> None:
    lake = spec.open()
    from lake_assets.lake.errors import AlreadyExists

    try:
        lake.create_branch("contested", "main")
    except AlreadyExists:
        return
    made.send(number)


def test_of_processes_that_make_one_branch_or_one_lake_one_does(lake_backend: LakeSpec) -> None:
    reading, writing = PROCESSES.Pipe(duplex=False)
    run_together(_create_branch, 6, lake_backend, writing)
    assert reading.poll(0)
    reading.recv()
    assert not reading.poll(0)
    assert lake_backend.open().branches() == ("contested", "main")


def _write_until_killed(spec: LakeSpec, name: str, ready: Connection) -> None:
    lake = spec.open()
    ready.send(True)
    step = 0
    while True:
        step += 1
        branch = f"run-{name}-{step}"
        lake.create_branch(branch, "main")
        put(lake, branch, "left", {"value": f"{name}.{step}", "fixed": "x" * 100_000})
        put(lake, branch, "right", {"value": f"{name}.{step}", "fixed": "x" * 100_000})
        lake.merge(branch, "main", audit=TESTS)
        lake.path("main", "left")
        lake.delete_branch(branch)


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.soak)])
def test_a_killed_process_leaves_no_trace_and_stops_nobody(lake: Lake, lake_backend: LakeSpec, kills: int) -> None:
    """Both halves of a run are published together or not at all, wherever the kill falls."""
    chance = random.Random(7)
    published = ""
    for number in range(kills):
        reading, writing = PROCESSES.Pipe(duplex=False)
        process = start(_write_until_killed, lake_backend, str(number), writing)
        assert reading.poll(DEADLINE)
        process.join(chance.uniform(0.0, 0.2))
        kill(process)
        if paths(lake, "main"):
            left, right = read(lake, "main", "left"), read(lake, "main", "right")
            assert left == right
            assert len(left["fixed"]) == 100_000
            published = left["value"]
        for branch in lake.branches():
            assert lake.changes(branch) == ()
        # The next one goes on as if nothing had been: same branch names, same prefixes.
        successor = lake_backend.open()
        successor.create_branch(f"after-{number}", "main")
        put(successor, f"after-{number}", "left", {"value": f"after {number}", "fixed": "x" * 100_000})
        put(successor, f"after-{number}", "right", {"value": f"after {number}", "fixed": "x" * 100_000})
        successor.merge(f"after-{number}", "main", audit=TESTS)
        assert read(successor, "main", "left")["value"] == f"after {number}"
        successor.close()
    assert published


def _write_halfway(spec: LakeSpec, branch: str, ready: Connection) -> None:
    with spec.open().write(branch, "stocks") as write:
        with write.filesystem.open_output_stream(f"{write.root}/a") as stream:
            stream.write(b"1")
        ready.send(True)
        ready.poll(DEADLINE)


def test_a_writer_killed_halfway_wrote_nothing(lake: Lake, lake_backend: LakeSpec) -> None:
    here, there = PROCESSES.Pipe()
    process = start(_write_halfway, lake_backend, "work", there)
    assert here.poll(DEADLINE)
    kill(process)
    assert list(lake.list("work")) == []
    put(lake, "work", "stocks", {"a": "2"})
    assert read(lake, "work", "stocks") == {"a": "2"}


def test_a_reader_sees_only_whole_commits_while_others_publish(lake: Lake, lake_backend: LakeSpec) -> None:
    reading, writing = PROCESSES.Pipe(duplex=False)
    process = start(_write_until_killed, lake_backend, "writer", writing)
    assert reading.poll(DEADLINE)
    seen: set[str] = set()
    while len(seen) < 10:
        commit = lake.head("main").id
        if not paths(lake, commit):
            continue
        left, right = read(lake, commit, "left"), read(lake, commit, "right")
        assert left == right
        seen.add(left["value"])
    kill(process)
