"""File names in the folder of words: each file is read, or named in one line, and none holds up those beside it."""

from __future__ import annotations

import bz2
import gzip
import unicodedata
import zlib
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem
from pyspark.sql import SparkSession

from lake_assets.defs.words import queries
from lake_assets.defs.words.source import FolderSource
from lake_assets.defs.words.text_files import files_read
from lake_assets.streaming.checkpoint_files import CheckpointFiles
from lake_assets.streaming.microbatches import consume

READ = [
    *("log_08:00.txt", "[1].txt", "{a,b}.txt", "st*r.txt", "q?.txt", "sp ace.txt", "pc%20t.txt", "ha#sh.txt", "dot."),
    *(
        "Köln.txt",
        unicodedata.normalize("NFD", "Köln.txt"),
        "new\nline.txt",
        "back\\slash.txt",
        "a=b",
        "東京🙂.txt",
        "C:",
    ),
    *("x" * 255, ":x", "'\".txt", " x ", "_a=b", "su:b/in:ner.txt", "s[1]/inner.txt", "é" * 127, "a:[b].txt"),
]
PASSED_OVER = {
    "_notes.txt": "begin with '_'",
    ".notes.txt": "begin with '.'",
    "_old/lines.txt": "begin with '_'",
    "lines.txt._COPYING_": "a copy that has not ended",
}


COMPRESSED = {
    "good.gz": gzip.compress(b"gzip\n"),
    "two.gz": gzip.compress(b"one\n") + gzip.compress(b"two\n"),
    "LOUD.GZ": gzip.compress(b"loud\n"),
    "good.bz2": bz2.compress(b"bzip2\n"),
    "good.deflate": zlib.compress(b"deflate\n"),
    "hadoop.lz4": b"\0\0\0\6\0\0\0\7`hello\n",
    "hadoop.snappy": b"\0\0\0\6\0\0\0\10\6\x14hello\n",
    "empty.gz": b"",
    "x.gz.txt": b"text\n",
}
"""Name and bytes of what Spark decompresses, or reads as it is."""
ITS_LINES = ["gzip", "one", "two", "loud", "bzip2", "deflate", "hello", "hello", "text"]

NOT_AS_NAMED = {
    **{f"plain.{suffix}": b"some words\n" for suffix in ("gz", "bz2", "deflate", "lz4", "snappy")},
    **dict.fromkeys(("[1].gz", "{a,b}.GZ", "a:b.gz", "new\nline.gz", "st*r?.gz", "Köln.gz", "\\d.gz"), b"some words\n"),
    "short.gz": gzip.compress(b"short\n")[:-5],
    "tail.gz": gzip.compress(b"tail\n") + b"more",
    "frame.lz4": bytes.fromhex("04224d186040820600008068656c6c6f0a00000000"),
    "in/plain.gz": b"some words\n",
}


