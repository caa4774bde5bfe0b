"""What of a checkpoint is copied, to the lake and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake_assets.defs.words import queries
from lake_assets.defs.words.source import FolderSource
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.streaming.checkpoint import Checkout, StoredCheckpoint, checkout
from lake_assets.streaming.checkpoint_files import CheckpointFiles, last_batch
from lake_assets.streaming.microbatches import consume, streaming_session
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

STREAM, CHECKPOINT = "counts", "beside/checkpoint"


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    lake = LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()
    lake.create_branch("work", MAIN)
    yield lake
    lake.close()


def stored(lake: Lake, place: Checkout) -> StoredCheckpoint:
    """Commit what a folder holds."""
    with lake.write("work", STREAM, beside=["beside"]) as write:
        told = place.store(lake, write, CHECKPOINT)
    place.committed(lake, "work", CHECKPOINT)
    return told


def held(lake: Lake, ref: str) -> set[str]:
    """Return the checkpoint's files in the lake."""
    return {item.path.removeprefix(f"{CHECKPOINT}/") for item in lake.list(ref, CHECKPOINT)}


def content(place: Checkout) -> dict[str, str]:
    """Return the files on disk."""
    return {str(path.relative_to(place.folder)): path.read_text() for path in place.folder.rglob("*") if path.is_file()}


def test_only_new_files_go_to_the_lake_and_what_is_gone_goes(lake: Lake, tmp_path: Path) -> None:
    home = tmp_path / "streams"
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        (place.folder / "state").mkdir()
        for name in ("metadata", "state/1.delta", "state/.1.delta.crc", "state/.2.delta.tmp"):
            (place.folder / name).write_text(name)
        assert stored(lake, place).new_files == 2
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        (place.folder / "state/2.delta").write_text("two")
        (place.folder / "state/1.delta").unlink()
        told = stored(lake, place)
    assert (told.new_files, told.new_bytes, told.size, told.state_size) == (1, 3, 11, 3)
    assert held(lake, "work") == {"metadata", "state/2.delta"}


def test_nothing_is_fetched_of_what_is_there_and_all_else_is(lake: Lake, tmp_path: Path) -> None:
    home = tmp_path / "streams"
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        (place.folder / "offsets").write_text("1")
        stored(lake, place)
    first = lake.head("work").id
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        untouched = (place.folder / "offsets").stat()
        place.unchanged(lake, "work", CHECKPOINT)
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        assert (place.folder / "offsets").stat() == untouched
        # Another file of the same name and size, as after a rollback.
        (place.folder / "offsets").write_text("2")
        stored(lake, place)
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, first, CHECKPOINT)
        assert content(place) == {"offsets": "1"}
    with checkout(tmp_path / "elsewhere", lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        assert content(place) == {"offsets": "2"}


def test_what_was_changed_and_not_committed_is_not_taken_for_the_lakes(lake: Lake, tmp_path: Path) -> None:
    home = tmp_path / "streams"
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        (place.folder / "offsets").write_text("1")
        stored(lake, place)
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        (place.folder / "offsets").write_text("2")
        place.unchanged(lake, "work", CHECKPOINT)
    with checkout(home, lake, STREAM) as place:
        place.restore(lake, "work", CHECKPOINT)
        assert content(place) == {"offsets": "1"}


@pytest.mark.soak
@pytest.mark.parametrize("state_store", ["hdfs", "rocksdb"])
def test_a_checkpoint_grows_with_what_is_counted_and_not_with_the_number_of_runs(
    spark: SparkSession, tmp_path: Path, state_store: str
) -> None:
    source = tmp_path / "lines"
    source.mkdir()
    folder = tmp_path / "checkpoint"
    seen: list[int] = []

    def keep(rows: DataFrame, number: int) -> None:
        rows.write.mode("overwrite").parquet(f"file://{tmp_path}/changed/{number}")

    for number in range(30):
        (source / f"{number}.txt").write_text("a b c d e f g h\n")
        session = streaming_session(spark, state_store, f"file://{folder}")
        lines = FolderSource(source).lines(session, fail_on_data_loss=True)
        consume(queries.word_counts(lines), CheckpointFiles.local(folder), keep, number - 1)
        files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        seen.append(len([path for path in files if "sources" not in path.parts]))
    assert last_batch(CheckpointFiles.local(folder)) == 29
    assert max(seen[15:]) <= max(seen[:15]) * 1.5
