"""Parts of a frame: each task writes a file, results merge, and an attempt that did not count leaves nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from lake_assets.compute.executors import LocalExecutor
from lake_assets.compute.frame import TaskFrame
from lake_assets.compute.spark import SparkExecutor
from lake_assets.content.version import version_of_files

SCHEMA = pyarrow.schema([("number", pyarrow.int64()), ("text", pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))])


@dataclass(frozen=True)
class Numbers:
    """Counts up in two batches, and leaves what another attempt of it would."""

    first: int
    rows: int
    orphan: str = ""
    size: int = 1

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        if self.orphan:
            Path(self.orphan).write_bytes(b"another attempt's")
        for _ in range(2):
            counts["rows"] += self.rows
            numbers = range(self.first, self.first + self.rows)
            yield pyarrow.RecordBatch.from_pylist([{"number": n, "text": str(n % 3)} for n in numbers], SCHEMA)


def written(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def frame(executor: LocalExecutor | SparkExecutor, orphan: str = "") -> TaskFrame:
    tasks = {"a": [Numbers(0, 5, orphan), Numbers(5, 0), Numbers(7, 3)], "b": [Numbers(0, 0)], "c": []}
    return TaskFrame(SCHEMA, tasks, lambda size: executor)


def check(frame: TaskFrame, folder: Path) -> list[Path]:
    """Write a frame, and check each file, the merged versions and the counts."""
    contents = frame.write(LocalFileSystem(), {key: str(folder / key) for key in frame.tasks})
    assert {key: content.rows for key, content in contents.items()} == {"a": 16, "b": 0, "c": 0}
    for key, content in contents.items():
        assert version_of_files(map(str, written(folder / key)), LocalFileSystem()) == content
    # A row group a batch; a partition without rows has one file.
    groups = [pq.read_metadata(path).num_row_groups for path in written(folder)]
    assert groups == [2, 2, 0, 0]
    assert frame.counts == {"a": {"rows": 16}, "b": {"rows": 0}, "c": {}}
    return written(folder)


def test_each_task_writes_a_file_and_the_results_merge(tmp_path: Path) -> None:
    for threads in (1, 4):
        files = check(frame(LocalExecutor(threads)), tmp_path / str(threads))
        assert [path.name for path in files] == [
            "part-00000.parquet",
            "part-00002.parquet",
            *["part-00000.parquet"] * 2,
        ]


def test_the_file_of_another_attempt_is_removed(tmp_path: Path, spark: object) -> None:
    executor = SparkExecutor(spark)  # type: ignore[arg-type]
    files = check(frame(executor, str(tmp_path / "a" / "part-00000-other.parquet")), tmp_path)
    assert [path.name[:10] for path in files] == ["part-00000", "part-00002", "part-00000", "part-00000"]


def test_a_failing_task_fails_the_write(tmp_path: Path) -> None:
    frame = TaskFrame(
        SCHEMA, {"a": [Numbers(0, 5), Numbers(0, 1, str(tmp_path / "no" / "where"))]}, lambda size: LocalExecutor()
    )
    with pytest.raises(FileNotFoundError):
        frame.write(LocalFileSystem(), {"a": str(tmp_path / "a")})


def test_a_frame_of_other_partitions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is of the partitions \['a', 'b', 'c'\], not of \['d'\]"):
        frame(LocalExecutor()).write(LocalFileSystem(), {"d": str(tmp_path)})
