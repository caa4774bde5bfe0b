"""A lake of format 1 is brought to format 2: each file to its place, the same bytes, and who made it is still known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetsDefinition,
    DailyPartitionsDefinition,
    Definitions,
    HourlyPartitionsDefinition,
    asset,
)

from lake_assets.lake.contract import Lake
from lake_assets.layout.partitions import folders
from lake_assets.runs.migration import apply, migrate_main, old_folder, plan
from lake_assets.runs.provenance import places_of, trace_makers
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place, paths, put, read

DAYS = DailyPartitionsDefinition("2024-03-01", timezone="Europe/Berlin")
HOURS = HourlyPartitionsDefinition("2024-10-26-00:00", timezone="Europe/Berlin")
UTC = HourlyPartitionsDefinition("2024-10-26-00:00")
BERLIN_HOURS = ["2024-10-27-00:00", "2024-10-27-01:00", "2024-10-27-02:00+0100", "2024-10-27-03:00"]


def asset_of(key: list[str], definition: Any = None) -> AssetsDefinition:
    """Return an asset of that key."""

    @asset(key=AssetKey(key), partitions_def=definition)
    def made() -> None: ...

    return made


ASSETS = [
    asset_of(["a", "b"], UTC),
    asset_of(["a", "b", "c"]),
    asset_of(["days"], DAYS),
    asset_of(["hours"], HOURS),
    asset_of(["flat"], UTC),
    asset_of(["counts"]),
]
GRAPH = Definitions(assets=ASSETS).resolve_asset_graph()


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """A lake as format 1 laid it out, every place of a commit of its own."""
    lake = LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()
    lake.create_branch("run-1", "main")
    wanted = {
        "a/b": ["day=2024-10-26/hour=08"],
        "a/b/c": [""],
        "days": [old_folder(DAYS, day) for day in ("2024-03-30", "2024-03-31", "2024-04-01")],
        "hours": [old_folder(HOURS, hour) for hour in BERLIN_HOURS],
        "flat": ["day=2024-10-26/hour=08"],
    }
    for prefix, places in wanted.items():
        for place in places:
            files = {"part-0.parquet": f"{prefix} {place}", "_manifest.json": "{}"}
            options: dict[str, Any] = {"partitions": [place]} if place else {}
            files = {f"{place}/{name}" if place else name: text for name, text in files.items()}
            if prefix == "a/b":
                put(lake, "run-1", prefix, files, mode="append", metadata={"asset": prefix, "of": place}, **options)
            else:
                put(lake, "run-1", prefix, files, metadata={"asset": prefix, "of": place}, **options)
    listed = {"counts/part-0.parquet": 4, "checkpoint/offsets/0": 3, "position.json": 2}
    stream = {**{name: "x" * size for name, size in listed.items()}}
    manifest = json.dumps({"rows": 1, "data_version": "v", "files": listed})
    put(lake, "run-1", "counts", {**stream, "_manifest.json": manifest}, metadata={"asset": "counts", "of": ""})
    lake.merge("run-1", "main", audit=TESTS)
    yield lake
    lake.close()


def test_each_file_is_moved_to_its_place_with_who_made_it(lake: Lake) -> None:
    before = {path: text for prefix in ("a", "days", "hours", "flat") for path, text in _files(lake, prefix).items()}
    migrate_main(lake, plan(lake, GRAPH, "main"), "ann")
    days = folders(DAYS, ["2024-03-30", "2024-03-31", "2024-04-01"])
    hours = folders(HOURS, BERLIN_HOURS)
    moved = {"a.b/day=2024-10-26/hour=08": "a/b/day=2024-10-26/hour=08", "a.b.c": "a/b/c"}
    moved |= {f"days/{place}": f"days/{old_folder(DAYS, day)}" for day, place in days.items()}
    moved |= {f"hours/{place}": f"hours/{old_folder(HOURS, hour)}" for hour, place in hours.items()}
    moved |= {"flat/day=2024-10-26/hour=08": "flat/day=2024-10-26/hour=08"}
    for new, old in moved.items():
        assert read(lake, "main", new) == {
            path.rpartition("/")[2]: text for path, text in before.items() if path.rpartition("/")[0] == old
        }
    expected = {f"{new}/{name}" for new in moved for name in ("part-0.parquet", "_manifest.json")}
    expected |= {"counts/part-0.parquet", "counts/_manifest.json"}
    expected |= {"_beside/counts/checkpoint/offsets/0", "_beside/counts/position.json"}
    assert set(paths(lake, "main")) == expected
    found = trace_makers(lake, "main", places_of(lake.list("main")))
    assert {place: (made.commit.metadata["asset"], made.place) for place, made in found.items()} == {
        **{new: (_asset(old), old) for new, old in moved.items()},
        "counts": ("counts", "counts"),
    }
    manifest = json.loads(read(lake, "main", "counts")["_manifest.json"])
    assert manifest["files"] == {"part-0.parquet": 4}
    assert manifest["beside"] == {"checkpoint/offsets/0": 3, "position.json": 2}
    assert (manifest["rows"], manifest["data_version"]) == (1, "v")


def test_a_second_time_there_is_nothing_to_move(lake: Lake) -> None:
    migrate_main(lake, plan(lake, GRAPH, "main"), "ann")
    assert plan(lake, GRAPH, "main") == []
    assert plan(lake, GRAPH, "run-1") != []
    apply(lake, "run-1", plan(lake, GRAPH, "run-1"))
    assert plan(lake, GRAPH, "run-1") == []
    assert not lake.diff("main", "run-1")


def _files(lake: Lake, prefix: str) -> dict[str, str]:
    return {f"{prefix}/{path}": text for path, text in read(lake, "main", prefix).items()}


def _asset(place: str) -> str:
    return place.partition("/day=")[0]
