"""Everything that we make has the permissions of the umask, or those that ``core.sharedRepository`` asks for."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.repairs import repair
from lake_assets.lake.permissions import Sharing, sharing_near, sharing_of, umask
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.outbox.lines import LinesOutbox
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import DEADLINE, put, read

GROUP, OTHER_USER = 65533, 65532


def use_all(home: Path, name: str) -> None:
    """Do everything with a lake that makes files, and read what others have written."""
    lake = GitLake(home)
    lake.create_branch(f"run-{name}", "main")
    put(lake, f"run-{name}", f"stocks/{name}", {"a": name, "b/c": "2", "same": "same"})
    lake.merge(f"run-{name}", "main", audit=TESTS)
    lake.tag(f"tag-{name}", "main")
    for item in list(lake.list("main")):
        lake.path("main", item.path)
    assert read(lake, "main", "stocks")[f"{name}/a"] == name
    lake.delete_branch(f"run-{name}")
    lake.collect_garbage(timedelta(0))
    lake.expire(datetime(2000, 1, 1, tzinfo=timezone.utc), yes=True)
    put_more(lake, name)
    assert list(lake.verify("main")) == []
    store = LMDBStore(home / "nosql")
    store.close()
    with LinesOutbox(home / "outbox" / "lines.jsonl", "lake").sender():
        pass
    lake.clean()
    lake.close()


def put_more(lake: GitLake, name: str) -> None:
    lake.create_branch(f"more-{name}", "main")
    put(lake, f"more-{name}", "words", {"x": name})


def modes(home: Path) -> dict[Path, int]:
    found = {path: path.lstat() for path in (home, *home.rglob("*"))}
    return {path: stat.S_IMODE(status.st_mode) for path, status in found.items() if not stat.S_ISLNK(status.st_mode)}


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_the_umask_holds_for_everything(tmp_path: Path, mask: int) -> None:
    home = tmp_path / "lake"
    before = os.umask(mask)
    try:
        assert umask() == mask
        use_all(home, "a")
    finally:
        os.umask(before)
    found = modes(home)
    assert {path: oct(mode) for path, mode in found.items() if mode & mask} == {}
    data = [mode for path, mode in found.items() if "lfs" in path.parts and path.is_file()]
    assert set(data) == {0o444 & ~mask}
    folders = {mode for path, mode in found.items() if path.is_dir()}
    assert folders == {0o777 & ~mask}


@pytest.mark.parametrize(
    ("value", "file", "program", "data", "folder"),
    [
        ("group", 0o660, 0o770, 0o440, 0o2770),
        ("true", 0o660, 0o770, 0o440, 0o2770),
        ("all", 0o664, 0o775, 0o444, 0o2775),
        ("0640", 0o640, 0o750, 0o440, 0o2750),
        ("umask", 0o600, 0o700, 0o400, 0o700),
        ("nonsense", 0o600, 0o700, 0o400, 0o700),
    ],
)
def test_the_setting_means_what_git_takes_it_for(
    tmp_path: Path, value: str, file: int, program: int, data: int, folder: int
) -> None:
    git_dir = tmp_path / "lake.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(git_dir)], check=True)
    subprocess.run(["git", "-C", str(git_dir), "config", "core.sharedRepository", value], check=True)
    sharing = sharing_of(git_dir)
    assert sharing == sharing_near(tmp_path / "nosql" / "deep")
    assert [sharing.mode(mode, is_folder=False) for mode in (0o600, 0o700, 0o400)] == [file, program, data]
    assert sharing.mode(0o700, is_folder=True) == folder


def test_where_no_lake_is_near_only_the_umask_counts(tmp_path: Path) -> None:
    assert sharing_near(tmp_path) == Sharing()


# A second user


@pytest.fixture
def shared_home() -> Iterator[Path]:
    """A folder that other users reach, unlike those of pytest."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "lake"
    shutil.rmtree(folder)


def _as_other_user(home: Path, name: str) -> None:
    os.setgroups([GROUP])
    os.setgid(OTHER_USER)
    os.setuid(OTHER_USER)
    os.umask(0o077)
    use_all(home, name)


def test_a_second_user_works_in_a_shared_lake(shared_home: Path) -> None:
    before = os.umask(0o077)
    try:
        GitLake(shared_home).close()
        git_dir = shared_home / "lake.git"
        subprocess.run(["git", "-C", str(git_dir), "config", "core.sharedRepository", "group"], check=True)
        for path in (shared_home, *shared_home.rglob("*")):
            os.chown(path, -1, GROUP)
        assert list(repair(shared_home)) == []
        use_all(shared_home, "a")
        # What it imports, it cannot import as another user.
        child = multiprocessing.get_context("fork").Process(target=_as_other_user, args=(shared_home, "b"))
        child.start()
        child.join(DEADLINE)
        assert child.exitcode == 0
        use_all(shared_home, "c")
    finally:
        os.umask(before)
    found = modes(shared_home)
    assert {path.stat().st_gid for path in found} == {GROUP}
    assert {oct(mode) for path, mode in found.items() if path.is_dir()} == {oct(0o2770)}
    assert {path: oct(mode) for path, mode in found.items() if mode & 0o007} == {}
    assert {path: oct(mode) for path, mode in found.items() if not mode & stat.S_IRGRP} == {}
    lake = GitLake(shared_home)
    assert {path.partition("/")[0] for path in read(lake, "main", "stocks")} == {"a", "b", "c"}
