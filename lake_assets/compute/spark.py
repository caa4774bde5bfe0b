"""The executor on Spark's workers: they read and write files themselves, and return what they wrote."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lake_assets.compute.parts import Part, Write, remove_others

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
        rows = numbers.mapInArrow(run_some, "at long, part string").collect()
        found = {row["at"]: Part.parse(json.loads(row["part"])) for row in rows}
        parts = [found[at] for at in range(len(writes))]
        for folder, filesystem in {write.folder: write.filesystem for write in writes}.items():
            kept = {part.name for write, part in zip(writes, parts, strict=True) if write.folder == folder}
            remove_others(filesystem, folder, kept)
        return parts
