"""The executor on Spark's workers: they read and write files themselves, and return what they wrote."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lake_assets.compute.parts import Part, Write

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import SparkSession


class SparkExecutor:
    """Runs writes in tasks of Spark, one for each. The workers must see the files, and have this package.

    A worker names its file after its attempt, since a task may be tried again, or run twice at once. The files of
    attempts that did not count are removed.

    Parameters
    ----------
    session
        The Spark session.
    """

    stragglers = True

    def __init__(self, session: SparkSession) -> None:
        self._session = session

    def run(self, writes: Sequence[Write]) -> list[Part]:
        """Run all writes, and return what each wrote, in their order.

        Parameters
        ----------
        writes
            The writes.
        """

        def run_some(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
            import pyarrow as pa

            for batch in batches:
                for at in batch.column(0).to_pylist():
                    part = writes[at].run(f"-{uuid.uuid4().hex}")
                    yield pa.record_batch({"at": pa.array([at]), "part": pa.array([json.dumps(asdict(part))])})

        numbers = self._session.range(len(writes), numPartitions=max(1, len(writes)))
        found = {
            row["at"]: json.loads(row["part"]) for row in numbers.mapInArrow(run_some, "at long, part string").collect()
        }
        parts = [
            Part(part["name"], part["rows"], (part["sums"][0], part["sums"][1]), part["counts"])
            for part in (found[at] for at in range(len(writes)))
        ]
        _remove_others(writes, parts)
        return parts


def _remove_others(writes: Sequence[Write], parts: Sequence[Part]) -> None:
    """Remove the files of attempts that did not count."""
    from pyarrow.fs import FileSelector

    kept = {f"{write.folder}/{part.name}" for write, part in zip(writes, parts, strict=True)}
    for folder, filesystem in {write.folder: write.filesystem for write in writes}.items():
        for info in filesystem.get_file_info(FileSelector(folder)):
            if info.is_file and f"{folder}/{info.base_name}" not in kept:
                filesystem.delete_file(info.path)
