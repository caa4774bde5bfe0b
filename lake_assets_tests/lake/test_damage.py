"""Damage of an embedded lake: writing the same bytes mends it, and what it leaves unreadable is named in one line."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event, Thread

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.locks import locked, try_lock
from lake_assets.lake.embedded.repairs import repair
from lake_assets.lake.errors import DataCorrupted, LakeError, LakeUnavailable
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put, read
from lake_assets_tests.lake.damage import DAMAGES, FILES, git_object, object_of, overwrite, published

RAW = re.compile("corrupted|peel|odb|invalid header|zlib|loose object|libgit2|Traceback")
"""Words of libgit2."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    lake = published(home)
    yield lake
    lake.close()


def check_says(error: LakeError, what: str) -> None:
    """Check that an error names what is damaged and what to do, in its own words."""
    assert what in str(error)
    assert "doctor --repair" in str(error)
    assert not RAW.search(str(error))


# Data objects


@pytest.mark.parametrize("opened", ["before", "after"])
@pytest.mark.parametrize("how", DAMAGES)
def test_writing_the_same_bytes_mends_a_data_object(lake: GitLake, home: Path, how: str, opened: str) -> None:
    reader = GitLake(home) if opened == "before" else None
    if reader is not None:
        assert read(reader, "main", "stocks") == FILES
    DAMAGES[how](object_of(lake, "main", "stocks/a"))
    assert len(list(lake.verify("main"))) == 1
    put(lake, "work", "again", {"x": "11"})
    assert list(lake.verify("main")) == list(lake.verify("work")) == []
    assert read(reader or GitLake(home), "main", "stocks") == FILES


def test_no_new_commit_adopts_a_damaged_object(lake: GitLake) -> None:
    undone = put(lake, "work", "stocks", {"a": "33"})
    DAMAGES["flipped"](object_of(lake, "main", "stocks/a"))
    with pytest.raises(DataCorrupted, match="stocks/a"):
        lake.revert(undone.id, "work")
    with pytest.raises(DataCorrupted, match="stocks/a"):
        lake.restore("work", "main", ["stocks/a"])
    assert lake.head("work") == undone
    put(lake, "work", "stocks", FILES)
    assert read(lake, "work", "stocks") == FILES


# Git objects


@pytest.mark.parametrize("opened", ["before", "after"])
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["pointer", "folder", "root"])
def test_writing_the_same_bytes_mends_a_git_object(lake: GitLake, home: Path, kind: str, how: str, opened: str) -> None:
    path = {"pointer": "stocks/a", "folder": "stocks", "root": ""}[kind]
    name = lake.fingerprint("work", path)
    assert name is not None
    base = lake.head("work").parents[0]
    DAMAGES[how](git_object(lake, name))
    writer = lake if opened == "before" else GitLake(home)
    writer.create_branch("next", base)
    put(writer, "next", "stocks", FILES)
    fresh = GitLake(home)
    for ref in ("next", "main", "work"):
        assert read(fresh, ref, "stocks") == FILES
        assert list(fresh.verify(ref)) == []


def test_no_commit_follows_a_damaged_one(lake: GitLake, home: Path) -> None:
    head = lake.head("work")
    DAMAGES["emptied"](git_object(lake, head.id))
    with pytest.raises(DataCorrupted, match=head.id):
        put(lake, "work", "words", {"x": "1"})
    assert (home / "lake.git" / "refs" / "heads" / "work").read_text().strip() == head.id


def test_writing_the_same_bytes_mends_objects_in_a_damaged_pack(home: Path) -> None:
    lake = GitLake(home)
    lake.collect_garbage(timedelta(0))
    packs = home / "lake.git" / "objects" / "pack"
    first = set(packs.glob("*.pack"))
    lake.create_branch("work", "main")
    put(lake, "work", "stocks", FILES)
    lake.collect_garbage(timedelta(0))
    (pack,) = set(packs.glob("*.pack")) - first
    data = pack.read_bytes()
    overwrite(pack, data[:12] + bytes(len(data) - 32) + data[-20:])
    fresh = GitLake(home)
    fresh.create_branch("next", "main")
    put(fresh, "next", "stocks", FILES)
    assert read(GitLake(home), "next", "stocks") == FILES