def folder_of_names(folder: Path) -> FolderSource:
    """Write files of all these names, each with its own number."""
    for number, name in enumerate([*READ, *PASSED_OVER]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    (folder / "latin\udce9\n.txt").write_text("lost\n")
    return FolderSource(folder)


def read(source: FolderSource, spark: SparkSession, checkpoint: Path) -> list[str]:
    """Return the lines of a run of the stream."""
    seen: list[str] = []
    query = (
        source.lines(spark, fail_on_data_loss=True)
        .select("value")
        .writeStream.option("checkpointLocation", f"file://{checkpoint}")
        .trigger(availableNow=True)
        .foreachBatch(lambda frame, _: seen.extend(row.value for row in frame.collect()))
        .start()
    )
    query.awaitTermination()
    return seen


def test_the_files_that_spark_passes_over_are_named_in_a_line_each(tmp_path: Path) -> None:
    source = folder_of_names(tmp_path)
    told = source.passed_over()
    assert len(told) == len(PASSED_OVER) + 1
    for name, why in {**PASSED_OVER, "latin\\\\xe9\\n.txt": "not UTF-8"}.items():
        (line,) = (line for line in told if name.partition("/")[0] in line and why in line)
        assert line.endswith("; rename it")
        assert line.isprintable()
    assert source.files().keys() == {str(tmp_path / name) for name in READ}


@pytest.mark.soak
def test_spark_reads_all_others_once_and_again_for_a_recount(spark: SparkSession, tmp_path: Path) -> None:
    source = folder_of_names(tmp_path / "[words] 08:00 1*2")
    checkpoint = tmp_path / "checkpoint"
    seen = [line for _ in range(2) for line in read(source, spark, checkpoint)]
    expected = sorted(str(number) for number in range(len(READ)))
    assert sorted(seen) == expected
    assert files_read(LocalFileSystem(), str(checkpoint / "sources/0")).keys() == source.files().keys()
    recount = source.all_lines(spark, None, CheckpointFiles.local(checkpoint))  # type: ignore[arg-type]
    assert sorted(row.value for row in recount.select("value").collect()) == expected


def test_what_is_not_compressed_as_its_name_says_is_named_and_holds_up_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    source = FolderSource(tmp_path / "words")
    (source.folder / "in").mkdir(parents=True)
    for name, data in {**COMPRESSED, **NOT_AS_NAMED}.items():
        (source.folder / name).write_bytes(data)
    # A good file of the same name as a bad one.
    (source.folder / "in/tail.gz").write_bytes(gzip.compress(b"good\n"))
    (source.folder / "new.zst").write_bytes(b"(\xb5/\xfd")

    told = source.passed_over()
    assert len(told) == len(NOT_AS_NAMED) + 1
    assert all((line.isprintable() and "rename" in line) or line.endswith("decompress it") for line in told)
    assert source.files().keys() == {str(source.folder / name) for name in [*COMPRESSED, "in/tail.gz"]}

    assert sorted(read(source, spark, tmp_path / "checkpoint")) == sorted([*ITS_LINES, "good"])
    (source.folder / "plain.gz").rename(source.folder / "plain.txt")
    assert read(source, spark, tmp_path / "checkpoint") == ["some words"]


@pytest.mark.soak
def test_a_checkpoint_of_sparks_own_listing_is_gone_on_with(spark: SparkSession, tmp_path: Path) -> None:
    source = folder_of_names(tmp_path / "words")
    checkpoint = tmp_path / "checkpoint"
    before = spark.readStream.option("recursiveFileLookup", "true").format("text").schema("value STRING")
    before.load(f"file://{source.folder}").writeStream.format("noop").option(
        "checkpointLocation", f"file://{checkpoint}"
    ).trigger(availableNow=True).start().awaitTermination()
    (source.folder / "later 1.txt").write_text("later\n")
    assert read(source, spark, checkpoint) == ["later"]


@pytest.mark.soak
def test_a_line_of_300_mb_in_a_small_file_is_named_and_the_stream_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    source = FolderSource(tmp_path / "words", longest=1000)
    source.folder.mkdir()
    bomb = source.folder / "bomb.gz"
    with gzip.open(bomb, "wb", 1) as file:
        file.write(b"before\n")
        for _ in range(300):
            file.write(b"x" * (1 << 20))
        file.write(b"\nafter\n")
    (source.folder / "beside.txt").write_bytes(b"beside\n" + b"y" * 1001 + b"\r\n" + b"z" * 1000 + b"\n")
    (source.folder / "again").symlink_to(source.folder)

    counts: dict[str, int] = {}
    found = consume(
        queries.word_counts(source.lines(spark.newSession(), fail_on_data_loss=True)),
        CheckpointFiles.local(tmp_path / "checkpoint"),
        lambda rows, _: counts.update((row["word"], row["count"]) for row in rows.collect()),
        -1,
    )
    assert counts == {"before": 1, "after": 1, "beside": 1, "z" * 1000: 1}
    assert found.too_long == [str(source.folder / "beside.txt"), str(bomb)]
    assert (found.observed["lines"], found.observed["too_long_lines"], found.observed["null_values"]) == (6, 2, 0)
