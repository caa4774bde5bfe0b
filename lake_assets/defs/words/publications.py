"""The published states of the word counts that are not delivered to an output yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lake_assets.lake.contract import Commit, Lake, LakeObject
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.names import is_within
from lake_assets.lake.rows import is_data
from lake_assets.streaming.places import moved

COUNTS = "word_counts"
"""Prefix of the complete counts, as Parquet: ``word`` (string), ``count`` (int64)."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A commit of ``main`` that changed the counts.

    Parameters
    ----------
    commit
        Its id.
    before
        The previous commit of ``main``, whose counts the output has. None if the content of the output is not known, so
        that all counts must be sent.
    """

    commit: str
    before: str | None


def publications(lake: Lake, from_commit: str | None, to_commit: str) -> list[Publication]:
    """Return the publications after ``from_commit``, oldest first.

    Only first parents are followed, since only the states of ``main`` itself were published. The cost depends on the
    number of these commits, not on the whole history. If ``from_commit`` is not one of them (but of another lake, or of
    a run's branch), the content of the output is not known. Then the state at ``to_commit`` is the only publication.

    Parameters
    ----------
    lake
        The lake.
    from_commit
        The last delivered commit. None to start with the lake's first commit.
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
    """Return the files of a commit's counts by their current paths, also for commits of format 1."""
    files = {moved(item.path, COUNTS): item for item in lake.list(commit, COUNTS)}
    return {path: item for path, item in files.items() if is_within(path, COUNTS) and is_data(path)}


def _checksums(lake: Lake, commit: str) -> dict[str, str]:
    return {path: item.checksum for path, item in counts_files(lake, commit).items()}


def _first_parents(lake: Lake, to_commit: str, from_commit: str | None) -> Iterator[Commit]:
    """Yield the commits that have parents, newest first, reading them one by one."""
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
