"""Data of the embedded lake: objects, snapshots, what killed processes leave, full and read-only disks."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.repairs import repair
from lake_assets.lake.embedded.trees import Node, Trees
from lake_assets.lake.errors import DataCorrupted, InvalidName, LakeUnavailable, WriteRefused
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import DEADLINE, PROCESSES, kill, paths, put, read, start


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    lake = GitLake(home)
    lake.create_branch("work", "main")
    yield lake
    lake.close()


def stored(lake: GitLake, ref: str, path: str) -> Path:
    return Path(next(lake.list(ref, path)).physical_address.removeprefix("file://"))


# Objects


def test_data_move_in_and_out_by_hard_link(lake: GitLake) -> None:
    with lake.write("work", "stocks") as write:
        Path(write.root, "a").write_text("1")
        inode = Path(write.root, "a").stat().st_ino
    assert stored(lake, "work", "stocks/a").stat().st_ino == inode
    assert Path(lake.path("work", "stocks").root, "a").stat().st_ino == inode


def test_equal_files_are_stored_once(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1", "b": "1", "c/d": "1"})
    put(lake, "work", "words", {"x": "1"})
    assert len([path for path in (home / "lake.git" / "lfs").rglob("*") if path.is_file()]) == 1


def test_a_file_with_another_name_outside_is_copied(lake: GitLake, tmp_path: Path) -> None:
    """Whoever has the other name could write through it."""
    outside = tmp_path / "outside"
    outside.write_text("1")
    with lake.write("work", "stocks") as write:
        os.link(outside, Path(write.root, "a"))
    outside.write_text("changed")
    assert read(lake, "work", "stocks") == {"a": "1"}
    assert list(lake.verify("work")) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling"])
def test_a_symbolic_link_is_refused(lake: GitLake, tmp_path: Path, kind: str) -> None:
    target = {"file": Path(__file__), "folder": tmp_path, "dangling": tmp_path / "nowhere"}[kind]
    write = lake.write("work", "stocks")
    Path(write.__enter__().root, "link").symlink_to(target)
    with pytest.raises(WriteRefused, match="symbolic link"):
        write.__exit__(None, None, None)
    assert list(lake.list("work")) == []


def test_what_is_neither_file_nor_folder_is_refused(lake: GitLake) -> None:
    write = lake.write("work", "stocks")
    os.mkfifo(Path(write.__enter__().root, "pipe"))
    with pytest.raises(WriteRefused, match="stocks/pipe"):
        write.__exit__(None, None, None)


def test_a_file_name_that_is_no_unicode_is_refused(lake: GitLake) -> None:
    write = lake.write("work", "stocks")
    Path(os.fsdecode(os.fsencode(write.__enter__().root) + b"/\xff")).write_text("1")
    with pytest.raises(InvalidName, match="Unicode"):
        write.__exit__(None, None, None)


def test_a_folder_where_a_file_stands_is_refused_below_it(lake: GitLake) -> None:
    head = put(lake, "work", "stocks", {"a": "1"})
    with pytest.raises(WriteRefused, match="there is a file"):
        put(lake, "work", "stocks/a/b", {"c": "1"})
    assert lake.head("work") == head
    put(lake, "work", "stocks/a", {"b": "2"})
    assert paths(lake, "work") == ["stocks/a/b"]


def test_verify_finds_a_flipped_byte_and_a_missing_object(lake: GitLake) -> None:
    put(lake, "work", "stocks", {"a": "11", "b": "22", "c": "33", "d": "44"})
    assert list(lake.verify("work")) == []
    flipped, missing, short = (stored(lake, "work", f"stocks/{name}") for name in "abc")
    for path in (flipped, short):
        path.chmod(0o644)
    flipped.write_text("12")
    missing.unlink()
    short.write_text("3")
    faults = list(lake.verify("work"))
    assert [fault.partition(":")[0] for fault in faults] == ["stocks/a", "stocks/b", "stocks/c"]
    assert ["another checksum" in faults[0], "missing" in faults[1], "1 bytes" in faults[2]] == [True] * 3
    assert list(lake.verify("work", "stocks/d")) == []
    with pytest.raises(DataCorrupted, match="stocks/b"):
        lake.path("work", "stocks")


def test_writing_the_bytes_again_mends_a_lost_object(lake: GitLake) -> None:
    put(lake, "work", "stocks", {"a": "11", "b": "22"})
    stored(lake, "work", "stocks/a").unlink()
    short = stored(lake, "work", "stocks/b")
    short.chmod(0o644)
    short.write_text("2")
    put(lake, "work", "again", {"a": "11", "b": "22"})
    assert list(lake.verify("work")) == []
    assert read(lake, "work", "stocks") == {"a": "11", "b": "22"}


def test_hashing_takes_constant_memory(lake: GitLake) -> None:
    tracemalloc.start()
    with lake.write("work", "stocks") as write:
        for number in range(2):
            with Path(write.root, str(number)).open("wb") as file:
                file.truncate(100_000_000 + number)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_commit_reads_no_more_of_a_large_lake_than_its_own_path(
    lake: GitLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, "work", "other", {f"{folder}/{number}": "1" for folder in range(30) for number in range(10)})
    put(lake, "work", "stocks/csv", {"day=1/a": "1"})
    lake.merge("work", "main", audit=TESTS)
    reads: list[Node] = []
    read_node = Trees.read
    monkeypatch.setattr(Trees, "read", lambda self, node: reads.append(node) or read_node(self, node))
    fresh = GitLake(Path(lake.repository))
    fresh.create_branch("next", "main")
    put(fresh, "next", "stocks/csv", {"day=2/a": "1"}, mode="append")
    fresh.merge("next", "main", audit=TESTS)
    assert len(fresh.diff("work", "main").added) == 1
    assert len(reads) < 20


# Snapshots and what is left behind


def test_a_snapshot_is_built_once_for_equal_content(lake: GitLake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    first = lake.path("work", "stocks")
    put(lake, "work", "words", {"a": "2"})
    lake.create_branch("other", "work")
    assert lake.path("other", "stocks").root == first.root
    assert lake.path("other", "stocks").commit != first.commit


def test_the_whole_lake_can_be_opened_without_gits_own_files(lake: GitLake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    assert read(lake, "work", "") == {"stocks/a": "1"}


def test_what_is_in_use_is_not_cleaned_and_the_rest_is(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    put(lake, "work", "words", {"a": "2"})
    other = GitLake(home)
    root = Path(lake.path("work", "stocks").root)
    others = Path(other.path("work", "words").root)
    assert lake.stale() == ()
    other.close()
    assert lake.stale() == ((others, 0),)
    lake.clean()
    assert root.is_dir()
    assert not others.exists()
    assert lake.stale() == ()
    assert read(other, "work", "words") == {"a": "2"}


def _read_until_told(home: Path, connection: Connection) -> None:
    root = GitLake(home).path("work", "stocks").root
    connection.send(root)
    connection.poll(DEADLINE)


def test_a_reader_keeps_its_snapshot_from_another_process_until_it_dies(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    here, there = PROCESSES.Pipe()
    reader = start(_read_until_told, home, there)
    assert here.poll(DEADLINE)
    root = Path(here.recv())
    lake.delete_branch("work")
    lake.clean()
    assert (root / "a").read_text() == "1"
    kill(reader)
    assert lake.stale() == ((root, 0),)
    lake.clean()
    assert not root.exists()


def _close_in_a_fork(lake: GitLake, root: str) -> None:
    lake.close()
    assert Path(lake.path("work", "stocks").root) == Path(root)


def test_a_forked_child_does_not_let_go_of_its_parents_snapshots(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    root = lake.path("work", "stocks").root
    child = multiprocessing.get_context("fork").Process(target=_close_in_a_fork, args=(lake, root))
    child.start()
    child.join(DEADLINE)
    assert child.exitcode == 0
    GitLake(home).clean()
    assert read(lake, "work", "stocks") == {"a": "1"}


def _write_until_told(home: Path, connection: Connection) -> None:
    with GitLake(home).write("work", "stocks") as write:
        Path(write.root, "a").write_text("x" * 1000)
        connection.send(write.root)
        connection.poll(DEADLINE)


def test_a_dead_writers_folder_is_swept_and_a_live_ones_is_not(lake: GitLake, home: Path) -> None:
    here, there = PROCESSES.Pipe()
    dead, alive = start(_write_until_told, home, there), None
    assert here.poll(DEADLINE)
    left = Path(here.recv()).parent
    assert lake.stale() == ()
    kill(dead)
    assert lake.stale() == ((left, 1000),)
    with lake.write("work", "words") as write:
        GitLake(home)  # Opening sweeps.
        alive = Path(write.root)
        assert alive.is_dir()
    assert not left.exists()
    assert not alive.exists()
    assert list((home / "staging").iterdir()) == []


# Disks


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 4 MB of our own, for as long as the context lasts."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no permission to mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


def test_a_full_disk_while_writing_leaves_everything_as_it_was(disk: Path) -> None:
    lake = GitLake(disk / "lake")
    lake.create_branch("work", "main")
    head = put(lake, "work", "stocks", {"a": "1"})
    with pytest.raises(LakeUnavailable, match="disk of the lake is full"):
        put(lake, "work", "stocks", {"a": "x" * 8_000_000})
    assert lake.head("work") == head
    assert list((disk / "lake" / "staging").iterdir()) == []
    put(lake, "work", "stocks", {"a": "2"})
    assert read(lake, "work", "stocks") == {"a": "2"}


def test_a_full_disk_while_committing_leaves_everything_as_it_was(disk: Path) -> None:
    lake = GitLake(disk / "lake")
    lake.create_branch("work", "main")
    head = put(lake, "work", "stocks", {"a": "1"})
    filler = disk / "filler"
    write = lake.write("work", "stocks")
    root = Path(write.__enter__().root)
    for number in range(200):
        (root / str(number)).write_text(str(number))
    with filler.open("wb", buffering=0) as file:
        file.write(b"x" * 8_000_000)  # As much of it as there is room for.
    with pytest.raises(LakeUnavailable, match="disk of the lake is full"):
        write.__exit__(None, None, None)
    assert lake.head("work") == head
    assert list((disk / "lake" / "staging").iterdir()) == []
    filler.unlink()
    put(lake, "work", "stocks", {"a": "2"})
    assert list(lake.verify("work")) == []


def test_on_a_full_disk_each_operation_works_or_says_so(disk: Path) -> None:
    home = disk / "lake"
    lake = GitLake(home)
    lake.create_branch("work", "main")
    put(lake, "work", "stocks", {"a": "1"})
    heads = {name: lake.head(name) for name in lake.branches()}
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    attempts = [
        lambda: put(lake, "work", "stocks", {"a": "2" * 9000}),
        lambda: lake.merge("work", "main", audit=TESTS),
        lambda: lake.create_branch("other", "work"),
        lambda: lake.tag("v1", "work"),
        lambda: lake.path("work", "stocks"),
        lambda: lake.collect_garbage(timedelta(0)),
    ]
    failed = 0
    for attempt in attempts:
        try:
            attempt()
        except LakeUnavailable as error:
            failed += "disk of the lake is full" in str(error)
    assert failed == len(attempts)
    assert {name: lake.head(name) for name in lake.branches()} == heads
    (disk / "filler").unlink()
    for attempt in attempts:
        attempt()
    assert list(repair(home)) == []
    assert list(lake.verify("main")) == []


def test_a_read_only_lake_can_be_read_and_says_so_when_written(disk: Path) -> None:
    home = disk / "lake"
    lake = GitLake(home)
    lake.create_branch("work", "main")
    commit = put(lake, "work", "stocks", {"a": "1"})
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    lake = GitLake(home)
    assert lake.head("work") == commit
    assert list(lake.log("work", limit=1)) == [commit]
    assert paths(lake, "work") == ["stocks/a"]
    assert read(lake, "work", "stocks") == {"a": "1"}
    root = Path(lake.path("work", "stocks").root)
    lake.close()
    assert not root.exists()
    attempts = [
        lambda: put(lake, "work", "stocks", {"a": "2"}),
        lambda: lake.create_branch("other", "work"),
        lambda: lake.merge("work", "main", audit=TESTS),
        lambda: lake.tag("v1", "work"),
        lambda: lake.delete_branch("work"),
    ]
    for attempt in attempts:
        with pytest.raises(LakeUnavailable, match=f"is not writable.*{home}"):
            attempt()
    with pytest.raises(LakeUnavailable, match="is not writable"):
        GitLake(disk / "new")


def test_a_lake_without_permission_says_so(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(LakeUnavailable, match="is not writable"):
        GitLake(closed / "lake")