@pytest.mark.parametrize("how", [["emptied"], ["cut"], ["emptied", "removed"]], ids="+".join)
@pytest.mark.parametrize("suffix", [".pack", ".idx"])
@pytest.mark.parametrize("operation", ["read", "log", "diff"])
def test_a_pack_that_is_cut_off_while_it_is_mapped_does_not_kill_the_process(
    lake: GitLake, home: Path, how: list[str], suffix: str, operation: str
) -> None:
    lake.collect_garbage(timedelta(0))
    put(lake, "work", "stocks", {"a": "3"})
    assert read(lake, "main", "stocks") == FILES
    (pack,) = (home / "lake.git" / "objects" / "pack").glob(f"*{suffix}")
    for damage in how:
        DAMAGES[damage](pack)
    operations: dict[str, Callable[[], object]] = {
        "read": lambda: read(lake, "main", ""),
        "log": lambda: list(lake.log("main")),
        "diff": lambda: lake.diff("main", "work", ""),
    }
    with pytest.raises(DataCorrupted) as error:
        operations[operation]()
    check_says(error.value, "Git object")
    assert "doctor --repair" in " ".join(map(str, lake.verify("main")))
    put(lake, "work", "stocks", {"a": "4"})


_EVERY_OPERATION: dict[str, Callable[[GitLake], object]] = {
    "branches": lambda lake: lake.branches(),
    "private branches": lambda lake: lake.private_branches(),
    "create a branch": lambda lake: lake.create_branch("other", "main"),
    "delete a branch": lambda lake: lake.delete_branch("work"),
    "tag": lambda lake: lake.tag("v1", "main"),
    "tags": lambda lake: lake.tags(),
    "first parents": lambda lake: list(lake.first_parents("main", "stocks")),
    "unreached": lambda lake: lake.unreached(["main"], ["0" * 40]),
    "incoming": lambda lake: lake.incoming("work", "main"),
    "fingerprint": lambda lake: lake.fingerprint("main", "stocks"),
    "path": lambda lake: lake.path("main", "stocks"),
    "merge": lambda lake: lake.merge("work", "main", audit=TESTS),
    "garbage": lambda lake: lake.garbage(timedelta(0)),
    "collect garbage": lambda lake: lake.collect_garbage(timedelta(0)),
    "expire": lambda lake: lake.expire(datetime.now(timezone.utc), yes=True),
    "verify": lambda lake: list(lake.verify("main")),
}


@pytest.mark.parametrize("opened", ["before", "after"])
@pytest.mark.parametrize("suffix", [".pack", ".idx"])
@pytest.mark.parametrize("operation", _EVERY_OPERATION)
def test_no_operation_dies_of_a_pack_that_is_cut_off_while_it_is_mapped(
    lake: GitLake, home: Path, suffix: str, operation: str, opened: str
) -> None:
    lake.collect_garbage(timedelta(0))
    put(lake, "work", "stocks", {"a": "3"})
    # libgit2 maps a pack once for all lakes of a process.
    other = GitLake(home)
    assert read(other, "main", "stocks") == read(lake, "main", "stocks") == FILES
    (pack,) = (home / "lake.git" / "objects" / "pack").glob(f"*{suffix}")
    DAMAGES["emptied"](pack)
    with suppress(LakeError):
        _EVERY_OPERATION[operation](lake if opened == "before" else GitLake(home))
    assert "doctor --repair" in " ".join(map(str, lake.verify("main")))
    for each in (other, lake):
        with pytest.raises(DataCorrupted):
            read(each, "main", "stocks")


_CUT_OFF = """
import shutil, sys
from contextlib import closing
from pathlib import Path
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import DataCorrupted
from lake_assets_tests.lake.damage import overwrite
from lake_assets_tests.lake.test_damage import _EVERY_OPERATION
home, copy, refused = Path(sys.argv[1]), Path(sys.argv[2]), 0
for file in sys.argv[3:]:
    whole = (home / file).read_bytes()
    for length in (2, len(whole) // 2, len(whole) - 6):
        for operation in _EVERY_OPERATION.values():
            shutil.copytree(home, copy)
            overwrite(copy / file, whole[:length])
            with closing(GitLake(copy)) as lake:
                try:
                    operation(lake)
                except DataCorrupted:
                    refused += 1
            shutil.rmtree(copy)
print(refused)
"""


