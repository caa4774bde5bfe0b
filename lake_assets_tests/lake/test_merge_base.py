"""Merges of two sides with several common ancestors: none brings back what one side undid."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import MergeConflict
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place, put, read

A = {"u/a": "1"}


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    lake = LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()
    for branch in ("one", "two"):
        lake.create_branch(branch, "main")
    put(lake, "one", "u", {"a": "1"})
    return lake


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


def undo(lake: Lake, branch: str, merged: str) -> None:
    """Merge a branch into another one, and undo that on a branch of its own, as a rollback does."""
    made = lake.merge(merged, branch, audit=TESTS)
    lake.create_branch("back", branch)
    lake.revert(made.id, "back")
    lake.merge("back", branch, audit=TESTS)
