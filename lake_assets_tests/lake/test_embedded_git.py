"""The embedded lake is an ordinary Git repository with ordinary Git-LFS objects."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.lake.embedded import GitLake, refs, trailers
from lake_assets.lake.embedded.objects import Pointer
from lake_assets.lake.errors import DataCorrupted, InvalidName, LakeUnavailable
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import paths, put, read, run_together


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    lake = GitLake(home)
    lake.create_branch("work", "main")
    yield lake
    lake.close()


def git(home: Path, *arguments: str) -> str:
    command = ["git", "-C", str(home / "lake.git"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_git_finds_nothing_wrong_with_it(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1", "b/c": "2", "b.c": "3", "Zürich 雪": "4"})
    lake.merge("work", "main", audit=TESTS)
    lake.revert("main", "work")
    git(home, "fsck", "--strict", "--no-dangling")
    assert git(home, "symbolic-ref", "HEAD") == "refs/heads/main\n"


def test_git_shows_commits_with_metadata_as_trailers(lake: GitLake, home: Path) -> None:
    metadata = {"run_id": "7c9e", "asset": "stocks: csv", "dagster/tag": "x"}
    put(lake, "work", "stocks", {"a": "1"}, message="Stocks of 08:00", metadata=metadata)
    shown = git(home, "log", "-1", "--format=%an <%ae>|%s|%(trailers:key=Run-id,valueonly)", "work")
    assert shown.split("|") == ["lake_assets <lake_assets@localhost>", "Stocks of 08:00", "7c9e\n\n"]
    lines = git(home, "log", "-1", "--format=%(trailers:only)", "work").split("\n")
    assert "Asset: stocks: csv" in lines
    assert 'Lake-metadata: ["dagster/tag", "x"]' in lines


def test_git_lists_and_compares_data_files_as_lfs_pointers(lake: GitLake, home: Path) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    sha256 = hashlib.sha256(b"1").hexdigest()
    assert git(home, "ls-tree", "-r", "--name-only", "work").split() == [".gitattributes", "stocks/a"]
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 1\n"
    assert git(home, "show", "work:stocks/a") == pointer
    assert git(home, "diff", "--stat", commit.parents[0], "work").startswith(" stocks/a | 3 +++")
    assert git(home, "show", "main:.gitattributes") == "* filter=lfs diff=lfs merge=lfs -text\n"
    stored = home / "lake.git" / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
    assert stored.read_bytes() == b"1"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o444


def test_a_branch_made_by_git_is_a_branch_of_the_lake(lake: GitLake, home: Path) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    git(home, "branch", "by-git", "work")
    git(home, "tag", "-a", "-m", "annotated", "v1", "work")
    git(home, "pack-refs", "--all")
    git(home, "gc", "--prune=now", "--quiet")
    assert lake.branches() == ("by-git", "main", "work")
    assert lake.tags() == {"v1": commit.id}
    second = put(lake, "by-git", "stocks", {"a": "2"})
    lake.delete_branch("work")
    assert lake.head("by-git") == second
    assert git(home, "rev-parse", "by-git").strip() == second.id


def test_a_shortened_commit_id_will_do(lake: GitLake) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    assert lake.head(commit.id[:10]) == commit


def test_what_is_no_commit_is_reached_by_none(lake: GitLake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    tree = lake.fingerprint("work", "stocks") or ""
    assert lake.unreached(["work"], [tree, lake.head("work").id]) == (tree,)


def test_commits_of_deleted_branches_survive_maintenance(lake: GitLake, home: Path) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    lake.delete_branch("work")
    git(home, "gc", "--quiet")
    assert read(GitLake(home), commit.id, "stocks") == {"a": "1"}


def test_a_commit_by_plain_git_is_shown_as_it_is(lake: GitLake, home: Path) -> None:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    tree = git(home, "rev-parse", "work^{tree}").strip()
    message = "By hand\n\nRun-id: 7"
    commit = git(home, *identity, "commit-tree", tree, "-p", "work", "-m", message).strip()
    git(home, "update-ref", "refs/heads/work", commit)
    assert lake.head("work").message == message
    assert lake.head("work").metadata == {}
    put(lake, "work", "stocks", {"a": "1"})
    assert lake.head("work").parents == (commit,)


def test_a_file_that_is_no_pointer_is_shown_as_what_it_is(lake: GitLake, home: Path) -> None:
    blob = subprocess.run(
        ["git", "-C", str(home / "lake.git"), "hash-object", "-w", "--stdin"],
        input="raw", check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    tree = subprocess.run(
        ["git", "-C", str(home / "lake.git"), "mktree"],
        input=f"100644 blob {blob}\tnotes.txt\n", check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    commit = git(home, *identity, "commit-tree", tree, "-p", "work", "-m", "By hand").strip()
    git(home, "update-ref", "refs/heads/work", commit)
    (shown,) = lake.list("work")
    assert (shown.path, shown.size, shown.checksum) == ("notes.txt", 3, f"git:{blob}")
    assert list(lake.verify("work")) == [
        "notes.txt: a plain Git file, which another program committed: it has no Git-LFS object"
    ]
    assert read(lake, "work", "") == {"notes.txt": "raw"}
    assert lake.open_file("work", "notes.txt").read() == b"raw"
    put(lake, "work", "stocks", {"a": "1"})
    assert paths(lake, "work", "stocks") == ["stocks/a"]


def test_nobodys_git_configuration_matters(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("this is [no configuration\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    run_together(_open_and_write, 1, home)
    assert GitLake(home).head("w0").metadata == {"run": "7"}


def _open_and_write(number: int, home: Path) -> None:
    lake = GitLake(home)
    lake.create_branch(f"w{number}", "main")
    put(lake, f"w{number}", "stocks", {"a": "1"}, metadata={"run": "7"})


@pytest.mark.parametrize("name", ["refs/heads/work.lock", "packed-refs.lock"])
def test_a_lock_left_behind_by_a_killed_process_is_removed(lake: GitLake, home: Path, name: str) -> None:
    left = home / "lake.git" / name
    left.touch()
    long_ago = time.time() - refs.STALE_AFTER - 1
    os.utime(left, (long_ago, long_ago))
    put(lake, "work", "stocks", {"a": "1"})
    lake.delete_branch("work")
    assert not left.exists()
    assert lake.branches() == ("main",)


def test_a_fresh_lock_of_plain_git_is_waited_for(lake: GitLake, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refs, "STALE_AFTER", 0.5)
    left = home / "lake.git" / "refs" / "heads" / "work.lock"
    left.touch()
    began = time.monotonic()
    put(lake, "work", "stocks", {"a": "1"})
    assert time.monotonic() - began > 0.4
    assert paths(lake, "work") == ["stocks/a"]


def test_a_lake_in_a_folder_that_spark_reads_as_a_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidName, match="pattern"):
        GitLake(tmp_path / "lake[1]")


def test_a_folder_that_is_no_lake_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake.git").mkdir()
    with pytest.raises(LakeUnavailable, match=str(tmp_path)):
        GitLake(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeUnavailable, match="file"):
        GitLake(tmp_path / "file")


def test_a_damaged_repository_says_so(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    tree = lake.fingerprint("work", "stocks")
    assert tree is not None
    (home / "lake.git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(DataCorrupted, match=tree):
        list(GitLake(home).list("work"))


texts = st.text(max_size=40)


@given(message=texts, metadata=st.dictionaries(texts, texts, max_size=6))
def test_message_and_metadata_come_back_as_they_went(message: str, metadata: dict[str, str]) -> None:
    text = trailers.parse(trailers.render(message, metadata, ["stocks/csv", "a: b"]))
    assert text.message == trailers.clean_message(message)
    assert text.metadata == metadata
    assert text.replaces == ("stocks/csv", "a: b")


@given(metadata=st.dictionaries(texts, texts, max_size=6), value=st.characters() | texts)
def test_a_message_that_looks_like_our_trailers_stays_a_message(metadata: dict[str, str], value: str) -> None:
    message = trailers.render("Inner", {**metadata, "run_id": value})
    text = trailers.parse(trailers.render(message, metadata))
    assert (text.message, text.metadata) == (trailers.clean_message(message), metadata)


def test_rare_metadata_are_one_line_of_json_each() -> None:
    text = trailers.render("m", {"Two words": "a\nb"})
    assert text.splitlines()[-1] == f"Lake-metadata: {json.dumps(['Two words', 'a' + chr(10) + 'b'])}"


@given(sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True), size=st.integers(0, 2**63))
def test_a_pointer_comes_back_as_it_went(sha256: str, size: int) -> None:
    assert Pointer.parse(Pointer(sha256, size).render()) == Pointer(sha256, size)


@given(st.binary(max_size=200))
def test_what_is_no_pointer_is_none(data: bytes) -> None:
    assert Pointer.parse(data) is None
