"""What was published is there after a power loss: the order of system calls, read by `strace`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets_tests.lake.publication import publish
from lake_assets_tests.system_calls import Call, Disk, calls, skip_without_strace, traced

PUBLICATION = [sys.executable, "-m", "lake_assets_tests.lake.publication"]


@pytest.fixture(scope="module", params=["new lake", "old lake"])
def publication(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Call]]:
    """A lake's home and the calls of a process that published there, and fed a table."""
    skip_without_strace()
    folder = tmp_path_factory.mktemp("durability")
    home = folder / "new" / "home"
    if request.param == "old lake":
        publish(home, "old")
    ended = traced([*PUBLICATION, str(home), "new", "table"], folder / "log", os.environ)
    assert ended.returncode == 0, ended.stderr
    return home, list(calls(folder / "log"))


def reached(home: Path, ref: str) -> set[str]:
    """Return the files that a ref reaches: data, and loose Git objects."""
    import pygit2

    lake = GitLake(home)
    files = {item.physical_address.removeprefix("file://") for item in lake.list(ref)}
    git_dir = home / "lake.git"
    repository = pygit2.Repository(str(git_dir))
    found: set[str] = set()

    def look(object_id: pygit2.Oid) -> None:
        if str(object_id) not in found:
            found.add(str(object_id))
            thing = repository[object_id]
            for child in thing if isinstance(thing, pygit2.Tree) else ():
                look(child.id)

    for commit in repository.walk(repository.references[f"refs/heads/{ref}"].target):
        found.add(str(commit.id))
        look(commit.tree_id)
    return files | {str(git_dir / "objects" / name[:2] / name[2:]) for name in found}


def losses(home: Path, calls: Iterable[Call]) -> list[str]:
    """Return what a power loss would take of what a ref reaches, at each move of one and at the end."""
    disk = Disk(str(home.parent.parent))
    needed = reached(home, "main")
    lost: list[str] = []
    refs = f"{home}/lake.git/refs/heads/"
    for call in calls:
        moves = call.name.startswith(("rename", "link")) and call.paths[-1].startswith(refs)
        if moves or (call.name.startswith("rename") and call.paths[-1] == f"{home}/lake.git"):
            lost += [disk.lost(path) for path in sorted(needed & disk.names.keys())]
            if moves and disk.names.get(call.paths[0]) in disk.unsynced_bytes:
                lost.append(f"the bytes of {call.paths[0]}")
        disk.apply(call)
    lost += [disk.lost(path) for path in (*sorted(needed), f"{refs}main")]
    return [loss for loss in lost if loss]


def test_all_that_a_ref_reaches_is_synced_before_it_moves(publication: tuple[Path, list[Call]]) -> None:
    home, calls = publication
    moves = [call for call in calls if call.name == "rename" and call.paths[-1].endswith("/refs/heads/main")]
    assert len(moves) == 1
    assert losses(home, calls) == []


def test_the_table_is_synced_before_the_program_goes_on(publication: tuple[Path, list[Call]]) -> None:
    home, calls = publication
    data = f"{home}/nosql/data.mdb"
    disk = Disk(str(home.parent.parent))
    synced_at_once: set[int] = set()
    for call in calls:
        if call.name == "openat":
            (synced_at_once.add if re.search("O_D?SYNC", call.flags) else synced_at_once.discard)(call.number)
        if not (call.file == data and call.number in synced_at_once):
            disk.apply(call)
    assert data in disk.names
    assert disk.lost(data) == ""


@pytest.mark.parametrize(
    "kind",
    ["/staging/", r"/lfs/objects/../..$", "/lfs/objects$", "/tmp_object", "/objects/..$", r"\.lock$", "/refs/heads$"],
)
def test_each_kind_of_sync_is_missed_where_it_is_left_out(publication: tuple[Path, list[Call]], kind: str) -> None:
    home, calls = publication
    left = [call for call in calls if not (call.name == "fsync" and re.search(kind, call.file))]
    assert losses(home, left) != []
