"""The tiny graph that the model is about: no Spark, a few rows an asset.

``raw`` has no checks, ``rows`` is partitioned and has a blocking check, ``a/b`` reads both and has one, too. ``rows``
is what the sink ``rows_table`` holds.
"""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas
from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    Definitions,
    MaterializeResult,
    StaticPartitionsDefinition,
    asset,
    asset_check,
)

from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.publishing import LAYER, published_asset
from lake_assets.runs.sinks import SINK
from lake_assets.sensors import publish_runs
from lake_assets_tests.model.sink import TABLE, feed

PARTS = ("p", "q")
PARTITIONS = StaticPartitionsDefinition(list(PARTS))

RAW, ROWS, BOTH = AssetKey("raw"), AssetKey("rows"), AssetKey(["a", "b"])
PUBLISHED_ASSET, SINK_ASSET = AssetKey("tiny_published"), AssetKey(TABLE)

PLACES = {"raw": RAW, "rows/partition=p": ROWS, "rows/partition=q": ROWS, prefix_of(BOTH): BOTH}
"""Folder in the lake to the asset that it is of."""

CHECKS = {ROWS: (AssetCheckKey(ROWS, "good"),), BOTH: (AssetCheckKey(BOTH, "fits"),), RAW: ()}
"""The blocking checks of each asset."""

BAD = "bad"

# The first two differ in where a null stands; so do the last two, which no check lets pass.
CONTENTS: Mapping[str, tuple[tuple[str | None, str | None], ...]] = {
    "one": (("x", None), ("k", "k")),
    "two": ((None, "x"), ("k", "k")),
    "three": (("x", "y"), ("k", "k"), ("z", "k")),
    "bad": ((BAD, None), ("k", "k")),
    "worse": ((None, BAD), ("k", "k")),
}
"""What an asset may hold, by name."""


def frame_of(content: str) -> pandas.DataFrame:
    """Return the rows of a content."""
    rows = [{"id": number, "text": text, "note": note} for number, (text, note) in enumerate(CONTENTS[content])]
    return pandas.DataFrame(rows, columns=pandas.Index(["id", "text", "note"]))


def is_good(frame: pandas.DataFrame) -> bool:
    """Return what the graph's checks say of rows."""
    return not (frame[["text", "note"]] == BAD).any(axis=None)


@dataclass
class Wanted:
    """What the assets return: the name of a content for each place."""

    contents: dict[str, str] = field(default_factory=dict[str, str])


def definitions(wanted: Wanted, resources: Mapping[str, Any]) -> Definitions:
    """Return the graph."""

    @asset(io_manager_key="parquet_io_manager", code_version="1")
    def raw() -> pandas.DataFrame:
        return frame_of(wanted.contents["raw"])

    @asset(partitions_def=PARTITIONS, io_manager_key="parquet_io_manager", code_version="1")
    def rows(context: AssetExecutionContext) -> pandas.DataFrame:
        parts = [
            frame_of(wanted.contents[f"rows/partition={part}"]).assign(partition=part)
            for part in context.partition_keys
        ]
        return pandas.concat(parts, ignore_index=True)

    @asset(key=BOTH, deps=[raw, rows], io_manager_key="parquet_io_manager", code_version="1")
    def both() -> pandas.DataFrame:
        return frame_of(wanted.contents[prefix_of(BOTH)])

    @asset_check(asset=rows, blocking=True, partitions_def=PARTITIONS)
    def good(rows: pandas.DataFrame) -> AssetCheckResult:
        return AssetCheckResult(passed=is_good(rows))

    @asset_check(asset=BOTH, blocking=True)
    def fits(both: pandas.DataFrame) -> AssetCheckResult:
        return AssetCheckResult(passed=is_good(both))

    published = published_asset("tiny", ["rows"], partitions_def=PARTITIONS)

    @asset(name=TABLE, partitions_def=PARTITIONS, deps=[published, rows], tags={LAYER: SINK})
    def rows_table(lake: LakeResource, nosql: NoSQLResource) -> MaterializeResult[Any]:
        feed(lake.lake, nosql.store)
        return MaterializeResult()

    return Definitions(
        assets=[raw, rows, both, published, rows_table],
        asset_checks=[good, fits],
        sensors=[publish_runs()],
        resources=resources,
    )
