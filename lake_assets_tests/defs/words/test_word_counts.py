"""`word_counts` and `word_counts_windowed` over a folder: each line once, in counts, checkpoint and commit alike."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dagster import ExecuteInProcessResult

from lake_assets.lake.contract import MAIN
from lake_assets.runs.rollback import plan_rollback, roll_back
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.words.stream import COUNTS, LINES, Stream, counted, error
from lake_assets_tests.graph_fixtures import Graph


def failed_checks(result: ExecuteInProcessResult) -> set[str]:
    """Return the checks that did not pass, as `asset:check`."""
    return {
        f"{seen.asset_key.to_user_string()}:{seen.check_name}"
        for seen in result.get_asset_check_evaluations()
        if not seen.passed
    }


def test_each_run_counts_what_is_new_and_what_is_rolled_back_is_read_again(stream: Stream) -> None:
    stream.add("1.txt", *LINES)
    assert stream.run().success
    assert stream.counts() == COUNTS == stream.changes()
    first = stream.graph.lake.head(MAIN).id
    stream.add("2 [b]%20.txt", "kafka dog")
    assert stream.run().success
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}
    assert stream.changes() == {"kafka": 1, "dog": 5}
    assert stream.counts(first) == COUNTS

    # Nothing new is no commit.
    head = stream.graph.lake.head(MAIN).id
    assert stream.run("word_counts", "words_published").success
    assert stream.graph.lake.head(MAIN).id == head

    # Bytes that are no UTF-8, empty lines, spaces, a long line.
    (stream.folder / "3.txt").write_bytes(b"\n\n  \nb\xffd word\n" + b"x" * (1 << 20) + b" end\n")
    assert stream.run("word_counts", "words_published").success
    counts = stream.counts()
    assert counts["b\ufffdd"] == counts["word"] == counts["end"] == counts["x" * (1 << 20)] == 1
    assert "" not in counts
    position = stream.position()
    assert (position.last["lines"], position.last["invalid_utf8"], position.last["words"]) == (5, 1, 4)
    assert position.totals["words"] == sum(counts.values())

    # The stream goes back with the lake.
    lake, graph = stream.graph.lake, stream.graph.defs.resolve_asset_graph()
    roll_back(lake, stream.graph.instance, graph, plan_rollback(lake, first), "a test")
    assert stream.counts() == COUNTS
    assert stream.run().success
    assert stream.counts() == counts
    assert stream.run(job="words_recount").success


def test_what_spark_takes_for_late_is_late_also_before_the_first_watermark(stream: Stream) -> None:
    """Spark's own watermark begins at 1970, and it drops what is older without a word."""
    beginning = datetime(1970, 1, 1, tzinfo=timezone.utc)
    seconds = [-62_135_596_800, -86_400, -61, -60, -59, -1, 0, 1, 59, 60, 253_402_300_799]
    times = [beginning + timedelta(seconds=second) for second in seconds]
    stream.add("1.txt", *(f"{time.isoformat()} word" for time in times))
    assert failed_checks(stream.run("word_counts_windowed", "word_counts", "words_published")) == {
        "word_counts_windowed:none_late"
    }
    # The last window ends after the year 9999, which Python does not have.
    snapshot = stream.graph.lake.path(MAIN, "word_counts_windowed")
    stored = pq.read_table(snapshot.root, columns=["window_start", "count"], filesystem=snapshot.filesystem)
    rows = {row["window_start"]: row["count"] for row in stored.to_pylist()}
    kept = [time - timedelta(seconds=time.second) for time in times if time >= beginning]
    assert rows == Counter(kept)
    last = stream.position("word_counts_windowed").last
    assert (last["late_lines"], last["late_words"], last["words"]) == (6, 6, 5)


