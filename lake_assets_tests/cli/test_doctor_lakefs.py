"""`doctor` on a lakeFS repository that others use, too: what an error advises is run, and helps."""

from __future__ import annotations

import json
import re
import urllib.error
from pathlib import Path
from uuid import uuid4

import pytest

from lake_assets import environments
from lake_assets.lake.errors import LakeError, LakeUnavailable
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests import lakefs_server
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.lake.backends import paths, put
from lake_assets_tests.lake.stranger import Stranger
from lake_assets_tests.lakefs_server import CREDENTIALS

pytestmark = pytest.mark.services


@pytest.fixture
def repository(lake_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a repository that does not exist yet, and the settings that name it."""
    name = f"adopted-{uuid4().hex}"
    monkeypatch.setenv("LAKE_ENV", "services")
    monkeypatch.setenv("LAKE_NOSQL", "lmdb")
    monkeypatch.setenv("LAKEFS_ENDPOINT", lakefs_server.shared_endpoint())
    monkeypatch.setenv("LAKEFS_ACCESS_KEY_ID", CREDENTIALS[0])
    monkeypatch.setenv("LAKEFS_SECRET_ACCESS_KEY", CREDENTIALS[1])
    monkeypatch.setenv("LAKEFS_REPOSITORY", name)
    return name


def lake_checks(command: Command, *arguments: str) -> list[tuple[str, bool, str]]:
    found = json.loads(command("doctor", *arguments, "--json").stdout)
    return [(entry["name"], entry["ok"], entry["detail"]) for entry in found if entry["name"].startswith("lake ")] + [
        (entry["name"], entry["ok"], entry["detail"]) for entry in found if entry["name"] == "lake"
    ]


def follow(command: Command, advice: str) -> str:
    """Run the command that an error advises, and return what it says about the lake."""
    advised = re.search(r"`lake-assets doctor ?([^`]*)`", advice)
    assert advised is not None
    found = lake_checks(command, *advised[1].split())
    assert all(ok for _, ok, _ in found)
    return "; ".join(detail for _, _, detail in found)


def refused() -> str:
    with pytest.raises(LakeError) as caught:
        environments.open_lake()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_uncommitted_objects_of_an_adopted_repository_are_named_and_dropped(command: Command, repository: str) -> None:
    other = Stranger(repository, "main")
    other.put("main", "theirs/committed")
    other.commit("main")
    other.put("main", "theirs/left")
    other.put("main", "theirs/more")
    text = refused()
    assert "uncommitted changes of another program, 'theirs/left' and 1 more: commit them in lakeFS, or" in text
    assert "dropped uncommitted changes of main: 'theirs/left' and 1 more" in follow(command, text)
    lake = environments.open_lake()
    assert paths(lake, "main") == ["theirs/committed"]
    assert lake.unprotected() == ()


def test_uncommitted_objects_may_be_committed_instead(repository: str) -> None:
    other = Stranger(repository, "main")
    other.put("main", "theirs/left")
    assert "commit them in lakeFS" in refused()
    other.commit("main")
    assert paths(environments.open_lake(), "main") == ["theirs/left"]


def test_a_repository_with_another_default_branch_gets_a_main(command: Command, repository: str) -> None:
    other = Stranger(repository, "master")
    other.put("master", "theirs/a")
    other.commit("master")
    text = refused()
    assert "this repository's branch is 'master', and it has no 'main'" in text
    assert "made main from master" in follow(command, text)
    assert paths(environments.open_lake(), "main") == ["theirs/a"]


def test_both_at_once_are_mended_by_one_command(command: Command, repository: str) -> None:
    other = Stranger(repository, "master")
    other.put("master", "theirs/a")
    follow(command, refused())
    assert environments.open_lake().branches() == ("main", "master")


def test_a_protection_that_was_removed_is_seen_and_restored(command: Command, repository: str) -> None:
    environments.open_lake()
    other = Stranger(repository)
    other.call("PUT", "./settings/branch_protection", [{"pattern": "release-*"}])
    (wrong,) = [detail for _, ok, detail in lake_checks(command) if not ok]
    assert wrong.startswith("other programs can write to main, whose protection was removed")
    assert "protected main again" in follow(command, wrong)
    patterns = {rule["pattern"] for rule in other.call("GET", "./settings/branch_protection")}
    assert patterns == {"release-*", "main"}
    with pytest.raises(urllib.error.HTTPError):
        other.put("main", "x")


def test_a_rule_for_more_branches_protects_main_too(command: Command, repository: str) -> None:
    environments.open_lake()
    Stranger(repository).call("PUT", "./settings/branch_protection", [{"pattern": "ma*"}])
    assert all(ok for _, ok, _ in lake_checks(command))


def test_a_dirty_main_stops_a_merge_and_the_advice_helps(command: Command, repository: str) -> None:
    lake = environments.open_lake()
    lake.create_branch("work", "main")
    put(lake, "work", "t", {"a": "1"})
    other = Stranger(repository)
    other.unprotect()
    other.put("main", "stray")
    with pytest.raises(LakeUnavailable) as caught:
        lake.merge("work", "main", audit=TESTS)
    assert "main: dropped 1 uncommitted change(s), such as 'stray'" in follow(command, str(caught.value))
    lake.merge("work", "main", audit=TESTS)
    assert paths(lake, "main") == ["t/a"]


def test_a_dirty_run_branch_stops_a_write_and_the_advice_helps(command: Command, repository: str) -> None:
    lake = environments.open_lake()
    lake.create_branch("run-1", "main")
    put(lake, "run-1", "t", {"a": "1"})
    Stranger(repository).put("run-1", "t/stray")
    with pytest.raises(LakeUnavailable) as caught:
        put(lake, "run-1", "t", {"b": "1"})
    assert "the branch 'run-1' has uncommitted changes" in str(caught.value)
    (seen,) = [detail for _, ok, detail in lake_checks(command) if not ok]
    assert "`lake-assets doctor --mend --branch run-1` drops them" in seen
    assert "run-1: dropped 1 uncommitted change(s), such as 't/stray'" in follow(command, str(caught.value))
    put(lake, "run-1", "t", {"b": "1"})
    assert paths(lake, "run-1") == ["t/b"]


# The server takes a minute to forget a repository.
@pytest.mark.soak
def test_a_deleted_repository_is_named_and_made_anew(
    command: Command, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = environments.open_lake()
    other = Stranger(repository)
    other.call("DELETE", ".")
    with pytest.raises(LakeUnavailable, match=r"lakeFS has no such repository, or no longer: .*; a first run makes"):
        lake.head("main")
    other.forget()
    # Its objects are still in the store, where lakeFS makes no other repository.
    assert "set LAKEFS_STORAGE to an unused place" in refused()
    monkeypatch.setenv("LAKEFS_STORAGE", f"local://{repository}-2")
    # As a run opens it.
    assert environments.open_lake().branches() == ("main",)
    assert all(ok for _, ok, _ in lake_checks(command))


# Hooks


def test_a_hook_that_requires_metadata_refuses_no_commit_of_ours(
    repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Stranger(repository, "main")
    other.require_metadata("team")
    other.call("POST", "./branches/main/commits", {"message": "Hook", "metadata": {"team": "platform"}})
    assert "a hook of the repository refused it" in refused()
    monkeypatch.setenv("LAKEFS_COMMIT_METADATA", "team=desk")
    lake = environments.open_lake()
    every_kind_of_commit(lake)


def test_what_a_write_or_merge_was_given_is_on_the_commits_made_for_it(repository: str) -> None:
    """Two appends that meet need commits of their own, which a hook looks at, too."""
    lake = environments.open_lake()
    assert isinstance(lake, LakeFSLake)
    hook = Stranger(repository)
    hook.unprotect()
    hook.require_metadata("owner")
    hook.call("POST", "./branches/main/commits", {"message": "Hook", "metadata": {"owner": "platform"}})
    lake.protect_again()
    given = {"owner": "ann"}
    for name in ("ours", "theirs"):
        lake.create_branch(name, "main")
        put(lake, name, "t", {name: "1"}, mode="append", metadata=given)
    lake.merge("ours", "main", metadata=given, audit=TESTS)
    lake.merge("theirs", "main", metadata=given, audit=TESTS)
    assert paths(lake, "main", "t") == ["t/ours", "t/theirs"]


def every_kind_of_commit(lake: object) -> None:
    """Write, write at once, merge beside others, revert, restore: whatever makes a commit on the server."""
    assert isinstance(lake, LakeFSLake)
    for name in ("ours", "theirs"):
        lake.create_branch(name, "main")
        put(lake, name, "t", {name: "1"}, mode="append")
    lake.merge("ours", "main", audit=TESTS)
    lake.merge("theirs", "main", audit=TESTS)
    lake.create_branch("work", "main")
    with lake.write("work", "t", mode="append") as write:
        with write.filesystem.open_output_stream(f"{write.root}/x") as stream:
            stream.write(b"1")
        put(lake, "work", "u", {"y": "1"})
    first = put(lake, "work", "t", {"z": "1"})
    put(lake, "work", "u", {"y": "2"})
    lake.revert(first.id, "work")
    again = put(lake, "work", "t", {"w": "1"}, mode="append")
    put(lake, "work", "t", {"v": "1"}, mode="append")
    lake.revert(again.id, "work")
    assert paths(lake, "work") == ["_lakefs_actions/metadata.yaml", "t/ours", "t/theirs", "t/v", "t/x", "u/y"]
