"""A lake whose word counts are published by hand, as runs of `word_counts` leave them."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4
from zlib import crc32

from lake_assets.defs.words.publications import COUNTS
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put

FILES = 3
"""Each word has its file, so that files without a change stay as they are."""


def write_counts(lake: Lake, branch: str, counts: Mapping[str, int]) -> None:
    """Write complete counts to a branch."""
    import pyarrow
    import pyarrow.parquet as pq

    with lake.write(branch, COUNTS) as write:
        for number in range(FILES):
            rows = [(word, count) for word, count in counts.items() if crc32(word.encode()) % FILES == number]
            columns = {
                "word": pyarrow.array([word for word, _ in rows], pyarrow.string()),
                "count": pyarrow.array([count for _, count in rows], pyarrow.int64()),
            }
            pq.write_table(pyarrow.table(columns), f"{write.root}/{number}.parquet", filesystem=write.filesystem)


def publish(lake: Lake, **counts: int) -> str:
    """Publish complete counts as one run's; return the commit on `main`."""
    return publish_counts(lake, counts)


def publish_counts(lake: Lake, counts: Mapping[str, int]) -> str:
    """Publish complete counts, of any words."""
    branch = f"run-{uuid4()}"
    lake.create_branch(branch, MAIN)
    # A run commits its checkpoint and such besides, and may write twice.
    put(lake, branch, "_beside/word_counts/checkpoint", {"offsets": branch})
    write_counts(lake, branch, {"half": 1})
    write_counts(lake, branch, counts)
    return merged(lake, branch).id


def publish_other(lake: Lake) -> str:
    """Publish a run of another group."""
    branch = f"run-{uuid4()}"
    lake.create_branch(branch, MAIN)
    put(lake, branch, "stocks", {"a.txt": branch})
    return merged(lake, branch).id


def merged(lake: Lake, branch: str) -> Commit:
    commit = lake.merge(branch, MAIN, audit=TESTS)
    lake.delete_branch(branch)
    return commit
