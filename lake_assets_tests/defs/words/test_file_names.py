"""File names in the folder of words: each file is read, or named in one line, and none holds up those beside it."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import cast

import pytest
from pyarrow.fs import LocalFileSystem
from pyspark.sql import SparkSession

from lake_assets.defs.words.source import FolderSource, files_read
from lake_assets.streaming.query import StreamSourceError

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


def folder_of_names(folder: Path) -> FolderSource:
    """Write files of all these names, each with its own number."""
    for number, name in enumerate([*READ, *PASSED_OVER]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    (folder / "latin\udce9\n.txt").write_text("lost\n")
    return FolderSource(folder)


def test_the_files_that_spark_passes_over_are_named_in_a_line_each(tmp_path: Path) -> None:
    source = folder_of_names(tmp_path)
    told = source.passed_over()
    assert len(told) == len(PASSED_OVER) + 1
    for name, why in {**PASSED_OVER, "latin\\\\xe9\\n.txt": "not UTF-8"}.items():
        (line,) = (line for line in told if name.partition("/")[0] in line and why in line)
        assert line.endswith("; rename it")
        assert line.isprintable()
    assert source.files().keys() == {str(tmp_path / name) for name in READ}


def test_a_folder_that_spark_cannot_name_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(StreamSourceError, match="both ':' and a wildcard"):
        FolderSource(tmp_path / "[1] 08:00").lines(cast(SparkSession, None), fail_on_data_loss=True)


def test_spark_reads_all_others_once_and_again_for_a_recount(spark: SparkSession, tmp_path: Path) -> None:
    source = folder_of_names(tmp_path / "[words] 1*2")
    checkpoint = tmp_path / "checkpoint"
    seen: list[str] = []
    for _ in range(2):
        lines = source.lines(spark, fail_on_data_loss=True).select("value")
        query = (
            lines.writeStream.option("checkpointLocation", f"file://{checkpoint}")
            .trigger(availableNow=True)
            .foreachBatch(lambda frame, _: seen.extend(row.value for row in frame.collect()))
            .start()
        )
        query.awaitTermination()
    expected = sorted(str(number) for number in range(len(READ)))
    assert sorted(seen) == expected
    assert files_read(LocalFileSystem(), str(checkpoint / "sources/0")).keys() == source.files().keys()
    recount = source.all_lines(spark, None, checkpoint)  # type: ignore[arg-type]
    assert sorted(row.value for row in recount.select("value").collect()) == expected
