"""Whether a run brings a correction is decided by its rows, also of what an older program stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas
import pytest
from dagster import AssetKey, ExecuteInProcessResult

from lake_assets.content.version import ContentDigest
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.layout.manifest import read_manifest
from lake_assets_tests.small_graph import SmallGraph


def as_before_there_were_names(digest: ContentDigest) -> str:
    """Return a version as programs made it before it carried its algorithm's name."""
    return hashlib.sha256(f"{digest.names} {digest.rows}".encode()).hexdigest()[:32]


def version_in_dagster(small: SmallGraph, result: ExecuteInProcessResult) -> str | None:
    """Return the data version that a run reported of the prices."""
    assert result.success
    record = small.instance.get_latest_data_version_record(AssetKey("prices"), partition_key="mon")
    assert record is not None
    assert record.asset_materialization is not None
    return (record.asset_materialization.tags or {}).get("dagster/data_version")


def test_an_upgrade_makes_no_commit_where_the_rows_are_the_same(
    small: SmallGraph, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(ContentDigest, "version", as_before_there_were_names)
        version = version_in_dagster(small, small.publish("mon", 1, 2))
    stored = read_manifest(lake.path(MAIN, "prices/partition=mon"))
    assert stored.data_version == version
    head = lake.head(MAIN)
    for _ in range(2):
        assert version_in_dagster(small, small.publish("mon", 1, 2)) == version
    assert lake.head(MAIN) == head


def test_an_upgrade_does_not_hide_a_correction(small: SmallGraph, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(ContentDigest, "version", as_before_there_were_names)
        version = version_in_dagster(small, small.publish("mon", 1, 2))
    assert version_in_dagster(small, small.publish("mon", 1, 3)) != version
    assert read_manifest(lake.path(MAIN, "prices/partition=mon")).data_version.startswith("rows1:")
    prices = Path(lake.path(MAIN, "prices/partition=mon").root)
    assert list(pandas.read_parquet(prices)["price"]) == [1, 3]


def test_a_text_that_moves_to_an_empty_column_is_published(small: SmallGraph, lake: Lake) -> None:
    file = small.source / "mon.csv"
    heads: list[str] = []
    for row in ("DE1,,1,mon", ",DE1,1,mon"):
        file.write_text(f"isin,name,price,partition\n{row}\n")
        assert small.run("raw", "prices", "prices_published", partition_key="mon").success
        heads.append(lake.head(MAIN).id)
    assert heads[0] != heads[1]
