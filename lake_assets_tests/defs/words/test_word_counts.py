"""`word_counts` and `word_counts_windowed` over a folder: each line once, in counts, checkpoint and commit alike."""

from __future__ import annotations

import os

import pytest
from dagster import AssetCheckKey, AssetKey

from lake_assets.lake.contract import MAIN
from lake_assets_tests.defs.words.stream import COUNTS, LINES, Stream, counted, error


def test_each_run_counts_what_is_new_and_changes_only_its_own_words(stream: Stream) -> None:
    stream.add("1.txt", *LINES)
    assert stream.run().success
    assert stream.counts() == COUNTS == stream.changes()
    before = stream.graph.lake.head(MAIN).id
    stream.add("2.txt", "kafka dog")
    assert stream.run().success
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}
    assert stream.changes() == {"kafka": 1, "dog": 5}
    assert stream.counts(before) == COUNTS

    # Nothing new is no commit.
    head = stream.graph.lake.head(MAIN).id
    assert stream.run().success
    assert stream.graph.lake.head(MAIN).id == head

    # Bytes that are no UTF-8, empty lines, spaces, a long line.
    (stream.folder / "3.txt").write_bytes(b"\n\n  \nb\xffd word\n" + b"x" * (1 << 20) + b" end\n")
    assert stream.run().success
    counts = stream.counts()
    assert counts["b\ufffdd"] == counts["word"] == counts["end"] == counts["x" * (1 << 20)] == 1
    assert "" not in counts
    position = stream.position()
    assert (position.last["lines"], position.last["invalid_utf8"], position.last["words"]) == (5, 1, 4)
    assert position.totals["words"] == sum(counts.values())


def test_what_is_rolled_back_is_read_again(stream: Stream) -> None:
    pytest.skip("to come")
