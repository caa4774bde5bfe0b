"""What people make in the lake's repository by plain Git is shown as what it is, and harms nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.repairs import repair
from lake_assets.lake.errors import AlreadyExists, PathNotFound, RefNotFound
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import paths, put, read
from lake_assets_tests.lake.damage import FILES, published


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    lake = published(home)
    yield lake
    lake.close()


def git(home: Path, *arguments: str, text: str = "") -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", "-C", str(home / "lake.git"), *who, *arguments]
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.strip()


def commit_entries(home: Path, branch: str, *entries: str) -> str:
    """Commit a tree of ``mktree`` lines beside the folder ``stocks``, and return the commit."""
    stocks = git(home, "rev-parse", f"{branch}:stocks")
    lines = (f"040000 tree {stocks}\tstocks", *entries)
    tree = git(home, "mktree", "--missing", text="".join(f"{line}\n" for line in lines))
    commit = git(home, "commit-tree", tree, "-p", branch, "-m", "By hand")
    git(home, "update-ref", f"refs/heads/{branch}", commit)
    return commit


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**62])
def test_a_commit_of_a_wrong_clock_is_listed(lake: GitLake, home: Path, seconds: int) -> None:
    head = git(home, "rev-parse", "main")
    who = f"Somebody <somebody@example.org> {seconds} +0000"
    tree = git(home, "rev-parse", "main^{tree}")
    text = f"tree {tree}\nparent {head}\nauthor {who}\ncommitter {who}\n\nBy hand\n"
    commit = git(home, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", text=text)
    git(home, "update-ref", "refs/heads/hand", commit)
    assert lake.head("hand").committed_at.year == 9999
    check_works(home, fsck=False)


def check_works(home: Path, *, fsck: bool = True) -> None:
    """Check that everything that a lake does goes on."""
    lake = GitLake(home)
    heads = [lake.head(name) for name in lake.branches()]
    assert len(heads) >= 2
    assert read(lake, "main", "stocks") == FILES
    for name in lake.branches():
        list(lake.log(name))
        list(lake.list(name))
        list(lake.verify(name))
        lake.incoming(name, "main")
    list(lake.tags())
    lake.create_branch("next", "main")
    put(lake, "next", "words", {"x": "1"})
    lake.merge("next", "main", audit=TESTS)
    lake.delete_branch("next")
    lake.garbage(timedelta(0))
    lake.collect_garbage(timedelta(0))
    lake.expire(datetime.now(timezone.utc), yes=True)
    lake.clean()
    lake.backup(home.parent / "backup")
    assert list(repair(home)) == []
    assert list(lake.verify("main", "stocks")) == []
    assert read(lake, "main", "stocks") == FILES
    lake.close()
    if fsck:
        git(home, "fsck", "--no-dangling")


# Refs


def test_a_branch_with_a_slash_is_a_branch(lake: GitLake, home: Path) -> None:
    git(home, "branch", "feature/x", "work")
    assert lake.branches() == ("feature/x", "main", "work")
    assert lake.head("feature/x") == lake.head("work")
    assert read(lake, "feature/x", "stocks") == FILES
    put(lake, "feature/x", "words", {"x": "1"})
    assert paths(lake, "feature/x", "words") == ["words/x"]
    check_works(home)
    lake.delete_branch("feature/x")
    assert lake.branches() == ("main", "work")


def test_tags_of_commits_are_tags_and_others_are_named(lake: GitLake, home: Path) -> None:
    git(home, "tag", "of-tree", "work^{tree}")
    git(home, "tag", "of-blob", "work:stocks/a")
    git(home, "tag", "-a", "-m", "text", "annotated", "work")
    git(home, "tag", "-a", "-m", "text", "of-annotated", "annotated")
    git(home, "tag", "-a", "-m", "text", "annotated-tree", "work^{tree}")
    head = lake.head("work")
    assert lake.tags() == {"annotated": head.id, "of-annotated": head.id}
    assert lake.head("annotated") == head
    for name, kind in (("of-tree", "a tree"), ("of-blob", "a blob"), ("annotated-tree", "a tag of a tree")):
        with pytest.raises(RefNotFound, match=f"names {kind}.*commit.*{name}"):
            lake.head(name)
        with pytest.raises(RefNotFound, match=name):
            lake.tag(name, "work")
    check_works(home)


def test_an_orphan_branch_is_a_branch(lake: GitLake, home: Path) -> None:
    tree = git(home, "rev-parse", "work^{tree}")
    git(home, "update-ref", "refs/heads/orphan", git(home, "commit-tree", tree, "-m", "Alone"))
    assert [commit.message for commit in lake.log("orphan")] == ["Alone"]
    check_works(home)


def test_a_detached_head_notes_and_remote_branches_harm_nothing(lake: GitLake, home: Path) -> None:
    git(home, "notes", "add", "-m", "seen", "work")
    git(home, "update-ref", "refs/remotes/origin/main", "work")
    git(home, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    git(home, "symbolic-ref", "refs/heads/alias", "refs/heads/work")
    git(home, "symbolic-ref", "refs/heads/dangling", "refs/heads/gone")
    git(home, "update-ref", "--no-deref", "HEAD", "work")
    assert lake.branches() == ("alias", "main", "work")
    assert lake.head("refs/remotes/origin/main") == lake.head("work")
    with pytest.raises(RefNotFound, match="refs/heads/gone"):
        lake.head("dangling")
    # Git itself complains of a ref to a ref that is not there.
    check_works(home, fsck=False)


def test_a_branch_below_the_name_of_another_is_refused(lake: GitLake, home: Path) -> None:
    git(home, "branch", "run/x", "work")
    with pytest.raises(AlreadyExists, match="run"):
        lake.create_branch("run", "main")
    check_works(home)


# Files


def test_a_plain_file_is_shown_and_read(lake: GitLake, home: Path) -> None:
    blob = git(home, "hash-object", "-w", "--stdin", text="by hand")
    commit_entries(home, "work", f"100755 blob {blob}\tnotes.txt")
    assert paths(lake, "work") == ["notes.txt", "stocks/a", "stocks/b/c"]
    assert read(lake, "work", "") == {
        "notes.txt": "by hand",
        **{f"stocks/{name}": text for name, text in FILES.items()},
    }
    assert read(lake, "work", "") == read(lake, "work", "")
    assert len(list(lake.verify("work"))) == 1
    assert lake.diff("main", "work").added == ("notes.txt",)
    put(lake, "work", "words", {"x": "1"})
    assert git(home, "ls-tree", "work", "notes.txt") == f"100755 blob {blob}\tnotes.txt"
    lake.merge("work", "main", audit=TESTS)
    assert read(lake, "main", "notes.txt".rpartition("/")[0])["notes.txt"] == "by hand"
    check_works(home)


def test_links_and_submodules_are_shown_and_not_followed(lake: GitLake, home: Path) -> None:
    target = git(home, "hash-object", "-w", "--stdin", text="/etc/passwd")
    links = (f"120000 blob {target}\tlink", f"160000 commit {'1' * 40}\tmodule")
    commit_entries(home, "work", *links)
    assert paths(lake, "work") == ["link", "module", "stocks/a", "stocks/b/c"]
    assert [line.partition(",")[0] for line in lake.verify("work")] == ["link: a symbolic link", "module: a submodule"]
    assert read(lake, "work", "").keys() == {f"stocks/{name}" for name in FILES}
    for path in ("link", "module"):
        with pytest.raises(PathNotFound, match="another program committed"):
            lake.path("work", path)
        with pytest.raises(PathNotFound, match="another program committed"):
            lake.open_file("work", path)
    put(lake, "work", "words", {"x": "1"})
    assert git(home, "ls-tree", "work", "link", "module").splitlines() == list(links)
    lake.merge("work", "main", audit=TESTS)
    assert git(home, "ls-tree", "main", "link", "module").splitlines() == list(links)
    check_works(home)


def test_a_change_of_mode_alone_is_a_change(lake: GitLake, home: Path) -> None:
    blob = git(home, "hash-object", "-w", "--stdin", text="by hand")
    before = commit_entries(home, "work", f"100644 blob {blob}\trun.sh")
    commit_entries(home, "work", f"100755 blob {blob}\trun.sh")
    assert lake.diff(before, "work").changed == ("run.sh",)
    lake.merge("work", "main", audit=TESTS)
    assert git(home, "ls-tree", "main", "run.sh").startswith("100755")
