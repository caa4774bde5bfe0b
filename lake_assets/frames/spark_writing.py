"""Writes Spark's frames as files, on all its machines. The driver learns only what was written."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lake_assets.compute.parts import Part, merged, remove_others
from lake_assets.frames.conform import conform, refuse_beyond_calendar
from lake_assets.frames.parquet_writing import Place, refuse_unheld, write_parts
from lake_assets.frames.partition_columns import MisplacedRows, misplaced_rows, present_columns
from lake_assets.frames.rows import StreamRows, TableRows
from lake_assets.frames.spark_batches import arrow_schema
from lake_assets.frames.spark_columns import quoted
from lake_assets.frames.stored_types import RefusedColumn

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem
    from pyspark.sql import Column, DataFrame

    from lake_assets.content.version import Content
    from lake_assets.frames.hive_folders import PartitionValues


class SparkParts:
    """The rows of a frame of Spark, which its workers write and hash. They must have this package.

    A worker names its files after its attempt, since a task may be tried again, or run twice at once. The files of
    attempts that did not count are removed.

    Parameters
    ----------
    frame
        The rows. For several partitions, it must have the partition columns.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.
    file_format
        The format of the files.

    Raises
    ------
    RefusedColumn
        A column cannot be stored.
    ValueError
        A partition column is missing.
    """

    stragglers = True

    def __init__(self, frame: DataFrame, partitions: Mapping[str, PartitionValues] | None, file_format: str) -> None:
        import pyarrow as pa

        stored = arrow_schema(frame)
        self._frame = frame
        self._partitions = partitions
        self._format = file_format
        self._present = present_columns(frame.columns, partitions)
        self.schema = pa.schema([field for field in stored if field.name not in self._present])
        self.parts: dict[str, list[Part]] = {}
        refuse_unheld(self.schema, file_format)

    def write(self, filesystem: FileSystem, folders: Mapping[str, str]) -> dict[str, Content]:
        """Write the rows in one job of Spark, and return what was written for each partition.

        Parameters
        ----------
        filesystem
            File system of the folders.
        folders
            Partition key to the folder of its files, which are all made.

        Raises
        ------
        RefusedColumn
            The format cannot hold a value.
        MisplacedRows
            Some rows belong to none of the partitions.
        """
        places = {key: Place(filesystem, path, self._format) for key, path in folders.items()}
        for path in folders.values():
            filesystem.create_dir(path, recursive=True)
        answers = self._run(places)
        none = TableRows(self.schema.empty_table())
        for key, place in places.items():
            kept = _kept(place, [part for answer in answers for part in answer.get(key, ())])
            partition = None if self._partitions is None else {key: self._partitions[key]}
            self.parts[key] = kept or write_parts(none, {key: place}, partition, even_empty=True)[key]
        return {key: merged(self.schema, parts)[0] for key, parts in self.parts.items()}

    def _run(self, places: Mapping[str, Place]) -> list[dict[str, list[Part]]]:
        """Return what each task wrote, in the order of the tasks."""
        import pyarrow as pa
        from pyspark.sql import Observation
        from pyspark.sql import functions as sf

        present, partitions = self._present, self._partitions
        frame, seen = self._frame, Observation()
        texts = {name: _as_text(frame, name) for name in present}
        if partitions is not None and present:
            known = [_place([sf.lit(columns[name]) for name in present]) for columns in partitions.values()]
            placed = sf.coalesce(_place(list(texts.values())).isin(*known), sf.lit(False))
            frame = frame.observe(seen, sf.count_if(~placed).alias("left"), sf.count(sf.lit(1)).alias("all"))
        columns = [sf.col(quoted(name)) for name in self.schema.names]
        # By position: mapInArrow does not accept names with backticks.
        numbered = frame.select(*columns, *texts.values()).toDF(*(f"f{at}" for at in range(len(frame.columns))))
        if len(places) > 1:
            # So a task has one file open at a time.
            numbered = numbered.sortWithinPartitions(*numbered.columns[len(columns) :])
        schema = pa.schema([*self.schema, *((name, pa.string()) for name in present)])
        answers = numbered.mapInArrow(_writer(schema, places, partitions), "task int, answer string").collect()
        # Of all tasks; an answer knows those of its own.
        if partitions is not None and present and seen.get["left"]:
            raise misplaced_rows(seen.get["left"], seen.get["all"], present, partitions)
        answered = [json.loads(row["answer"]) for row in sorted(answers, key=lambda row: row["task"])]
        for answer in answered:
            if "refused" in answer:
                raise RefusedColumn(answer["refused"])
            if "misplaced" in answer:
                raise MisplacedRows(answer["misplaced"])
        return [{key: [*map(Part.parse, parts)] for key, parts in answer["parts"].items()} for answer in answered]


def _writer(
    schema: pyarrow.Schema, places: Mapping[str, Place], partitions: Mapping[str, PartitionValues] | None
) -> Any:
    """Return the function that writes the rows of a task."""

    def write(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        context = TaskContext.get()
        task = context.partitionId() if context is not None else 0
        attempt = f"part-{task:05d}-{uuid.uuid4().hex}"
        rows = StreamRows(schema, (_stored(batch, schema) for batch in batches))
        named = {key: replace(place, name=attempt) for key, place in places.items()}
        try:
            parts = write_parts(rows, named, partitions, even_empty=False)
            answer = {"parts": {key: [asdict(part) for part in found] for key, found in parts.items() if found}}
        except RefusedColumn as error:
            answer = {"refused": str(error)}
        except MisplacedRows as error:
            answer = {"misplaced": str(error)}
        yield pa.record_batch({"task": pa.array([task], pa.int32()), "answer": [json.dumps(answer)]})

    return write


def _stored(batch: pyarrow.RecordBatch, schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow as pa

    table = conform(pa.Table.from_batches([batch]).rename_columns(schema.names), schema)
    refuse_beyond_calendar(table)
    return table


def _kept(place: Place, parts: Sequence[Part]) -> list[Part]:
    """Remove the files of other attempts. On a local disk, equal rows get equal names.

    In an object store, a rename is a copy.
    """
    from pyarrow.fs import LocalFileSystem

    remove_others(place.filesystem, place.folder, {part.name for part in parts})
    if not isinstance(place.filesystem, LocalFileSystem):
        return list(parts)
    named = [replace(part, name=f"part-{at:05d}.{place.format}") for at, part in enumerate(parts)]
    for part, other in zip(parts, named, strict=True):
        place.filesystem.move(f"{place.folder}/{part.name}", f"{place.folder}/{other.name}")
    return named


def _as_text(frame: DataFrame, name: str) -> Column:
    """Return a partition column as text, as in the folders. A time at midnight is written as its day."""
    from pyspark.sql import functions as sf
    from pyspark.sql.types import TimestampNTZType, TimestampType

    text = sf.col(quoted(name)).cast("string")
    if isinstance(frame.schema[name].dataType, (TimestampType, TimestampNTZType)):
        return sf.regexp_replace(text, " 00:00:00$", "")
    return text


def _place(values: Sequence[Column]) -> Column:
    """Join several texts to one, which is null if one of them is null."""
    from pyspark.sql import functions as sf

    return sf.concat(*(part for value in values for part in (value, sf.lit("\n"))))