def test_no_operation_waits_for_the_rest_of_a_git_object_that_is_cut_off(lake: GitLake, home: Path) -> None:
    """libgit2 looks for it for ever, and no signal ends that: so another process does it."""
    head = lake.head("main")
    names = [head.id, *head.parents, *(lake.fingerprint("main", path) or "" for path in _PATHS.values())]
    files = [str(git_object(lake, name).relative_to(home)) for name in names]
    command = [sys.executable, "-c", _CUT_OFF, str(home), str(home.with_name("copy")), *files]
    ended = subprocess.run(command, timeout=120, capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 0


def test_a_configuration_that_is_cut_off_anywhere_is_no_lake_of_an_older_format(lake: GitLake, home: Path) -> None:
    path = home / "lake.git" / "config"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(LakeUnavailable, match="doctor --repair"):
            GitLake(home)
        assert all(finding.mended for finding in repair(home))
        with closing(GitLake(home)) as mended:
            assert read(mended, "main", "stocks") == FILES


def test_a_lake_is_repaired_while_the_process_has_it_open(lake: GitLake, home: Path, tmp_path: Path) -> None:
    lake.collect_garbage(timedelta(0))
    lake.backup(tmp_path / "backup", link=False)
    assert read(lake, "main", "stocks") == FILES
    (pack,) = (home / "lake.git" / "objects" / "pack").glob("*.pack")
    DAMAGES["emptied"](pack)
    assert all(finding.mended for finding in repair(home, tmp_path / "backup"))
    assert read(lake, "main", "stocks") == FILES


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["commit", "parent", "root", "folder", "pointer"])
def test_a_damaged_git_object_is_named_with_the_one_thing_to_do(lake: GitLake, home: Path, kind: str, how: str) -> None:
    head = lake.head("main")
    named = {"commit": head.id, "parent": head.parents[1]}
    named |= {kind: lake.fingerprint("main", path) or "" for kind, path in _PATHS.items()}
    DAMAGES[how](git_object(lake, named[kind]))
    fresh = GitLake(home)
    errors: list[LakeError] = []
    for attempt in _OPERATIONS:
        try:
            attempt(fresh)
        except LakeError as error:
            errors.append(error)
    assert errors
    for error in errors:
        check_says(error, named[kind])
        assert isinstance(error, DataCorrupted)


_PATHS = {"root": "", "folder": "stocks", "pointer": "stocks/a"}
_OPERATIONS = [
    lambda lake: lake.head("main"),
    lambda lake: list(lake.log("main")),
    lambda lake: list(lake.list("main")),
    lambda lake: read(lake, "main", "stocks"),
    lambda lake: lake.diff(lake.head("main").parents[0], "main"),
    lambda lake: list(lake.first_parents("main")),
    lambda lake: lake.incoming("work", "main"),
    lambda lake: lake.garbage(timedelta(days=1)),
]


# Refs, HEAD, configuration


@pytest.mark.parametrize("content", [b"", b"\xff\x00garbage\n", b"1" * 39, b"0" * 40 + b"\n", b"1" * 40 + b"\n", None])
def test_a_damaged_main_is_named(lake: GitLake, home: Path, content: bytes | None) -> None:
    path = home / "lake.git" / "refs" / "heads" / "main"
    path.unlink() if content is None else path.write_bytes(content)
    fresh = GitLake(home)
    for attempt in (
        lambda: fresh.head("main"),
        lambda: list(fresh.log("main")),
        lambda: list(fresh.list("main")),
        lambda: fresh.create_branch("next", "main"),
        lambda: fresh.merge("work", "main", audit=TESTS),
    ):
        with pytest.raises(DataCorrupted, match="doctor --repair") as error:
            attempt()
        assert not RAW.search(str(error.value))
    assert "work" in fresh.branches()
    put(fresh, "work", "words", {"x": "1"})


@pytest.mark.parametrize("content", [b"", b"\xff\x00garbage\n"])
def test_nothing_is_collected_while_a_ref_is_damaged(lake: GitLake, home: Path, content: bytes) -> None:
    (home / "lake.git" / "refs" / "heads" / "work").write_bytes(content)
    with pytest.raises(DataCorrupted, match="refs/heads/work"):
        lake.collect_garbage(timedelta(0))
    with pytest.raises(DataCorrupted, match="refs/heads/work"):
        lake.expire(datetime.now(timezone.utc), yes=True)
    with pytest.raises(DataCorrupted, match="doctor --repair"):
        lake.backup(home.parent / "backup")
    assert read(lake, "main", "stocks") == FILES


