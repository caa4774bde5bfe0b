"""Expiring the data of old commits: what goes, what stays, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.expiry import Expiry
from lake_assets.lake.errors import DataCorrupted, Expired, PathNotFound
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put, read


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[GitLake]:
    lake = GitLake(tmp_path / "lake")
    yield lake
    lake.close()


def publish(lake: GitLake, files: dict[str, str], prefix: str = "users") -> str:
    lake.create_branch("run", "main")
    put(lake, "run", prefix, files)
    merged = lake.merge("run", "main", audit=TESTS).id
    lake.delete_branch("run")
    return merged


def later() -> datetime:
    """Return a time when all that is there is old."""
    return datetime.now(timezone.utc) + timedelta(minutes=1)


def test_data_of_old_commits_go_and_their_ids_and_history_stay(lake: GitLake) -> None:
    old = publish(lake, {"a": "personal", "b": "shared"})
    new = publish(lake, {"a": "anonymous", "b": "shared"})
    history, tree = list(lake.log("main")), list(lake.list(old))
    assert lake.expire(later()).count == 1
    assert read(lake, old, "users")["a"] == "personal"
    lake.close()
    assert lake.expire(later(), yes=True).count == 1
    assert (list(lake.log("main")), list(lake.list(old))) == (history, tree)
    assert read(lake, new, "users") == {"a": "anonymous", "b": "shared"}
    with pytest.raises(Expired, match=f"expired at .*{old}.*users/a"):
        lake.path(old, "users")
    (told,) = lake.verify(old)
    assert told.startswith("users/a: its data expired at ")
    assert list(lake.verify("main")) == []
    assert lake.expire(later(), yes=True).count == 0


def test_what_expired_does_not_come_back_to_a_branch_without_its_data(lake: GitLake) -> None:
    old = publish(lake, {"a": "1", "b": "same"})
    new = publish(lake, {"a": "2", "b": "same"})
    lake.expire(later(), yes=True)
    lake.create_branch("back", "main")
    with pytest.raises(Expired, match=f"expired at .*{old}.*users/a"):
        lake.revert(new, "back")
    assert lake.head("back") == lake.head("main")
    publish(lake, {"c": "1"}, "other")
    lake.revert(new, "back")
    assert read(lake, "back", "users") == {"a": "1", "b": "same"}


def test_what_is_damaged_is_told_from_what_expired(lake: GitLake) -> None:
    old = publish(lake, {"a": "1"})
    publish(lake, {"a": "2"})
    lake.expire(later(), yes=True)
    Path(next(lake.list("main")).physical_address.removeprefix("file://")).unlink()
    with pytest.raises(DataCorrupted):
        lake.path("main", "users")
    with pytest.raises(Expired):
        lake.path(old, "users")


def test_writing_the_bytes_again_makes_them_readable_again(lake: GitLake) -> None:
    old = publish(lake, {"a": "1"})
    publish(lake, {"a": "2"})
    lake.expire(later(), yes=True)
    publish(lake, {"x": "1"}, "elsewhere")
    assert read(lake, old, "users") == {"a": "1"}
    assert list(lake.verify(old)) == []


def test_young_commits_stay(lake: GitLake) -> None:
    old = publish(lake, {"a": "1"})
    publish(lake, {"a": "2"})
    assert lake.expire(datetime.now(timezone.utc) - timedelta(days=1), yes=True).count == 0
    assert read(lake, old, "users") == {"a": "1"}


@pytest.mark.parametrize("kept_by", ["tag", "branch", "beginning of a run", "ref", "sink", "prefix"])
def test_what_somebody_needs_stays(lake: GitLake, kept_by: str) -> None:
    first = publish(lake, {"a": "0"})
    old = publish(lake, {"a": "1"})
    keep: dict[str, list[str]] = {}
    if kept_by == "tag":
        lake.tag("v1", old)
    elif kept_by == "branch":
        lake.create_branch("live", old)
    elif kept_by == "beginning of a run":
        lake.create_branch("live", old)
        put(lake, "live", "users", {"a": "live"})
    elif kept_by == "ref":
        keep = {"keep": [old]}
    elif kept_by == "sink":
        keep = {"from_commits": [old]}
    else:
        keep = {"prefixes": ["users"]}
    publish(lake, {"a": "2"})
    publish(lake, {"a": "3"})
    lake.expire(later(), yes=True, **keep)
    assert read(lake, old, "users") == {"a": "1"}
    if kept_by != "prefix":
        with pytest.raises(Expired):
            lake.path(first, "users")


@pytest.mark.parametrize("came", ["branch", "tag", "moved branch", "run that began there"])
def test_what_comes_to_be_needed_while_it_looks_stays(
    lake: GitLake, came: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks at history beside the runs; only what it does about it keeps them waiting."""
    first, old = publish(lake, {"a": "0"}), publish(lake, {"a": "1"})
    publish(lake, {"a": "2"})
    lake.create_branch("waiting", "main")
    publish(lake, {"a": "3"})
    look = Expiry._survey

    def and_then(expiry: Expiry, *arguments: Any) -> Any:
        looked = look(expiry, *arguments)
        other = GitLake(Path(lake.repository))
        if came == "tag":
            other.tag("v1", old)
        else:
            other.create_branch("live", old)
        if came == "moved branch":
            other.delete_branch("waiting")
            other.create_branch("waiting", "live")
            other.delete_branch("live")
        if came == "run that began there":
            put(other, "live", "users", {"a": "live"})
        return looked

    monkeypatch.setattr(Expiry, "_survey", and_then)
    assert lake.expire(later(), yes=True).count == 1
    assert read(lake, old, "users") == {"a": "1"}
    with pytest.raises(Expired):
        lake.path(first, "users")


def test_a_prefix_that_nothing_ever_lay_at_is_told(lake: GitLake) -> None:
    old = publish(lake, {"a": "1"})
    publish(lake, {"a": "2"})
    for yes in (False, True):
        with pytest.raises(PathNotFound, match="user"):
            lake.expire(later(), prefixes=["users", "user"], yes=yes)
    lake.close()
    assert read(lake, old, "users") == {"a": "1"}
    assert lake.expire(later(), prefixes=["users/a"]).count == 0


def test_everything_since_a_sinks_commit_stays(lake: GitLake) -> None:
    commits = [publish(lake, {"a": str(number)}) for number in range(5)]
    lake.expire(later(), from_commits=[commits[2]], yes=True)
    for number, commit in enumerate(commits):
        if number < 2:
            with pytest.raises(Expired):
                lake.path(commit, "users")
        else:
            assert read(lake, commit, "users") == {"a": str(number)}
