"""pandas and Spark frames to Parquet folders and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Literal

from lake_assets.io_managers.content_version import Content, ContentDigest

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyarrow.fs import FileSystem
    from pyspark.sql import Column, SparkSession
    from pyspark.sql import DataFrame as SparkDataFrame

    from lake_assets.io_managers.partitions import Columns

Engine = Literal["pandas", "spark"]

SUPPORTED = "pandas.DataFrame or pyspark.sql.DataFrame"


def engine_of_value(value: object) -> Engine | None:
    """Return which library's frame a value is; None for anything else. Imports neither library."""
    modules: dict[Engine, str] = {"pandas": "pandas", "spark": "pyspark.sql"}
    for engine, module in modules.items():
        library = sys.modules.get(module)
        if library is not None and isinstance(value, library.DataFrame):
            return engine
    return None


def engine_of_annotation(annotation: object) -> Engine | None:
    """Return which library's frame a type annotation names; None for anything else."""
    module = getattr(annotation, "__module__", "")
    if getattr(annotation, "__name__", "") != "DataFrame":
        return None
    if module.startswith("pandas."):
        return "pandas"
    return "spark" if module.startswith("pyspark.") else None


def write_spark(frame: SparkDataFrame, uri: str, partitions: Mapping[str, Columns] | None) -> None:
    """Write a frame as Parquet below ``uri`` in one job.

    Parameters
    ----------
    frame
        Where there are several partitions, their columns must be in it.
    uri
        An existing folder; for one partition or none, the folder of its files.
    partitions
        Partition key to its columns; None for an unpartitioned frame.

    Raises
    ------
    ValueError
        Rows are left over that belong to none of the partitions, or a partition column is missing.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    names = _partition_names(partitions)
    several = partitions is not None and len(partitions) > 1
    present = [name for name in names if name in frame.columns]
    if several and present != names:
        raise ValueError(
            f"a frame for {len(partitions or ())} partitions must have the columns {names}; it has {frame.columns}"
        )
    data = [column for column in frame.columns if column not in names]
    placed: Column = sf.lit(True)
    if partitions is not None and present:
        placed = reduce(or_, map(_is_partition, partitions.values()))
    observation = Observation()
    measures = [sf.count(sf.lit(1)).alias("all"), sf.count_if(placed).alias("placed")]
    observed = frame.observe(observation, *measures)
    writer = observed.select(*data, *names) if several else observed.select(*data)
    if several:
        writer.write.mode("append").partitionBy(*names).parquet(uri)
    else:
        writer.write.mode("append").parquet(uri)
    seen = observation.get
    _all_rows_placed(int(seen.get("all") or 0), int(seen.get("placed") or 0), partitions)


def write_pandas(
    frame: pandas.DataFrame, filesystem: FileSystem, root: str, partitions: Mapping[str, Columns] | None
) -> dict[str, Content]:
    """Write a frame as one Parquet file a partition. Arguments and errors as in :func:`write_spark`.

    Returns
    -------
    dict
        Partition key to what was written; the key ``""`` for an unpartitioned frame.
    """
    import pyarrow
    import pyarrow.parquet as pq

    names = _partition_names(partitions)
    several = partitions is not None and len(partitions) > 1
    present = [name for name in names if name in frame.columns]
    if several and present != names:
        raise ValueError(
            f"a frame for {len(partitions or ())} partitions must have the columns {names}; "
            f"it has {list(frame.columns)}"
        )
    written: dict[str, Content] = {}
    for key, columns in (partitions or {"": {}}).items():
        part = frame
        for name in present:
            part = part.loc[part[name].astype(str) == columns[name]]
        part = part.drop(columns=present)
        table = pyarrow.Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
        target = root
        if several:
            from lake_assets.io_managers.partitions import folder

            target = f"{root}/{folder(columns)}"
            filesystem.create_dir(target, recursive=True)
        pq.write_table(table, f"{target}/part-00000.parquet", filesystem=filesystem, coerce_timestamps="us")
        digest = ContentDigest(table.schema)
        for batch in table.to_batches():
            digest.update(batch)
        written[key] = Content(digest.rows, digest.version())
    _all_rows_placed(len(frame), sum(part.rows for part in written.values()), partitions)
    return written


def read_spark(spark: SparkSession, uris: Sequence[str], base: str | None) -> SparkDataFrame:
    """Open Parquet folders as one Spark frame; with ``base`` the partition columns below it are in the frame."""
    reader = spark.read
    if base is not None:
        reader = reader.option("basePath", base)
    return reader.parquet(*uris)


def read_pandas(
    filesystem: FileSystem, folders: Sequence[tuple[str, Columns]], *, with_columns: bool
) -> pandas.DataFrame:
    """Read Parquet folders as one pandas frame; ``with_columns`` adds each folder's partition columns."""
    import pyarrow
    import pyarrow.dataset

    tables: list[pyarrow.Table] = []
    for path, columns in folders:
        # No partitioning: pyarrow would take columns from the folder names above, too.
        table = pyarrow.dataset.dataset(path, filesystem=filesystem, format="parquet").to_table()
        for name, value in columns.items() if with_columns else ():
            table = table.append_column(name, pyarrow.array([value] * table.num_rows, pyarrow.string()))
        tables.append(table)
    return pyarrow.concat_tables(tables, promote_options="default").to_pandas(date_as_object=True)


def _partition_names(partitions: Mapping[str, Columns] | None) -> list[str]:
    return list(next(iter(partitions.values()))) if partitions else []


def _is_partition(columns: Columns) -> Column:
    from pyspark.sql import functions as sf

    return reduce(and_, (sf.col(name).cast("string") == sf.lit(value) for name, value in columns.items()))


def _all_rows_placed(total: int, placed: int, partitions: Mapping[str, Columns] | None) -> None:
    if placed != total:
        keys = sorted(partitions or ())
        raise ValueError(f"{total - placed} of {total} rows belong to none of the partitions {keys} being written")


def preview(filesystem: FileSystem, path: str, rows: int = 5) -> pyarrow.Table:
    """Return the first rows of one written Parquet file, as an Arrow table; reads one batch."""
    import pyarrow
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, filesystem=filesystem) as file:
        batch = next(file.iter_batches(batch_size=rows), None)
        return pyarrow.Table.from_batches([batch] if batch is not None else [], file.schema_arrow)


def markdown(table: pyarrow.Table) -> str:
    """Return a small table as Markdown, cells cut at 80 characters."""
    header = "| " + " | ".join(table.column_names) + " |"
    rule = "|" + " --- |" * table.num_columns
    rows = ["| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in table.to_pylist()]
    return "\n".join([header, rule, *rows])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    text = text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")
    return text[:80] + "…" if len(text) > 80 else text
