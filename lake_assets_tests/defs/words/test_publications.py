"""Which commits an output has not got yet, and what each of them changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.defs.words.changed import changed_words
from lake_assets.defs.words.publications import COUNTS, publications
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import DataCorrupted
from lake_assets.runs.rollback import plan_rollback
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.words.counts import publish, publish_counts, publish_other, write_counts
from lake_assets_tests.depth import examples
from lake_assets_tests.lake.backends import put


def replayed(lake: Lake, from_commit: str | None) -> list[tuple[str, dict[str, int | None]]]:
    """Return what would be sent, by commit."""
    found = publications(lake, from_commit, lake.head(MAIN).id)
    return [
        (step.commit, {update.key: update.value for update in changed_words(lake, step.before, step.commit)})
        for step in found
    ]


def roll_back(lake: Lake, to: str) -> str:
    """Restore the counts of a commit as a rollback does: written again on a branch, and merged."""
    from pyarrow.fs import copy_files

    plan = plan_rollback(lake, to, COUNTS)
    lake.create_branch("rollback-1", plan.head.id)
    with lake.write("rollback-1", COUNTS) as write:
        then = lake.path(to, COUNTS)
        copy_files(then.root, write.root, source_filesystem=then.filesystem, destination_filesystem=write.filesystem)
    commit = lake.merge("rollback-1", MAIN, "Roll back", audit=TESTS)
    lake.delete_branch("rollback-1")
    return commit.id


def test_each_published_state_is_replayed_once_and_in_order(any_lake: Lake) -> None:
    assert replayed(any_lake, None) == []
    first = publish(any_lake, dog=2, cat=1)
    publish_other(any_lake)
    second = publish(any_lake, dog=2, cat=3, java=1)
    third = publish(any_lake, dog=4, cat=3, java=1)
    other = publish_other(any_lake)
    assert replayed(any_lake, None) == [
        (first, {"dog": 2, "cat": 1}),
        (second, {"cat": 3, "java": 1}),
        (third, {"dog": 4}),
    ]
    assert replayed(any_lake, first) == [(second, {"cat": 3, "java": 1}), (third, {"dog": 4})]
    assert replayed(any_lake, third) == replayed(any_lake, other) == []


def test_after_a_rollback_the_counts_of_then_are_replayed_and_words_of_since_are_gone(any_lake: Lake) -> None:
    first = publish(any_lake, dog=2, cat=1)
    second = publish(any_lake, dog=4, cat=1, java=1)
    third = roll_back(any_lake, first)
    fourth = publish(any_lake, dog=3, cat=1)
    assert replayed(any_lake, second) == [(third, {"dog": 2, "java": None}), (fourth, {"dog": 3})]
    assert [commit for commit, _ in replayed(any_lake, None)] == [first, second, third, fourth]


def test_counts_that_went_away_altogether_are_words_that_are_gone(any_lake: Lake) -> None:
    publish(any_lake, dog=2)
    before = any_lake.head(MAIN).id
    any_lake.create_branch("empty", MAIN)
    with any_lake.write("empty", COUNTS):
        pass
    gone = any_lake.merge("empty", MAIN, audit=TESTS).id
    assert replayed(any_lake, before) == [(gone, {"dog": None})]


def test_from_a_commit_that_main_never_was_all_counts_are_sent_in_one_go(any_lake: Lake) -> None:
    first = publish(any_lake, dog=2)
    any_lake.create_branch("run-x", MAIN)
    write_counts(any_lake, "run-x", {"dog": 3})
    of_a_run = any_lake.head("run-x").id
    any_lake.merge("run-x", MAIN, audit=TESTS)
    head = publish(any_lake, dog=4, cat=1)
    whole = [(head, {"dog": 4, "cat": 1})]
    assert replayed(any_lake, of_a_run) == whole
    assert replayed(any_lake, "f" * len(first)) == whole
    assert replayed(any_lake, MAIN) == whole


def test_the_cost_follows_what_was_published_since_and_not_the_history(
    any_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        publish(any_lake, dog=number)
    from_commit = any_lake.head(MAIN).id
    publish(any_lake, dog=9)
    asked: list[str] = []
    for name in ("head", "fingerprint"):
        original = getattr(any_lake, name)
        monkeypatch.setattr(any_lake, name, lambda *args, original=original: asked.append(args[0]) or original(*args))
    monkeypatch.setattr(any_lake, "log", None)
    assert len(publications(any_lake, from_commit, any_lake.head(MAIN).id)) == 1
    assert len(asked) <= 5


def test_words_are_in_the_order_of_their_bytes_and_only_files_that_differ_are_read(any_lake: Lake) -> None:
    words: dict[str, int] = dict.fromkeys(("b", "a", "Z", "é", "日本", "🐕", "ab", "B"), 1)
    first, second = publish_counts(any_lake, words), publish_counts(any_lake, {**words, "b": 2})
    assert len(any_lake.diff(first, second, COUNTS).paths) == 1
    assert [update.key for update in changed_words(any_lake, None, first)] == sorted(words, key=str.encode)
    assert [update.key for update in changed_words(any_lake, first, second)] == ["b"]


def test_what_are_no_counts_is_named(any_lake: Lake) -> None:
    any_lake.create_branch("bad", MAIN)
    put(any_lake, "bad", COUNTS, {"a.parquet": "no Parquet"})
    commit = any_lake.head("bad").id
    with pytest.raises(DataCorrupted, match="counts cannot be compared"):
        list(changed_words(any_lake, None, commit))


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    ["a", "b", '"', "'", "\n", "\0"]
)
counts = st.dictionaries(words, st.integers(1, 3), max_size=12)


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with closing(GitLake(Path(tmp_path_factory.mktemp("lake")))) as lake:
        yield lake


@settings(max_examples=examples(25))
@given(before=counts, after=counts)
def test_applied_to_the_counts_of_before_the_changes_are_the_counts_of_after(
    shared_lake: Lake, before: dict[str, int], after: dict[str, int]
) -> None:
    old, new = publish_counts(shared_lake, before), publish_counts(shared_lake, after)
    changes = list(changed_words(shared_lake, old, new))
    assert all(before.get(update.key) != update.value for update in changes)
    assert len({update.key for update in changes}) == len(changes)
    applied = {**before, **{update.key: update.value for update in changes}}
    assert {word: count for word, count in applied.items() if count is not None} == after