@pytest.mark.soak
def test_the_batch_answer_finds_what_is_counted_wrong(stream: Stream) -> None:
    stream.add("1.txt", *LINES)
    assert stream.run().success
    lake = stream.graph.lake
    lake.create_branch("wrong", MAIN)
    with lake.write("wrong", "word_counts", mode="append") as write:
        import pyarrow
        import pyarrow.parquet as pq

        rows = pyarrow.table({"word": ["dog"], "count": pyarrow.array([1], pyarrow.int64())})
        pq.write_table(rows, f"{write.root}/wrong.parquet", filesystem=write.filesystem)
    lake.merge("wrong", MAIN, audit=TESTS)
    assert failed_checks(stream.run(job="words_recount")) == {"word_counts:word_counts_audit"}


def test_a_stream_goes_on_only_where_that_loses_and_repeats_nothing(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stream.add("1.txt", "2026-11-22T10:00:05Z a", "2026-11-22T10:00:30Z a", "2026-11-22T10:01:00Z b", "none")
    monkeypatch.setenv("WORDS_WATERMARK", "0")
    assert stream.run().success
    assert stream.windows() == {("10:00:00", "a"): 2, ("10:01:00", "b"): 1}
    assert stream.position("word_counts_windowed").last["undated_lines"] == 1
    # The watermark has moved, and no micro-batch without lines came of it.
    assert stream.position("word_counts_windowed").batch == 0

    # A line is late when all its windows ended before the newest one of the runs before.
    stream.add("2.txt", "2026-11-22T10:00:59Z a a", "2026-11-22T10:01:00Z b")
    late = stream.run("word_counts_windowed", "word_counts", "words_published")
    assert late.success
    assert failed_checks(late) == {"word_counts_windowed:none_late"}
    assert stream.windows() == {("10:00:00", "a"): 2, ("10:01:00", "b"): 2}
    last = stream.position("word_counts_windowed").last
    assert (last["late_lines"], last["late_words"], last["words"]) == (1, 2, 1)

    # Another query, another source.
    monkeypatch.setenv("WORDS_WINDOW", "30")
    changed = stream.run("word_counts_windowed")
    assert "window 60 s" in error(changed)
    assert "window 30 s" in error(changed)
    assert "reset_checkpoint: true" in error(changed)
    other = tmp_path / "other"
    other.mkdir()
    moved = stream.run("word_counts", source=str(other))
    assert f"{other} is not {stream.folder}" in error(moved)

    # A file that grew after it was read.
    before = stream.counts()
    path.write_text("late words\n")
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 2_000_000_000))
    stream.add("3.txt", "new")
    grown = stream.run("word_counts")
    assert "1.txt was changed after it was read" in error(grown)
    assert stream.counts() == before
    gone_on = stream.run("word_counts", "words_published", fail_on_data_loss=False)
    assert gone_on.success
    assert failed_checks(gone_on) == {"word_counts:no_data_loss"}
    assert stream.counts() == before | {"new": 1}

    # Starting over reads all there is now, with the new query.
    assert stream.run(reset_checkpoint=True).success
    lines = [line for name in ("1", "2", "3") for line in (stream.folder / f"{name}.txt").read_text().splitlines()]
    assert stream.counts() == counted(lines)


@pytest.mark.soak
def test_a_batch_that_spark_had_not_yet_called_done_is_run_again_to_the_same_counts(
    stream: Stream, make_graph: Callable[..., Graph]
) -> None:
    """The deterministic crash: the last entry of the checkpoint's commit log is gone."""
    for number in range(2):
        stream.add(f"{number}.txt", *LINES)
        assert stream.run().success
    lake = stream.graph.lake
    (newest,) = [
        item.path for item in lake.list(MAIN, "_beside/word_counts/checkpoint/commits") if item.path.endswith("/1")
    ]
    lake.create_branch("crash", MAIN)
    with lake.write("crash", "word_counts", partitions=[], beside=["_beside/word_counts"]) as write:
        write.removed.add(newest)
    lake.merge("crash", MAIN, audit=TESTS)
    stream.add("2.txt", "dog new")
    assert stream.run("word_counts").success
    branch = next(name for name in lake.branches() if name.startswith("run-"))
    assert stream.counts(branch) == counted([*LINES, *LINES, "dog new"])
