"""The latest bar of each security, brought from one published commit to the next.

New hours alone are upserted: the table keeps the newer of two rows itself, so the order of arrival does not matter.
Where published rows changed or went away (a corrected file, a rollback), every key that such a folder held or holds
is worked out anew from all hours: its latest row may be one the table has long forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.schema import spark_schema
from lake_assets.io_managers.nosql import TableUpdate
from lake_assets.lake.contract import Diff, Lake
from lake_assets.lake.errors import PathNotFound, RefNotFound
from lake_assets.layout.manifest import MANIFEST
from lake_assets.resources.spark import SparkResource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PREFIX = "stocks_parquet"


def table_update(lake: Lake, spark: SparkResource, from_commit: str | None, to_commit: str) -> TableUpdate:
    """Return what brings the table from the rows of commit ``from_commit`` to those of ``to_commit``.

    Parameters
    ----------
    lake
        Both commits' lake.
    spark
        Its session is started only where something changed.
    from_commit
        Commit the table reflects; None, or one this lake does not know, for a table to be built anew.
    to_commit
        A published commit, not older than ``from_commit``.
    """
    version = lake.fingerprint(to_commit, PREFIX) or "empty"
    try:
        diff = lake.diff(from_commit, to_commit, PREFIX) if from_commit is not None else None
    except RefNotFound:
        diff = None
    if diff is None:
        bars = _read(lake, spark, to_commit, [PREFIX])
        return TableUpdate(from_commit, to_commit, version, latest(bars), rebuild=True)
    added, rewritten = changed_folders(lake, from_commit or "", diff)
    if rewritten:
        now = [*added, *(folder for folder in rewritten if lake.fingerprint(to_commit, folder) is not None)]
        keys = (
            _read(lake, spark, from_commit or "", rewritten)
            .select("ISIN")
            .union(_read(lake, spark, to_commit, now).select("ISIN"))
            .distinct()
        )
        bars = _read(lake, spark, to_commit, [PREFIX]).join(keys, "ISIN", "left_semi")
        return TableUpdate(from_commit, to_commit, version, latest(bars), delete=keys)
    if added:
        return TableUpdate(from_commit, to_commit, version, latest(_read(lake, spark, to_commit, added)))
    return TableUpdate(from_commit, to_commit, version)


def changed_folders(lake: Lake, from_commit: str, diff: Diff) -> tuple[list[str], list[str]]:
    """Return the partition folders that ``diff`` adds, and those that ``from_commit`` held already, each sorted."""
    touched = {path.rpartition("/")[0] for path in diff.paths if not path.endswith(f"/{MANIFEST}")}
    rewritten = {folder for folder in touched if lake.fingerprint(from_commit, folder) is not None}
    return sorted(touched - rewritten), sorted(rewritten)


def latest(bars: DataFrame) -> DataFrame:
    """Return one row per ISIN: the greatest by (Date, Time), ties by the other columns.

    The first pass reads three columns and aggregates a number per key in a hash table; comparing whole rows there
    would sort them all.
    """
    from pyspark.sql import functions as sf

    columns = spark_schema().names
    minute = (
        sf.unix_date("Date").cast("long") * 1440
        + sf.substring("Time", 1, 2).cast("long") * 60
        + sf.substring("Time", 4, 2).cast("long")
    )
    newest = bars.groupBy("ISIN").agg(sf.max(minute).alias("newest"))
    candidates = bars.withColumn("newest", minute).join(newest, ["ISIN", "newest"], "left_semi").select(*columns)
    others = [column for column in columns if column != "ISIN"]
    return (
        candidates.groupBy("ISIN")
        .agg(sf.max(sf.struct(*others)).alias("row"))
        .select("ISIN", *[sf.col(f"row.`{column}`").alias(column) for column in others])
    )


def _read(lake: Lake, spark: SparkResource, commit: str, prefixes: Iterable[str]) -> DataFrame:
    uris: list[str] = []
    for prefix in prefixes:
        try:
            uris.append(lake.path(commit, prefix).uri)
        except PathNotFound:
            continue
    schema = spark_schema()
    if not uris:
        return spark.session.createDataFrame([], schema)
    return spark.session.read.schema(schema).option("recursiveFileLookup", True).parquet(*uris)
