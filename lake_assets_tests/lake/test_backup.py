"""The backup of an embedded lake: whole at one moment, under writers, after a kill, and when it is restored."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.backup import restore
from lake_assets.lake.errors import AlreadyExists, DataCorrupted, Expired, LakeUnavailable
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put, read, run_together, start
from lake_assets_tests.lake.publication import publish

WRITERS = 16
ALL_NOW = timedelta(0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    """A lake that has published once."""
    publish(home, "one")
    lake = GitLake(home)
    yield lake
    lake.close()


def check_whole(folder: Path) -> GitLake:
    """Check that a folder is a lake of which nothing is missing or damaged, and return it."""
    git = ["git", "-C", str(folder / "lake.git")]
    subprocess.run([*git, "fsck", "--full", "--strict"], check=True, capture_output=True)
    lake = GitLake(folder)
    for ref in (*lake.branches(), *lake.tags(), *(commit.id for commit in lake.log("main"))):
        assert list(lake.verify(ref)) == []
    return lake


def objects(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in (folder / "lake.git" / "lfs").rglob("*") if path.is_file()}


def write_and_merge(number: int, home: str, stop: str) -> None:
    """Publish again and again, as one of several programs, until a file is there."""
    lake = GitLake(Path(home))
    count = 0
    while not Path(stop).exists():
        branch = f"w{number}-{count}"
        lake.create_branch(branch, "main")
        put(lake, branch, f"asset{number}", {f"{count % 3}": f"{number} {count}", "same": "for all"})
        lake.merge(branch, "main", audit=TESTS)
        lake.delete_branch(branch)
        count += 1
    assert count


def test_every_backup_beside_16_writers_is_whole(lake: GitLake, home: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    writers = [start(write_and_merge, number, str(home), str(stop)) for number in range(WRITERS)]
    heads: list[str] = []
    try:
        while len(set(heads)) < 6:
            before = lake.head("main").id
            heads.append(lake.backup(tmp_path / "backup").main)
            assert lake.unreached([heads[-1]], [before]) == ()
            copy = GitLake(tmp_path / "backup")
            assert copy.head("main").id == heads[-1]
            for branch in copy.branches():
                assert list(copy.verify(branch)) == []
            copy.close()
    finally:
        stop.touch()
        for writer in writers:
            writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    lake.backup(tmp_path / "backup")
    check_whole(tmp_path / "backup").close()
    restore(tmp_path / "backup", tmp_path / "new")
    new = check_whole(tmp_path / "new")
    assert new.head("main") == lake.head("main")
    assert new.branches() == lake.branches()
    run_together(write_and_merge, 2, str(tmp_path / "new"), _later(tmp_path / "stop too"))
    assert new.head("main") != lake.head("main")
    new.close()


def _later(path: Path) -> str:
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(1); open({str(path)!r}, 'w')"])
    return str(path)


def test_data_are_linked_and_only_what_is_new_is_added(lake: GitLake, home: Path, tmp_path: Path) -> None:
    first = lake.backup(tmp_path / "backup")
    assert (first.copied, first.linked, first.missing) == (0, 3, ())
    assert all(path.samefile(objects(tmp_path / "backup")[name]) for name, path in objects(home).items())
    again = lake.backup(tmp_path / "backup")
    assert (again.copied, again.linked, again.main) == (0, 0, first.main)
    publish(home, "two")
    lake.tag("v1", "main")
    lake.create_branch("work", "main")
    put(lake, "work", "mine", {"a": "1"})
    assert lake.backup(tmp_path / "backup").linked == 4
    copy = check_whole(tmp_path / "backup")
    assert (copy.branches(), copy.tags()) == (("main", "work"), {"v1": lake.head("main").id})
    lake.delete_branch("work")
    lake.backup(tmp_path / "backup")
    assert copy.branches() == ("main",)
    copy.close()


def test_a_copy_shares_no_bytes_with_the_lake(lake: GitLake, home: Path, tmp_path: Path) -> None:
    assert lake.backup(tmp_path / "backup", link=False).copied == 3
    for path in objects(home).values():
        path.chmod(0o644)
        path.write_bytes(b"!" * path.stat().st_size)
    check_whole(tmp_path / "backup").close()


def test_damage_that_the_backup_shares_is_mended_when_it_is_checked(lake: GitLake, home: Path, tmp_path: Path) -> None:
    lake.backup(tmp_path / "backup", link=False)
    damaged = sorted(objects(tmp_path / "backup").values())[0]
    damaged.chmod(0o644)
    damaged.write_bytes(b"!" * damaged.stat().st_size)
    assert lake.backup(tmp_path / "backup").copied == 0
    assert lake.backup(tmp_path / "backup", check=True).copied == 1
    check_whole(tmp_path / "backup").close()


def test_data_that_the_lake_has_lost_stay_in_the_backup_and_what_both_lack_is_named(
    lake: GitLake, home: Path, tmp_path: Path
) -> None:
    lake.backup(tmp_path / "backup")
    old = objects(home)
    publish(home, "two")
    for path in objects(home).values():
        path.rename(tmp_path / path.name)
    done = lake.backup(tmp_path / "backup")
    assert done.missing == ("stocks/csv/day=1/a.csv", "stocks/csv/day=2/b.csv", "stocks/parquet/day=1/c")
    assert set(objects(tmp_path / "backup")) == set(old)
    for path in tmp_path.iterdir():
        if len(path.name) == 64:
            target = home / "lake.git" / "lfs" / "objects" / path.name[:2] / path.name[2:4] / path.name
            path.rename(target)
    publish(home, "three")
    assert lake.backup(tmp_path / "backup").missing == ()
    check_whole(tmp_path / "backup").close()


def test_a_lake_with_a_damaged_git_object_leaves_the_backup_as_it_was(
    lake: GitLake, home: Path, tmp_path: Path
) -> None:
    before = lake.backup(tmp_path / "backup").main
    new = publish(home, "two")
    damaged = home / "lake.git" / "objects" / new[:2] / new[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"")
    with pytest.raises(DataCorrupted, match="as it was before"):
        GitLake(home).backup(tmp_path / "backup")
    copy = check_whole(tmp_path / "backup")
    assert copy.head("main").id == before
    copy.close()


def test_what_has_expired_goes_from_the_backup_and_garbage_goes_from_the_lake(
    lake: GitLake, home: Path, tmp_path: Path
) -> None:
    first = lake.head("main").id
    lake.create_branch("given-up", "main")
    put(lake, "given-up", "mine", {"a": "1"})
    lake.backup(tmp_path / "backup")
    publish(home, "two")
    lake.delete_branch("given-up")
    lake.collect_garbage(ALL_NOW)
    lake.expire(datetime.now(timezone.utc) + timedelta(minutes=1), yes=True)
    assert len(objects(home)) == 3, "the links of a backup keep nothing in the lake"
    lake.backup(tmp_path / "backup")
    for folder in (home, tmp_path / "backup"):
        copy = GitLake(folder)
        assert read(copy, "main", "stocks/parquet") == {"day=1/c": "two in stocks/parquet/day=1/c\n" * 1000}
        with pytest.raises(Expired):
            copy.path(first, "stocks/parquet")
        copy.close()
    copy = GitLake(tmp_path / "backup")
    copy.collect_garbage(ALL_NOW)
    assert set(objects(tmp_path / "backup")) == set(objects(home))
    # Bytes that are written again can be read at every commit that holds them, in the backup as well.
    publish(home, "one")
    publish(home, "three")
    lake.backup(tmp_path / "backup")
    assert read(copy, first, "stocks/parquet") == read(lake, first, "stocks/parquet")
    copy.close()


def test_a_backup_of_another_history_is_replaced_only_where_that_is_said(
    lake: GitLake, home: Path, tmp_path: Path
) -> None:
    lake.backup(tmp_path / "old")
    publish(home, "two")
    newer = lake.backup(tmp_path / "backup").main
    restore(tmp_path / "old", tmp_path / "restored")
    publish(tmp_path / "restored", "instead")
    restored = GitLake(tmp_path / "restored")
    with pytest.raises(AlreadyExists, match=rf"main at {newer}.*--replace"):
        restored.backup(tmp_path / "backup")
    with pytest.raises(AlreadyExists):
        GitLake(tmp_path / "another").backup(tmp_path / "backup")
    copy = GitLake(tmp_path / "backup")
    assert copy.head("main").id == newer
    restored.backup(tmp_path / "backup", replace=True)
    assert copy.head("main") == restored.head("main")
    check_whole(tmp_path / "backup").close()


def test_a_lake_that_is_there_is_replaced_only_where_that_is_said_and_is_kept(
    lake: GitLake, home: Path, tmp_path: Path
) -> None:
    lake.backup(tmp_path / "backup")
    newer = publish(home, "two")
    with pytest.raises(AlreadyExists, match="--replace"):
        restore(tmp_path / "backup", home)
    assert lake.head("main").id == newer
    restore(tmp_path / "backup", home, replace=True)
    again = check_whole(home)
    assert again.head("main").id != newer
    (kept,) = home.glob("lake.git.replaced-*")
    kept.rename(tmp_path / "kept.git")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept.git").rename(tmp_path / "kept" / "lake.git")
    assert check_whole(tmp_path / "kept").head("main").id == newer
    # One that a command has just created holds nothing, and is in nobody's way.
    GitLake(tmp_path / "lost").close()
    restore(tmp_path / "backup", tmp_path / "lost")
    assert check_whole(tmp_path / "lost").head("main") == again.head("main")
    assert not list((tmp_path / "lost").glob("*replaced*"))


def test_a_lake_that_is_replaced_under_writers_is_whole(lake: GitLake, home: Path, tmp_path: Path) -> None:
    """The writers fail, or go on with the restored lake. None of them leaves a part of its work there."""
    old = lake.backup(tmp_path / "backup").main
    stop = tmp_path / "stop"
    writers = [start(write_and_merge, number, str(home), str(stop)) for number in range(2)]
    try:
        while lake.head("main").id == old:
            time.sleep(0.05)
        restore(tmp_path / "backup", home, replace=True)
    finally:
        stop.touch()
        for writer in writers:
            writer.join(60)
    replaced = check_whole(home)
    assert replaced.unreached(["main"], [old]) == ()
    publish(home, "next")
    check_whole(home).close()


def test_a_folder_without_a_whole_backup_restores_nothing(lake: GitLake, tmp_path: Path) -> None:
    (tmp_path / "begun" / "lake.git" / "objects").mkdir(parents=True)
    for folder in ("begun", "nowhere"):
        with pytest.raises(LakeUnavailable, match="no complete backup"):
            restore(tmp_path / folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_copy_by_hand_in_the_documented_order_is_whole_and_restores(
    lake: GitLake, home: Path, tmp_path: Path
) -> None:
    """Refs first, while a writer goes on: each thing that they reach is there already, and stays."""
    lake.collect_garbage(ALL_NOW)
    stop = tmp_path / "stop"
    began = lake.head("main")
    writer = start(write_and_merge, 0, str(home), str(stop))
    try:
        end = time.monotonic() + 60
        while lake.head("main") == began:
            assert time.monotonic() < end, "the writer published nothing"
            time.sleep(0.01)
        copy = tmp_path / "copy" / "lake.git"
        copy.mkdir(parents=True)
        for parts in (("HEAD", "config", "refs", "packed-refs"), ("objects",), ("lfs",)):
            there = [str(home / "lake.git" / part) for part in parts if (home / "lake.git" / part).exists()]
            subprocess.run(["cp", "-a", *there, str(copy)], check=False)
    finally:
        stop.touch()
        writer.join(60)
    made = GitLake(tmp_path / "copy")
    assert list(made.verify("main")) == []
    restore(tmp_path / "copy", tmp_path / "new")
    check_whole(tmp_path / "new").close()


KILLED = """
import os, sys
from pathlib import Path
from lake_assets.lake.embedded import GitLake
lake, left = GitLake(Path(sys.argv[1])), [int(sys.argv[3])]

