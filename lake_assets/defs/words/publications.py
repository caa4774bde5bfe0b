"""The published states of the word counts that an output has not got yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lake_assets.lake.contract import Commit, Lake, LakeObject
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.names import is_within
from lake_assets.lake.rows import is_data
from lake_assets.streaming.places import moved

COUNTS = "word_counts"
"""Where a commit keeps the complete counts, as Parquet: ``word`` (string), ``count`` (int64)."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One commit of ``main`` that changed the counts.

    Parameters
    ----------
    commit
        Its id.
    before
        The commit of ``main`` before it. None where that is not what the output holds, so that all counts are to be
        sent, in one go.
    """

    commit: str
    before: str | None


def publications(lake: Lake, from_commit: str | None, to_commit: str) -> list[Publication]:
    """Return what was published after ``from_commit``, oldest first.

    What ``main`` itself became counts, so its first parents are followed and no branch that was merged. The cost
    follows these commits, not the history. Where ``from_commit`` is not one of them (of another lake, or of a run's
    branch), what the output holds is unknown: the whole state at ``to_commit`` is the one publication.

    Parameters
    ----------
    from_commit
        The last commit delivered; None to begin with the lake's first.
    to_commit
        A commit of ``main``, not older than ``from_commit``.
    """
    if from_commit is not None and not _has(lake, from_commit):
        return [Publication(to_commit, None)]
    found: list[Publication] = []
    after = _checksums(lake, to_commit) if from_commit != to_commit else None
    for commit in _first_parents(lake, to_commit, from_commit):
        before = _checksums(lake, commit.parents[0])
        if before != after:
            found.append(Publication(commit.id, commit.parents[0]))
        after = before
        if commit.parents[0] == from_commit:
            break
    else:
        if from_commit not in (None, to_commit):
            return [Publication(to_commit, None)]
    return found[::-1]


def counts_files(lake: Lake, commit: str) -> dict[str, LakeObject]:
    """Return the files of a commit's counts by their paths of today, wherever it keeps them."""
    files = {moved(item.path, COUNTS): item for item in lake.list(commit, COUNTS)}
    return {path: item for path, item in files.items() if is_within(path, COUNTS) and is_data(path)}


def _checksums(lake: Lake, commit: str) -> dict[str, str]:
    return {path: item.checksum for path, item in counts_files(lake, commit).items()}


def _first_parents(lake: Lake, to_commit: str, from_commit: str | None) -> Iterator[Commit]:
    """Yield commits that have parents, newest first. Asked for one by one: ``lake.log`` sorts all of the history."""
    current = to_commit
    while current != from_commit:
        commit = lake.head(current)
        if not commit.parents:
            return
        yield commit
        current = commit.parents[0]


def _has(lake: Lake, commit: str) -> bool:
    try:
        return lake.head(commit).id == commit
    except RefNotFound:
        return False