@pytest.mark.parametrize("name", ["HEAD", "config", "packed-refs"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00[[garbage\n", None])
def test_a_damaged_file_of_git_harms_nothing_or_is_named(
    lake: GitLake, home: Path, name: str, content: bytes | None
) -> None:
    path = home / "lake.git" / name
    path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
    try:
        fresh = GitLake(home)
        assert "main" in fresh.branches()
        assert read(fresh, "main", "stocks") == FILES
    except LakeUnavailable as error:
        check_says(error, "lake.git")


@pytest.mark.parametrize("name", ["logs/refs/heads/main", "lake_assets.deleted", "lake_assets.expired"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00garbage\nmore garbage here\n"])
def test_damaged_notes_harm_nothing(lake: GitLake, home: Path, name: str, content: bytes) -> None:
    (home / "lake.git" / name).write_bytes(content)
    fresh = GitLake(home)
    fresh.collect_garbage(timedelta(0))
    put(fresh, "work", "words", {"x": "1"})
    fresh.merge("work", "main", audit=TESTS)
    fresh.delete_branch("work")
    assert list(fresh.verify("main")) == []


# Snapshots


@pytest.mark.parametrize(
    "how", ["removed", "replaced by other bytes", "added", "a folder in its way", "folder removed"]
)
def test_a_snapshot_that_was_tampered_with_is_made_anew(lake: GitLake, how: str) -> None:
    root = Path(lake.path("main", "stocks").root)
    file = root / "b" / "c"
    if how == "added":
        (root / "b" / "d").write_text("more")
        (root / "more").mkdir()
        (root / "more" / "e").write_text("more")
    elif how == "folder removed":
        file.unlink()
        file.parent.rmdir()
    else:
        file.unlink()
        if how == "replaced by other bytes":
            file.write_text("33")
        elif how == "a folder in its way":
            file.mkdir()
    assert read(lake, "main", "stocks") == FILES
    assert Path(lake.path("main", "stocks").root) == root


def test_a_file_that_was_cut_through_a_snapshot_is_named_and_mended_by_writing(lake: GitLake) -> None:
    DAMAGES["cut"](Path(lake.path("main", "stocks").root, "a"))
    with pytest.raises(DataCorrupted, match="stocks/a"):
        lake.path("main", "stocks")
    put(lake, "work", "again", {"x": "11"})
    assert read(lake, "main", "stocks") == FILES


def test_an_object_that_was_replaced_comes_back_from_its_snapshot(lake: GitLake) -> None:
    lake.path("main", "stocks")
    stored = object_of(lake, "main", "stocks/a")
    stored.unlink()
    stored.write_text("13")
    assert read(lake, "main", "stocks") == FILES
    assert list(lake.verify("main")) == []


def test_the_last_copy_of_a_lost_object_is_read_from_its_snapshot(lake: GitLake) -> None:
    lake.path("main", "stocks")
    object_of(lake, "main", "stocks/a").unlink()
    assert read(lake, "main", "stocks") == FILES


def test_a_snapshot_that_is_right_is_not_touched(lake: GitLake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(lake.path("main", "stocks").root)
    before = root.stat().st_mtime_ns
    monkeypatch.setattr("lake_assets.lake.embedded.objects.sha256_of", None)
    assert Path(lake.path("main", "stocks").root) == root
    assert root.stat().st_mtime_ns == before


@pytest.mark.parametrize("removed", ["snapshots", "staging", "snapshots/.readers", "snapshots/.lock"])
def test_folders_that_are_removed_while_a_run_goes_on_are_made_anew(lake: GitLake, home: Path, removed: str) -> None:
    put(lake, "work", "words", {"x": "1"})
    lake.path("main", "stocks")
    path = home / removed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert read(lake, "main", "stocks") == FILES
    assert read(lake, "work", "words") == {"x": "1"}
    # It still keeps both from a cleaner.
    GitLake(home).clean()
    assert read(lake, "main", "stocks") == FILES
    assert len([folder for folder in (home / "snapshots").iterdir() if folder.name[0] != "."]) == 2
    put(lake, "work", "words", {"x": "2"})


def test_the_lock_of_refs_may_be_removed(lake: GitLake, home: Path) -> None:
    (home / "lake.git" / "lake_assets.lock").unlink()
    put(lake, "work", "words", {"x": "1"})


@pytest.mark.parametrize("made_again", [False, True])
def test_a_write_whose_folder_was_removed_commits_nothing_and_says_so(
    lake: GitLake, home: Path, made_again: bool
) -> None:
    head = lake.head("work")
    write = lake.write("work", "words")
    root = Path(write.__enter__().root)
    shutil.rmtree(home / "staging")
    if made_again:
        root.mkdir(parents=True)
        Path(root, "y").write_text("1")
    error = None if made_again else FileNotFoundError(root)
    with pytest.raises(LakeUnavailable, match="was removed meanwhile"):
        write.__exit__(error and type(error), error, None)
    assert lake.head("work") == head


def test_a_lock_that_is_removed_while_a_writer_waits_for_it_excludes_others(home: Path) -> None:
    home.mkdir()
    path, entered, leave = home / "lock", Event(), Event()

    def hold() -> None:
        with locked(path):
            entered.set()
            leave.wait(60)

    with locked(path):
        thread = Thread(target=hold)
        thread.start()
        path.unlink()
    assert entered.wait(60)
    # The waiter holds the new file's lock, not only that of the old one.
    assert try_lock(path) is None
    leave.set()
    thread.join()