def hook(event, arguments):
    if event in ("os.link", "os.rename", "os.remove", "os.mkdir") or event == "open" and arguments[2] & os.O_CREAT:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), 9)

sys.addaudithook(hook)
lake.backup(Path(sys.argv[2]))
print(int(sys.argv[3]) - left[0])
"""


def run_killed(home: Path, target: Path, number: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(home), str(target), str(number)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.soak)])
def test_a_killed_backup_leaves_the_earlier_one_and_the_next_completes_it(
    lake: GitLake, home: Path, tmp_path: Path, every: int
) -> None:
    old = lake.backup(tmp_path / "backup").main
    new = publish(home, "two")
    lake.create_branch("work", "main")
    subprocess.run(["cp", "-al", str(tmp_path / "backup"), str(tmp_path / "whole")], check=True)
    steps = int(run_killed(home, tmp_path / "whole", 10_000).stdout)
    assert steps > 10
    for number in range(1, steps + 1, every):
        target = tmp_path / f"killed{number}"
        subprocess.run(["cp", "-a", str(tmp_path / "backup"), str(target)], check=True)
        assert run_killed(home, target, number).returncode == -9
        copy = check_whole(target)
        assert (copy.head("main").id, copy.branches()) in ((old, ("main",)), (new, ("main", "work")))
        assert lake.backup(target).main == new
        assert check_whole(target).branches() == ("main", "work")


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.soak)])
def test_a_first_backup_that_is_killed_is_none_and_the_next_completes_it(
    lake: GitLake, home: Path, tmp_path: Path, every: int
) -> None:
    steps = int(run_killed(home, tmp_path / "whole", 10_000).stdout)
    for number in range(1, steps + 1, every):
        target = tmp_path / f"killed{number}"
        assert run_killed(home, target, number).returncode == -9
        if (target / "lake.git" / "HEAD").exists():
            check_whole(target).close()
        lake.backup(target)
        check_whole(target).close()


def test_foreign_refs_are_backed_up_as_what_they_are(lake: GitLake, home: Path, tmp_path: Path) -> None:
    git = ["git", "-C", str(home / "lake.git"), "-c", "user.name=a", "-c", "user.email=a@b"]
    head = lake.head("main").id
    subprocess.run([*git, "tag", "-a", "-m", "note", "noted", head], check=True)
    subprocess.run([*git, "tag", "tree", f"{head}^{{tree}}"], check=True)
    subprocess.run([*git, "branch", "feature/x", head], check=True)
    lake.backup(tmp_path / "backup")
    listed = [
        subprocess.run(["git", "-C", str(folder / "lake.git"), "for-each-ref"], capture_output=True, check=True).stdout
        for folder in (home, tmp_path / "backup")
    ]
    assert listed[0] == listed[1]
    assert lake.backup(tmp_path / "backup").linked == 0


def test_many_backups_keep_few_packs(lake: GitLake, home: Path, tmp_path: Path) -> None:
    for number in range(21):
        lake.create_branch(f"b{number}", "main")
        put(lake, f"b{number}", "mine", {"a": str(number)})
        lake.backup(tmp_path / "backup")
    assert len(list((tmp_path / "backup" / "lake.git" / "objects" / "pack").glob("*.pack"))) < 20
    check_whole(tmp_path / "backup").close()


def test_data_are_copied_to_another_file_system(lake: GitLake, home: Path, tmp_path: Path) -> None:
    places = (Path("/var/tmp"), Path("/dev/shm"))
    other = next((place for place in places if place.is_dir() and place.stat().st_dev != home.stat().st_dev), None)
    if other is None:
        pytest.skip("wants a second file system at /var/tmp or /dev/shm")
    import tempfile

    with tempfile.TemporaryDirectory(dir=other) as folder:
        assert lake.backup(Path(folder) / "backup").copied == 3
        check_whole(Path(folder) / "backup").close()
        assert restore(Path(folder) / "backup", tmp_path / "new").copied == 3
    check_whole(tmp_path / "new").close()
