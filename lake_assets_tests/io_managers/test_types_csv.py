"""CSV is read by the types in its manifest, by column name, with quotes and line ends as RFC 4180."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pyspark.sql
import pytest
from dagster import AssetsDefinition, StaticPartitionsDefinition, asset

from lake_assets.frames.pandas import to_arrow
from lake_assets.io_managers.raw_file import RawFile
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.typed_values import NAMES, VALUES, pandas_frame, spark_frame, spelt, table

ENGINES = ("pandas", "spark")
HELD = [values.name for values in VALUES if not pa.types.is_nested(values.kind) and not pa.types.is_binary(values.kind)]
DAYS = StaticPartitionsDefinition(["mon", "tue"])
BOTH = {"dagster/asset_partition_range_start": "mon", "dagster/asset_partition_range_end": "tue"}

pytestmark = pytest.mark.usefixtures("spark")


def frame_of(spark: Any, engine: str, rows: pa.Table) -> Any:
    return pandas_frame(rows) if engine == "pandas" else spark_frame(spark, rows)


def stored(rows: Any, **options: Any) -> Any:
    @asset(name="prices", io_manager_key="lake_file_io_manager", **options)
    def prices() -> Any:
        return rows

    return prices


def files(tmp_path: Path, rows: int = 1, **texts: str) -> AssetsDefinition:
    """Return an asset of raw files that somebody else wrote, one a partition."""

    @asset(name="prices", io_manager_key="lake_file_io_manager", partitions_def=DAYS)
    def prices() -> Any:
        raw: dict[str, RawFile] = {}
        for key, text in texts.items():
            (tmp_path / f"{key}.csv").write_bytes(text.encode())
            raw[key] = RawFile(f"{key}.csv", tmp_path / f"{key}.csv", rows, hashlib.sha256(text.encode()).hexdigest())
        return raw

    return prices


def readers(seen: dict[str, pa.Table], **options: Any) -> list[AssetsDefinition]:
    """Return assets that read `prices`, one an engine."""

    def reader(engine: str) -> AssetsDefinition:
        def read(prices: Any) -> None:
            seen[engine] = to_arrow(prices) if engine == "pandas" else prices.toArrow()

        read.__annotations__["prices"] = pandas.DataFrame if engine == "pandas" else pyspark.sql.DataFrame
        return asset(name=f"by_{engine}", **options)(read)

    return [reader(engine) for engine in ENGINES]


@pytest.mark.parametrize("writer", ENGINES)
def test_every_type_that_csv_holds_comes_back(spark: Any, workbench: Workbench, writer: str) -> None:
    wanted = table().select(HELD + NAMES)
    seen: dict[str, pa.Table] = {}
    workbench.run(stored(frame_of(spark, writer, wanted)), *readers(seen))
    for engine in ENGINES:
        rows = seen[engine]
        assert rows.schema.names == wanted.schema.names
        assert [name for name in HELD + NAMES if spelt(rows[name]) != spelt(wanted[name])] == []
        assert [str(kind) for kind in rows.schema.types] == [str(kind) for kind in wanted.schema.types]


def test_the_same_rows_have_one_version_whoever_wrote_them(spark: Any, workbench: Workbench) -> None:
    versions: set[str] = set()
    for engine in ENGINES:
        result = workbench.run(stored(frame_of(spark, engine, table().select(HELD))))
        tags = result.get_asset_materialization_events()[0].step_materialization_data.materialization.tags
        assert tags is not None
        versions.add(tags["dagster/data_version"])
    assert len(versions) == 1


@pytest.mark.parametrize("rows", [[1, None, 3], ["", "a"], [None, "a"]], ids=str)
def test_a_single_column_keeps_its_empty_lines(spark: Any, workbench: Workbench, rows: list[Any]) -> None:
    seen: dict[str, pa.Table] = {}
    workbench.run(stored(pandas_frame(pa.table({"n": rows}))), *readers(seen))
    assert [seen[engine].to_pydict() for engine in ENGINES] == [{"n": rows}] * 2


@pytest.mark.parametrize("writer", ENGINES)
@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("text", pa.array(["", None]), "holds null and empty text"),
        ("raw", pa.array([b"a", None]), "is binary"),
        ("list", pa.array([[1], None]), "is nested"),
    ],
)
def test_what_csv_cannot_hold_is_refused_by_column(
    spark: Any, workbench: Workbench, writer: str, name: str, values: pa.Array, reason: str
) -> None:
    rows = frame_of(spark, writer, pa.table({"n": [1, 2], name: values}))
    with pytest.raises(Exception, match=rf"column '{name}' {reason}.*parquet_io_manager"):
        workbench.run(stored(rows))


def test_integers_stay_integers(workbench: Workbench) -> None:
    frame = pandas.DataFrame({"n": pandas.array([2**53 + 1, None, 4], "Int64")})
    result = workbench.run(stored(frame))
    snapshot = workbench.lake.path(workbench.branch(result), "prices/prices.csv")
    assert Path(snapshot.root).read_text() == 'n\n9007199254740993\n""\n4\n'


@pytest.mark.parametrize("writer", ENGINES)
def test_one_run_over_several_partitions_writes_a_file_each(spark: Any, workbench: Workbench, writer: str) -> None:
    rows = pa.table({"n": [1, 2, 3], "partition": ["mon", "tue", "mon"]})
    seen: dict[str, pa.Table] = {}
    given = stored(frame_of(spark, writer, rows), partitions_def=DAYS)
    workbench.run(given, *readers(seen, partitions_def=DAYS), tags=BOTH)
    for engine in ENGINES:
        assert seen[engine].sort_by("n").to_pydict() == rows.to_pydict()


def test_partitions_are_read_by_column_name_and_have_their_columns(spark: Any, workbench: Workbench) -> None:
    monday = stored(pandas.DataFrame({"bid": [1], "ask": [2]}), partitions_def=DAYS)
    tuesday = stored(pandas.DataFrame({"ask": [4.5], "bid": [3], "size": ["x"]}), partitions_def=DAYS)
    seen: dict[str, pa.Table] = {}
    first = workbench.run(monday, *readers(seen, partitions_def=DAYS), partition_key="mon")
    one = {"bid": [1], "ask": [2], "partition": ["mon"]}
    assert [seen[engine].to_pydict() for engine in ENGINES] == [one, one]
    workbench.publish(first)
    with pytest.raises(Exception, match=r"column 'ask' is double in .*partition=tue.* and int64 in .*partition=mon"):
        workbench.run(tuesday, partition_key="tue")
    small = stored(pandas.DataFrame({"ask": [4], "bid": [3], "size": ["x"]}), partitions_def=DAYS)
    workbench.publish(workbench.run(small, partition_key="tue"))
    workbench.run(small, *readers(seen, partitions_def=DAYS), tags=BOTH, selection=["by_pandas", "by_spark"])
    both = {"bid": [1, 3], "ask": [2, 4], "size": [None, "x"], "partition": ["mon", "tue"]}
    assert [seen[engine].sort_by("bid").to_pydict() for engine in ENGINES] == [both, both]


def test_a_file_of_somebody_elses_is_text_by_column_name(spark: Any, workbench: Workbench, tmp_path: Path) -> None:
    monday = 'bid,ask,\r\n007,"2, ""so""\r\nto say",\r\n,\\,\r\n'
    tuesday = "\ufeffask,bid\n4,3\n\n5\n"
    seen: dict[str, pa.Table] = {}
    workbench.run(files(tmp_path, mon=monday, tue=tuesday), *readers(seen, partitions_def=DAYS), tags=BOTH)
    rows = {
        "bid": ["", "", "007", "3"],
        "ask": ["5", "\\", '2, "so"\r\nto say', "4"],
        "partition": ["tue", "mon", "mon", "tue"],
    }
    for engine in ENGINES:
        assert seen[engine].sort_by([("bid", "ascending"), ("ask", "ascending")]).to_pydict() == rows
    result = seen["pandas"]
    assert result.schema.types == [pa.string()] * 3


@pytest.mark.parametrize("reader", [0, 1], ids=ENGINES)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2,3\n", "more fields than the header's 2"),
        ("a,partition\n1,sunday\n", "column 'partition' has other values than its folder"),
        ("a,a\n1,2\n", "column 'a' occurs twice"),
    ],
)
def test_a_file_of_somebody_elses_is_not_read_wrong(
    workbench: Workbench, tmp_path: Path, reader: int, text: str, reason: str
) -> None:
    given = files(tmp_path, mon=text)
    with pytest.raises(Exception, match=reason):
        workbench.run(given, readers({}, partitions_def=DAYS)[reader], partition_key="mon")


# Frames of programs before the types stood in the manifest

OLD = {
    "n": [1, 2],
    "price": [0.1, None],
    "name": ['a "b",\n', None],
    "note": ["", "x"],
    "yes": [True, False],
    "day": pandas.to_datetime(["2017-07-28", "2017-07-29"]),
    "at": pandas.to_datetime(["2017-07-28 08:00:00.5+00:00", None]),
    "partition": ["mon", "mon"],
}


@pytest.mark.parametrize("zone", ["+00:00", ""], ids=["pandas", "Spark"])
def test_an_upgrade_makes_no_commit_where_a_frame_is_the_same(workbench: Workbench, tmp_path: Path, zone: str) -> None:
    old = pandas.DataFrame(OLD)
    text = old.to_csv(index=False).replace("+00:00", zone)
    workbench.publish(workbench.run(files(tmp_path, 2, mon=text), partition_key="mon"))
    head = workbench.lake.head("main").id
    same = workbench.run(stored(old, partitions_def=DAYS), partition_key="mon")
    assert workbench.lake.head(workbench.branch(same)).id == head
    for name, value in (("n", 3), ("price", 0.2), ("name", "b"), ("yes", False), ("at", None)):
        other = old.copy()
        other.loc[0, name] = value
        changed = workbench.run(stored(other, partitions_def=DAYS), partition_key="mon")
        assert workbench.lake.head(workbench.branch(changed)).id != head
    for other in (old.rename(columns={"n": "m"}), old.drop(columns="n"), old.astype({"n": str, "price": str})):
        changed = workbench.run(stored(other, partitions_def=DAYS), partition_key="mon")
        assert workbench.lake.head(workbench.branch(changed)).id != head


def test_an_old_frame_takes_the_types_of_those_beside_it(spark: Any, workbench: Workbench, tmp_path: Path) -> None:
    seen: dict[str, pa.Table] = {}
    workbench.publish(workbench.run(files(tmp_path, mon="n,note,more\n1,,x\n"), partition_key="mon"))
    tuesday = stored(
        pandas.DataFrame({"n": [2], "note": [None]}, dtype="object").astype({"n": int, "note": "string"}),
        partitions_def=DAYS,
    )
    workbench.publish(workbench.run(tuesday, partition_key="tue"))
    workbench.run(tuesday, *readers(seen, partitions_def=DAYS), tags=BOTH, selection=["by_pandas", "by_spark"])
    both = {"n": [1, 2], "note": ["", None], "more": ["x", None], "partition": ["mon", "tue"]}
    assert [seen[engine].sort_by("n").to_pydict() for engine in ENGINES] == [both, both]
