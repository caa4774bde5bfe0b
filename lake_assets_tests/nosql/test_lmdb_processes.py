"""Several processes, killed processes, full maps and full disks: what only the LMDB store has to stand."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.lmdb.store import LMDBStore

spawn = multiprocessing.get_context("spawn")
DEADLINE = 60.0


def versions(version: int, rows: int = 2000) -> pd.DataFrame:
    return pd.DataFrame({"k": [f"key {at}" for at in range(rows)], "version": version, "text": "x" * 50})


def seen(store: LMDBStore, table: str = "t") -> set[int]:
    return {v for batch in store.scan(table, batch_size=500) for v in batch.column("version").to_pylist()}


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the deadline has passed"
        time.sleep(0.005)


def write_for_ever(folder: Path, rows: int, begun: Any) -> None:
    store = LMDBStore(folder)
    version = 1
    while True:
        begun.set()
        store.write("t", versions(version, rows), key=["k"], mode="overwrite", source_commit=str(version))
        version += 1


def test_a_writer_killed_at_any_point_leaves_the_old_or_the_new_state_and_the_next_write_succeeds(
    tmp_path: Path,
) -> None:
    rows = 20_000
    folder = tmp_path / "store"
    with_store = LMDBStore(folder)
    with_store.write("t", versions(0, rows), key=["k"], source_commit="0")
    for point in range(8):
        begun = spawn.Event()
        writer = spawn.Process(target=write_for_ever, args=(folder, rows, begun))
        writer.start()
        assert begun.wait(DEADLINE)
        # Somewhere within encoding, the transaction or its commit: one write takes some tenths of a second.
        writer.join(0.05 * point)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join(DEADLINE)
        states = seen(with_store)
        assert len(states) == 1
        assert with_store.source_commit("t") == str(*states)
        assert with_store.row_count("t") == rows
        with_store.write("t", versions(-point, rows), key=["k"], source_commit=str(-point))
        assert seen(with_store) == {-point}
    assert list((folder / "spool").iterdir()) == []
    with_store.close()


def write_own_table_and_shared(folder: Path, name: str, rounds: int) -> None:
    store = LMDBStore(folder)
    for version in range(rounds):
        store.write(name, versions(version), key=["k"])
        store.write("shared", versions(version), key=["k"], newest_by=["version"])


def read_until(folder: Path, read_only: bool, end: int, problems: Any) -> None:
    store = LMDBStore(folder, read_only=read_only)
    last, deadline = -1, time.monotonic() + DEADLINE
    while last < end and time.monotonic() < deadline:
        if "shared" in store.tables():
            states = seen(store, "shared")
            (now,) = states if len(states) == 1 else (-2,)
            if now < last:
                problems.put(f"{states} after {last}")
                return
            last = now
    problems.put(None if last == end else f"still at {last}")


def test_two_processes_write_while_others_read_and_each_read_is_one_snapshot(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    LMDBStore(folder).close()
    LMDBStore(folder).write("begun", versions(0, 1), key=["k"])
    problems, rounds = spawn.Queue(), 15
    processes = [
        *(spawn.Process(target=write_own_table_and_shared, args=(folder, name, rounds)) for name in ("a", "b")),
        *(spawn.Process(target=read_until, args=(folder, at == 0, rounds - 1, problems)) for at in range(3)),
    ]
    for process in processes:
        process.start()
    assert [problems.get(timeout=DEADLINE) for _ in range(3)] == [None] * 3
    for process in processes:
        process.join(DEADLINE)
        assert process.exitcode == 0
    store = LMDBStore(folder)
    assert seen(store, "a") == seen(store, "b") == seen(store, "shared") == {rounds - 1}


def grow(folder: Path, rows: int) -> None:
    LMDBStore(folder, map_size=1 << 20).write("big", versions(1, rows), key=["k"])


def test_the_map_grows_by_itself_and_other_processes_and_threads_follow(tmp_path: Path) -> None:
    folder, rows = tmp_path / "store", 60_000
    store = LMDBStore(folder, map_size=1 << 20)
    store.write("t", versions(0, 10), key=["k"])
    other = spawn.Process(target=grow, args=(folder, rows))
    other.start()
    other.join(DEADLINE)
    assert other.exitcode == 0
    assert store.row_count("big") == rows  # its map is resized on the way
    store.write("t", versions(1, rows), key=["k"])  # as is this process's own
    writers = [
        threading.Thread(target=store.write, args=(f"t{at}", versions(at, rows)), kwargs={"key": ["k"]})
        for at in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(DEADLINE)
    assert [store.row_count(f"t{at}") for at in range(3)] == [rows] * 3
    assert seen(store, "t2") == {2}


def test_growing_waits_for_scans_of_this_process_and_says_so_when_they_do_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_assets.nosql.lmdb import environment

    monkeypatch.setattr(environment, "_SECONDS_FOR_READERS", 0.1)
    store = LMDBStore(tmp_path, map_size=1 << 20)
    store.write("t", versions(0, 1000), key=["k"])
    scan = store.scan("t", batch_size=10)
    next(scan)
    with pytest.raises(NoSQLError, match="finish the scans"):
        store.write("t", versions(1, 50_000), key=["k"])
    assert sum(batch.num_rows for batch in scan) == 990
    store.write("t", versions(1, 50_000), key=["k"])
    assert seen(store) == {1}


def test_stores_of_one_folder_share_one_environment_and_a_read_only_one_refuses_writes(tmp_path: Path) -> None:
    with pytest.raises(NoSQLError, match="nothing-here"):
        LMDBStore(tmp_path / "nothing-here", read_only=True)
    LMDBStore(tmp_path).close()
    reader = LMDBStore(tmp_path, read_only=True)
    assert reader.tables() == ()
    writer = LMDBStore(tmp_path / "." / "")
    writer.write("t", versions(3), key=["k"])
    assert seen(reader) == {3}
    for refused in (
        lambda: reader.write("t", versions(4), key=["k"]),
        lambda: reader.delete("t", ["key 1"]),
        lambda: reader.drop("t"),
    ):
        with pytest.raises(NoSQLError, match="opened read-only"):
            refused()
    writer.close()
    assert seen(reader) == {3}
    reader.close()


def test_a_scan_of_a_store_that_is_closed_meanwhile_ends_with_an_error(tmp_path: Path) -> None:
    store = LMDBStore(tmp_path)
    store.write("t", versions(0), key=["k"])
    scan = store.scan("t", batch_size=10)
    next(scan)
    store.close()
    with pytest.raises(NoSQLError):
        list(scan)


def test_a_store_goes_on_in_a_forked_child(tmp_path: Path) -> None:
    store = LMDBStore(tmp_path)
    store.write("t", versions(0), key=["k"])
    child = multiprocessing.get_context("fork").Process(target=lambda: store.write("t", versions(1), key=["k"]))
    child.start()
    child.join(DEADLINE)
    assert child.exitcode == 0
    assert seen(store) == {1}


def test_a_child_forked_during_a_scan_is_told_to_use_spawn(tmp_path: Path) -> None:
    store = LMDBStore(tmp_path)
    store.write("t", versions(0), key=["k"])
    scan = store.scan("t", batch_size=10)
    next(scan)

    def use() -> None:
        with pytest.raises(NoSQLError, match="spawn"):
            store.tables()
        with pytest.raises(NoSQLError, match="spawn"):
            LMDBStore(tmp_path)

    child = multiprocessing.get_context("fork").Process(target=use)
    child.start()
    child.join(DEADLINE)
    assert child.exitcode == 0
    assert sum(batch.num_rows for batch in scan) == 1990


def read_and_stop(folder: Path, reading: Any) -> None:
    scan = LMDBStore(folder, read_only=True).scan("t", batch_size=10)
    next(scan)
    reading.set()
    time.sleep(DEADLINE)


def test_killed_readers_do_not_use_up_the_store(tmp_path: Path) -> None:
    store = LMDBStore(tmp_path)
    store.write("t", versions(0), key=["k"])
    for _ in range(2):
        reading = spawn.Event()
        reader = spawn.Process(target=read_and_stop, args=(tmp_path, reading))
        reader.start()
        assert reading.wait(DEADLINE)
        os.kill(reader.pid or 0, signal.SIGKILL)
        reader.join(DEADLINE)
    # Pages of old versions are used again: no dead reader holds them.
    for version in range(3):
        store.write("t", versions(version), key=["k"])
    size = (tmp_path / "data.mdb").stat().st_size
    for version in range(10):
        store.write("t", versions(version), key=["k"])
    assert (tmp_path / "data.mdb").stat().st_size == size


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("filled", ["by the runs", "by the table"])
def test_a_full_disk_is_named_and_the_table_is_as_before(small_disk: Path, filled: str) -> None:
    store = LMDBStore(small_disk)
    store.write("t", versions(0), key=["k"])
    rows = 400_000 if filled == "by the runs" else 120_000
    with pytest.raises(NoSQLError, match=r"No space left|too small|full") as full:
        store.write("t", versions(1, rows), key=["k"], mode="overwrite")
    assert str(small_disk) in str(full.value)
    assert seen(store) == {0}
    store.write("t", versions(2), key=["k"])
    assert seen(store) == {2}
    store.close()


def test_a_read_only_file_system_can_be_read_and_is_named_when_written(small_disk: Path) -> None:
    store = LMDBStore(small_disk)
    store.write("t", versions(0), key=["k"])
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(NoSQLError, match=f"{small_disk}.*Read-only file system.*read-only"):
        LMDBStore(small_disk)
    reader = LMDBStore(small_disk, read_only=True)
    assert seen(reader) == {0}
    reader.close()
