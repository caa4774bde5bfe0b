"""Merges of two sides with several common ancestors: none brings back what one side undid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import MergeConflict
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place, put, read
from lake_assets_tests.model.clock import Clock

A = {"u/a": "1"}


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    with Clock().dates_commits():
        lake = LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()
        for branch in ("one", "two"):
            lake.create_branch(branch, "main")
        put(lake, "one", "u", {"a": "1"})
        yield lake


def test_what_main_undid_does_not_come_back_with_a_branch_that_merged_it_too(lake: Lake) -> None:
    """lakeFS would bring it back: the base that it takes is the first commit. Git takes the head of `one`."""
    undo(lake, "main", "one")
    lake.merge("one", "two", audit=TESTS)
    put(lake, "two", "t", {"b": "2"})
    if lake.shared:
        with pytest.raises(MergeConflict, match="one of them undid that") as caught:
            lake.merge("two", "main", audit=TESTS)
        assert caught.value.paths == ("u/a",)
        assert list(lake.list("main")) == []
    else:
        lake.merge("two", "main", audit=TESTS)
        assert read(lake, "main", "") == {"t/b": "2"}


def test_what_a_branch_undid_does_not_come_back_from_main(lake: Lake) -> None:
    undo(lake, "two", "one")
    lake.merge("one", "main", audit=TESTS)
    if lake.shared:
        with pytest.raises(MergeConflict, match="one of them undid that"):
            lake.merge("main", "two")
        assert list(lake.list("two")) == []
    else:
        lake.merge("main", "two")
        assert list(lake.list("two")) == []


def test_where_both_sides_merged_each_other_at_once_what_one_undid_does_not_come_back(lake: Lake) -> None:
    """Both heads are best common ancestors then, so neither base is right for all paths."""
    put(lake, "two", "t", {"b": "2"})
    one, two = lake.head("one").id, lake.head("two").id
    first = lake.merge(two, "one", audit=TESTS)
    second = lake.merge(one, "two", audit=TESTS)
    lake.revert(first.id, "one")
    lake.revert(second.id, "two")
    with pytest.raises(MergeConflict, match="one of them undid that"):
        lake.merge("two", "one", audit=TESTS)
    assert read(lake, "one", "") == A


def test_where_nothing_was_undone_the_sides_are_merged(lake: Lake) -> None:
    lake.merge("one", "main", audit=TESTS)
    lake.merge("one", "two", audit=TESTS)
    put(lake, "two", "t", {"b": "2"})
    lake.merge("two", "main", audit=TESTS)
    assert read(lake, "main", "") == {**A, "t/b": "2"}


def test_who_takes_over_a_branch_that_main_has_merged_too_goes_on(lake: Lake) -> None:
    """Nothing was undone: where only the merge base has changed a path, it is the right state to compare with."""
    put(lake, "two", "t", {"b": "2"})
    lake.merge("one", "main", audit=TESTS)
    lake.merge("two", "main", audit=TESTS)
    lake.merge("one", "two", audit=TESTS)
    put(lake, "two", "t", {"b": "new"})
    lake.merge("two", "main", audit=TESTS)
    assert read(lake, "main", "") == {**A, "t/b": "new"}


@pytest.mark.services
@pytest.mark.parametrize("lake", ["lakefs"], indirect=True)
def test_what_was_undone_while_the_branch_was_being_merged_does_not_come_back(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded lake holds the lock of its refs meanwhile."""
    lake.merge("one", "main", audit=TESTS)
    lake.merge("one", "two", audit=TESTS)
    put(lake, "two", "t", {"b": "2"})
    merged = lake.log("main", 1)
    lake.create_branch("back", "main")
    lake.revert(next(iter(merged)).id, "back")
    kind: Any = type(lake)
    original = kind._merge_despite_markers

    def overtaken(self: Any, *arguments: Any) -> Any:
        monkeypatch.undo()
        lake.merge("back", "main", audit=TESTS)
        return original(self, *arguments)

    monkeypatch.setattr(kind, "_merge_despite_markers", overtaken)
    with pytest.raises(MergeConflict):
        lake.merge("two", "main", audit=TESTS)
    assert list(lake.list("main")) == []


def undo(lake: Lake, branch: str, merged: str) -> None:
    """Merge a branch into another one, and undo that on a branch of its own, as a rollback does."""
    made = lake.merge(merged, branch, audit=TESTS)
    lake.create_branch("back", branch)
    lake.revert(made.id, "back")
    lake.merge("back", branch, audit=TESTS)
