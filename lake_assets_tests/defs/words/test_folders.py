"""A stream's folder holds its rows alone; one of a lake of format 1 is read, and gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb
import pandas
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lake_assets.cli.app import app
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.layout.manifest import MANIFEST, moved_manifest, read_manifest
from lake_assets.runs.rollback import plan_rollback, roll_back
from lake_assets.runs.verification import Verification
from lake_assets.streaming.places import moved
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.words.stream import COUNTS, LINES, Stream, counted

STREAMS = ("word_counts", "word_counts_windowed")
BESIDE = {"changes", "checkpoint", "position.json"}


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout.rstrip("\n")


def by_word(records: list[dict[str, Any]]) -> Mapping[str, int]:
    counts = {row["word"]: row["count"] for row in records}
    assert len(counts) == len(records), "a word is there twice"
    return counts


def as_of_format_1(lake: Lake) -> str:
    """Publish the streams as commits of format 1 held them: all of it at the prefix; return the commit."""
    lake.create_branch("before", MAIN)
    for prefix in STREAMS:
        manifest = read_manifest(lake.path(MAIN, prefix))
        files = {item.path: item for folder in (prefix, f"_beside/{prefix}") for item in lake.list(MAIN, folder)}
        listed = {f"counts/{name}": size for name, size in manifest.files.items()} | manifest.beside
        content = {"rows": manifest.rows, "data_version": manifest.data_version, "files": listed}
        with lake.write("before", prefix, beside=[f"_beside/{prefix}"]) as write:
            for path in files:
                below = path.removeprefix("_beside/").removeprefix(f"{prefix}/")
                old = below if path.startswith("_beside") else f"counts/{below}"
                snapshot = lake.path(MAIN, path)
                data = snapshot.filesystem.open_input_stream(snapshot.root).readall()
                if below == MANIFEST:
                    written, old, data = data, MANIFEST, json.dumps(content).encode()
                    assert moved_manifest(data, prefix) == written
                target = f"{write.root}/{old}"
                write.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
                with write.filesystem.open_output_stream(target) as stream:
                    stream.write(data)
                assert moved(f"{prefix}/{old}", prefix) == path
            write.removed |= {path for path in files if path.startswith("_beside")}
    commit = lake.merge("before", MAIN, audit=TESTS).id
    lake.delete_branch("before")
    return commit


def test_every_engine_reads_the_counts_and_nothing_else(stream: Stream, spark: Any) -> None:
    for number in range(2):
        stream.add(f"{number}.txt", *LINES)
        assert stream.run().success
    counts = counted([*LINES, *LINES])
    lake = stream.graph.lake
    for prefix in STREAMS:
        assert {item.path for item in lake.list(MAIN, prefix)} == {
            f"{prefix}/{MANIFEST}",
            f"{prefix}/part-00000.parquet",
        }
        assert {item.path.split("/")[2] for item in lake.list(MAIN, f"_beside/{prefix}")} == BESIDE
    path = printed("path", "main:word_counts")
    assert by_word(pandas.read_parquet(path).to_dict("records")) == counts
    assert by_word(pq.read_table(path).to_pylist()) == counts
    assert dict(duckdb.sql(f"FROM read_parquet('{path}/**/*.parquet')").fetchall()) == counts
    read = spark.read.parquet(printed("path", "main:word_counts", "--for", "spark"))
    assert by_word([row.asDict() for row in read.collect()]) == counts
    assert by_word(json.loads(printed("cat", "main:word_counts", "--limit", "0", "--json"))) == counts
    assert list(Verification(lake, stream.graph.instance, MAIN).problems(lambda _: None)) == []


@pytest.mark.soak
def test_a_stream_of_format_1_is_read_and_gone_on_with_and_nothing_is_counted_twice(stream: Stream) -> None:
    stream.add("1.txt", *LINES)
    assert stream.run().success
    lake = stream.graph.lake
    new = lake.head(MAIN).id
    old = as_of_format_1(lake)
    assert {item.path.split("/")[1] for item in lake.list(MAIN, "word_counts")} == {*BESIDE, "counts", MANIFEST}
    assert list(lake.list(MAIN, "_beside")) == []
    assert by_word(json.loads(printed("cat", "main:word_counts", "--json"))) == COUNTS
    assert dict(duckdb.sql(f"FROM read_parquet('{printed('path', 'main:word_counts')}/**/*.parquet')").fetchall()) == (
        COUNTS
    )

    # With nothing to count nothing is committed.
    assert stream.run().success
    assert stream.run(job="words_recount").success
    assert not lake.diff(old, MAIN)

    stream.add("2.txt", "kafka dog")
    assert stream.run().success
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}
    assert {item.path.split("/")[2] for item in lake.list(MAIN, "_beside/word_counts")} == BESIDE
    assert stream.position().totals["lines"] == len(LINES) + 1
    assert stream.run(job="words_recount").success

    # Back to the state in either form, and on from there.
    graph = stream.graph.defs.resolve_asset_graph()
    for commit in (old, new):
        roll_back(lake, stream.graph.instance, graph, plan_rollback(lake, commit), "a test")
        assert not lake.diff(commit, MAIN)
        assert stream.run().success
        assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}
        assert stream.position().batch == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("s/counts/a.parquet", "s/a.parquet"),
        ("s/checkpoint/state/0/1.delta", "_beside/s/checkpoint/state/0/1.delta"),
        ("s/changes/a.parquet", "_beside/s/changes/a.parquet"),
        ("s/csv/a.csv", "_beside/s/csv/a.csv"),
        ("s/position.json", "_beside/s/position.json"),
        ("s/_manifest.json", "s/_manifest.json"),
        ("s/part-00000.parquet", "s/part-00000.parquet"),
    ],
)
def test_each_file_has_one_new_place(old: str, new: str) -> None:
    assert moved(old, "s") == new
