"""What commits have in common, against Git's own answers on any history."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.lake.embedded.history import descends, merge_base, newest_first, only_in
from lake_assets_tests.depth import examples

TREE = pygit2.Oid(hex="4b825dc642cb6eb9a060e54bf8d69288fbee4904")


@pytest.fixture(scope="module")
def repository() -> Iterator[pygit2.Repository]:
    with TemporaryDirectory() as folder:
        repository = pygit2.init_repository(folder, bare=True)
        repository.TreeBuilder().write()
        yield repository


# For each commit its parents among those before it, and its date: clocks may disagree.
histories = st.lists(st.tuples(st.sets(st.integers(0, 30), max_size=3), st.integers(0, 12)), min_size=1, max_size=14)


def made(
    repository: pygit2.Repository, history: list[tuple[set[int], int]], *, clocks_agree: bool
) -> list[pygit2.Commit]:
    commits: list[pygit2.Commit] = []
    for number, (parents, when) in enumerate(history):
        above = [commits[place] for place in sorted({parent % number for parent in parents})] if number else []
        time = max([when, *(commit.commit_time for commit in above)]) if clocks_agree else when
        who = pygit2.Signature("a", "a@b.c", time, 0)
        made = repository.create_commit(None, who, who, f"{number}", TREE, [commit.id for commit in above])
        commits.append(repository[made].peel(pygit2.Commit))
    return commits


def ancestors(repository: pygit2.Repository, commit: pygit2.Commit) -> set[pygit2.Oid]:
    return {found.id for found in repository.walk(commit.id, pygit2.enums.SortMode.TOPOLOGICAL)}


@settings(max_examples=examples(60))
@given(history=histories, clocks_agree=st.booleans())
def test_any_two_commits_have_in_common_what_git_says(
    repository: pygit2.Repository, history: list[tuple[set[int], int]], clocks_agree: bool
) -> None:
    commits = made(repository, history, clocks_agree=clocks_agree)

    def read(name: pygit2.Oid) -> pygit2.Commit:
        return repository[name].peel(pygit2.Commit)

    reached = {commit.id: ancestors(repository, commit) for commit in commits}
    for left in commits:
        for right in commits:
            common = reached[left.id] & reached[right.id]
            best = {one for one in common if not any(one in reached[other] for other in common - {one})}
            base = merge_base(left, right, read)
            assert ({base.id} if base else set()) <= best
            assert bool(base) == bool(best)
            assert descends(left.id, right.id, read) == (left.id != right.id and right.id in reached[left.id])
            new = {commit.id for commit in only_in([left], [right], read)}
            assert new >= reached[left.id] - reached[right.id]
            assert new == reached[left.id] - reached[right.id] or not clocks_agree


@settings(max_examples=examples(30))
@given(history=histories)
def test_a_commit_comes_before_its_parents_and_each_once(
    repository: pygit2.Repository, history: list[tuple[set[int], int]]
) -> None:
    last = made(repository, history, clocks_agree=True)[-1]
    order = [commit.id for commit in newest_first(last, lambda name: repository[name].peel(pygit2.Commit))]
    assert len(order) == len(set(order))
    assert set(order) == ancestors(repository, last)
    for name in order:
        above = repository[name].peel(pygit2.Commit).parent_ids
        assert all(order.index(parent) > order.index(name) for parent in above)
