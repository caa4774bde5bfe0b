"""Garbage of the embedded lake: packed, removed after its time, and never what anybody needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.creation import opened
from lake_assets.lake.embedded.gc import Collector
from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.errors import RefNotFound
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import kill, put, read, start
from lake_assets_tests.lake.damage import published

NONE, DAY = timedelta(0), timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    lake = GitLake(home)
    lake.create_branch("work", "main")
    yield lake
    lake.close()


def publish(lake: GitLake, number: int, text: str = "") -> str:
    name = f"run-{os.getpid()}-{number}"
    lake.create_branch(name, "main")
    put(lake, name, f"stocks/day={number}-{os.getpid()}", {"a": text or f"{os.getpid()} {number}"})
    merged = lake.merge(name, "main", audit=TESTS).id
    lake.delete_branch(name)
    return merged


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def loose(home: Path) -> list[Path]:
    return [path for path in files(home / "lake.git" / "objects") if len(path.parent.name) == 2]


def check_whole(home: Path) -> None:
    """Check, by Git itself and by the lake, that nothing is missing or damaged."""
    subprocess.run(["git", "-C", str(home / "lake.git"), "fsck", "--full", "--strict"], check=True, capture_output=True)
    lake = GitLake(home)
    for commit in lake.log("main"):
        assert list(lake.verify(commit.id)) == []


def test_what_is_published_stays_and_takes_little_room(lake: GitLake, home: Path) -> None:
    commits = [publish(lake, number) for number in range(30)]
    before = [(commit, read(lake, commit, "stocks")) for commit in commits]
    lake.close()
    foreseen = lake.garbage(NONE)
    assert lake.collect_garbage(NONE) == foreseen
    assert loose(home) == []
    assert len(files(home / "lake.git" / "objects")) < 5
    for reader in (lake, GitLake(home)):
        assert [(commit, read(reader, commit, "stocks")) for commit in commits] == before
        assert len(list(reader.log("main"))) == 61
    check_whole(home)
    assert lake.garbage(NONE) == ()
    assert lake.collect_garbage(NONE) == ()


def test_an_index_that_plain_git_made_of_packs_goes_with_them(lake: GitLake, home: Path) -> None:
    publish(lake, 1)
    ids = "".join(f"{path.parent.name}{path.name}\n" for path in loose(home))
    git = ["git", "-C", str(home / "lake.git")]
    subprocess.run(
        [*git, "pack-objects", "-q", "objects/pack/pack"], input=ids, text=True, check=True, cwd=home / "lake.git"
    )
    subprocess.run([*git, "prune-packed"], check=True)
    subprocess.run([*git, "multi-pack-index", "write"], check=True)
    publish(lake, 2)
    lake.close()
    lake.collect_garbage(NONE)
    check_whole(home)


def test_finding_garbage_removes_nothing(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    lake.delete_branch("work")
    before = files(home)
    assert lake.garbage(NONE)
    assert files(home) == before


def test_a_swept_runs_commits_are_readable_until_the_grace_time_is_over(lake: GitLake, home: Path) -> None:
    commit = put(lake, "work", "stocks", {"a": "never published"})
    for path in files(home / "lake.git"):
        os.utime(path, (0, 0))  # Written long ago, and deleted only now.
    lake.delete_branch("work")
    lake.collect_garbage(DAY)
    assert read(lake, commit.id, "stocks") == {"a": "never published"}
    lake.close()
    other = GitLake(home)
    assert other.head(commit.id) == commit
    for path in (home / "lake.git" / "objects" / "pack").iterdir():
        os.utime(path, (0, 0))
    lake.collect_garbage(NONE)
    for reader in (lake, other):
        with pytest.raises(RefNotFound):
            reader.head(commit.id)
    assert files(home / "lake.git" / "lfs") == []
    assert lake.garbage(NONE) == ()
    check_whole(home)


def test_what_a_branch_or_a_tag_reaches_stays(lake: GitLake, home: Path) -> None:
    waiting = put(lake, "work", "stocks", {"a": "waits for its publication"})
    lake.create_branch("named", "main")
    named = put(lake, "named", "words", {"a": "tagged"})
    lake.tag("v1", "named")
    lake.delete_branch("named")
    for path in files(home / "lake.git"):
        os.utime(path, (0, 0))
    lake.collect_garbage(NONE)
    assert read(lake, waiting.id, "stocks") == {"a": "waits for its publication"}
    assert read(lake, named.id, "words") == {"a": "tagged"}
    lake.merge("work", "main", audit=TESTS)
    check_whole(home)


def test_a_readers_snapshot_outlives_its_commit(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    reader = GitLake(home)
    root = Path(reader.path("work", "stocks").root)
    lake.delete_branch("work")
    lake.collect_garbage(NONE)
    assert (root / "a").read_text() == "1"
    reader.close()
    lake.collect_garbage(NONE)
    assert not root.exists()
    assert files(home / "lake.git" / "lfs") == []


def test_what_is_written_again_is_not_collected(lake: GitLake, home: Path) -> None:
    """A writer that finds its bytes there relies on them from then on, though nothing reaches them yet."""
    put(lake, "work", "stocks", {"a": "again"})
    lake.delete_branch("work")
    for path in files(home / "lake.git"):
        os.utime(path, (0, 0))
    (home / "lake.git" / "lake_assets.deleted").write_text("")
    lake.create_branch("next", "main")
    with lake.write("next", "stocks") as write:
        Path(write.root, "a").write_text("again")
    lake.collect_garbage(NONE)
    assert read(lake, "next", "stocks") == {"a": "again"}
    check_whole(home)


def test_what_is_collected_between_writing_and_committing_is_put_back(
    lake: GitLake, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = lake._refs.advance  # pyright: ignore[reportPrivateUsage]

    def after_a_collection(*arguments: object) -> object:
        GitLake(home).collect_garbage(NONE)
        assert loose(home) == []
        return advance(*arguments)  # pyright: ignore[reportArgumentType]

    put(lake, "work", "other", {"a": "1"})
    lake.collect_garbage(NONE)
    monkeypatch.setattr(lake._refs, "advance", after_a_collection)  # pyright: ignore[reportPrivateUsage]
    put(lake, "work", "stocks", {"a": "1", "b/c": "2"})
    assert read(lake, "work", "stocks") == {"a": "1", "b/c": "2"}
    lake.merge("work", "main", audit=TESTS)
    check_whole(home)


@pytest.mark.parametrize("became", ["written again", "reached", "somebody's"])
def test_what_is_needed_since_it_was_looked_at_stays(
    lake: GitLake, home: Path, became: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may go is found while runs go on, and each of it is looked at again before it goes."""
    put(lake, "work", "stocks", {"a": "again"})
    lake.delete_branch("work")
    for path in files(home / "lake.git"):
        os.utime(path, (0, 0))
    (home / "lake.git" / "lake_assets.deleted").write_text("")
    temporary = Collector._temporary
    renewed: list[Path] = []

    def and_then(collector: Collector, before: float) -> Any:
        monkeypatch.undo()
        (data,) = files(home / "lake.git" / "lfs")
        if became == "reached":
            lake.create_branch("next", "main")
            put(lake, "next", "stocks", {"a": "again"})
            for path in files(home / "lake.git"):
                os.utime(path, (0, 0))
        elif became == "written again":
            renewed.extend(loose(home))
            for path in (data, *renewed):
                os.utime(path)
        else:
            (home / "reader").hardlink_to(data)
        return temporary(collector, before)

    monkeypatch.setattr(Collector, "_temporary", and_then)
    lake.collect_garbage(DAY)
    assert len(files(home / "lake.git" / "lfs")) == 1
    if became == "reached":
        assert read(lake, "next", "stocks") == {"a": "again"}
        check_whole(home)
    assert set(renewed) <= set(loose(home))


