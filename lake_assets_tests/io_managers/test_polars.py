"""What Polars alone has: types that the lake has not, and frames that are read when they are collected."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pytest
from dagster import AssetsDefinition, asset

from lake_assets.frames.stored_types import RefusedColumn
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.libraries import NO_POLARS
from lake_assets_tests.io_managers.test_frame_libraries import DAYS, ROWS, annotated, bars, reading

polars = pytest.importorskip("polars", reason=NO_POLARS)

REFUSED = {
    "a time of day": polars.Series([time(1)]),
    "an interval": polars.Series([timedelta(1)]),
    "objects": polars.Series([object()], dtype=polars.Object),
    "128 bits": polars.Series([1], dtype=polars.Int128),
    "unsigned beyond int64": polars.Series([2**64 - 1], dtype=polars.UInt64),
    "below the microsecond": polars.Series([1], dtype=polars.Datetime("ns")),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("lazy", [False, True])
def test_what_polars_has_and_the_lake_has_not_is_refused_by_name(workbench: Workbench, name: str, lazy: bool) -> None:
    frame = polars.DataFrame({"bad": REFUSED[name]})
    with pytest.raises(RefusedColumn, match=r"^column 'bad' "):
        workbench.run(bars(frame.lazy() if lazy else frame))


KEPT = {
    "categories": (polars.Series(["a"], dtype=polars.Categorical), ["a"]),
    "an enumeration in a list": (polars.Series([["a"]], dtype=polars.List(polars.Enum(["a"]))), [["a"]]),
    "an array": (polars.Series([[1, 2]], dtype=polars.Array(polars.Int8, 2)), [[1, 2]]),
    "a time of a zone": (
        polars.Series([datetime(2024, 7, 1)]).dt.replace_time_zone("Europe/Berlin"),
        [datetime.fromisoformat("2024-07-01T00:00:00+02:00")],
    ),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("lazy", [False, True])
def test_what_polars_spells_otherwise_is_stored_as_the_plain_type(workbench: Workbench, name: str, lazy: bool) -> None:
    series, values = KEPT[name]
    frame, seen = polars.DataFrame({"kept": series}), list[pa.Table]()
    workbench.run(bars(frame.lazy() if lazy else frame), reading("pyarrow.Table", seen))
    assert seen[0]["kept"].to_pylist() == values


def test_a_lazy_frame_scans_files_and_reads_the_commit_that_it_was_given(workbench: Workbench) -> None:
    frames: list[Any] = []

    @asset
    def reader(bars: Any) -> None:
        frames.append(bars)
        assert "Parquet SCAN" in bars.explain()
        # Somebody publishes something else meanwhile.
        workbench.publish(workbench.run(_bars_of(ROWS.slice(1))))
        assert len(bars.collect()) == 2
        assert bars.filter(polars.col("Trades") == 4).select("ISIN").collect().rows() == [("CH0011075394",)]

    reader = annotated(reader.op.compute_fn.decorated_fn, polars.LazyFrame)  # type: ignore[union-attr]
    workbench.publish(workbench.run(bars(ROWS)))
    assert workbench.run(bars(ROWS), reader, selection=["reader"]).success


def test_a_lazy_frame_of_files_that_differ_reads_only_what_is_wanted(workbench: Workbench) -> None:
    for day, rows in {
        "27": pa.table({"a": pa.array([1], pa.int8())}),
        "28": pa.table({"a": [2**40], "b": ["x"]}),
    }.items():
        workbench.publish(workbench.run(bars(rows, partitions_def=DAYS), partition_key=f"2017-07-{day}"))

    def reader(bars: Any) -> None:
        assert bars.collect().rows() == [(1, None, "2017-07-27"), (2**40, "x", "2017-07-28")]
        assert bars.select(polars.len()).collect().item() == 2
        assert bars.select("day").head(1).collect().rows() == [("2017-07-27",)]
        assert bars.filter(polars.col("b").is_not_null()).select("a").collect().rows() == [(2**40,)]

    made = bars(ROWS, partitions_def=DAYS)
    assert workbench.run(made, annotated(reader, polars.LazyFrame), selection=["reader"]).success


def _bars_of(rows: pa.Table) -> AssetsDefinition:
    return bars(rows)