def test_what_killed_writers_of_git_left_is_removed(lake: GitLake, home: Path) -> None:
    left = [home / "lake.git" / "objects" / name for name in ("tmp_object_git2_1", "pack/tmp_pack_1")]
    for path in left:
        path.write_text("1")
    lake.collect_garbage(NONE)
    assert all(path.exists() for path in left)
    for path in left:
        os.utime(path, (0, 0))
    lake.collect_garbage(NONE)
    assert not any(path.exists() for path in left)


def test_many_collections_leave_few_packs(lake: GitLake, home: Path) -> None:
    for number in range(25):
        publish(lake, number)
        lake.collect_garbage(DAY)
    assert len(list((home / "lake.git" / "objects" / "pack").glob("*.pack"))) <= 11
    check_whole(home)


def _publish_on(number: int, home: Path, times: int) -> None:
    lake = GitLake(home)
    for at in range(times):
        # Half of the bytes are the same everywhere: adopted, and left by those that are killed.
        commit = publish(lake, at, "shared" * at if at % 2 else "")
        assert read(lake, commit, f"stocks/day={at}-{os.getpid()}")
    lake.close()


def test_an_object_is_looked_for_again_where_it_was_packed_anew_meanwhile(home: Path) -> None:
    lake = published(home)
    objects = GitObjects(opened(home / "lake.git"))
    looked: list[int] = []

    def read() -> str:
        looked.append(len(looked))
        if len(looked) == 1:
            assert lake.collect_garbage(NONE)
            raise KeyError("it was in a pack that is gone")
        return "found"

    def missing() -> str:
        raise KeyError("nowhere")

    assert objects._found(read) == "found"
    with pytest.raises(KeyError, match="nowhere"):
        objects._found(missing)


@pytest.mark.parametrize(("writers", "killed", "times"), [(4, 1, 15), pytest.param(16, 6, 60, marks=pytest.mark.soak)])
def test_collecting_beside_writers_of_which_some_are_killed(home: Path, writers: int, killed: int, times: int) -> None:
    lake = GitLake(home)
    running = [start(_publish_on, number, home, times) for number in range(writers)]
    doomed = running[:killed]
    collections = 0
    while any(process.is_alive() for process in running):
        lake.collect_garbage(NONE)
        collections += 1
        if doomed and collections % 3 == 0 and doomed[-1].is_alive():
            kill(doomed.pop())
        elif doomed and not doomed[-1].is_alive():
            doomed.pop()
    assert [process.exitcode for process in running[killed:]] == [0] * (writers - killed)
    assert collections > 3
    check_whole(home)
    lake.collect_garbage(NONE)
    check_whole(home)
