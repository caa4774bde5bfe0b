"""Frames of the pandas API on Spark: through the IO managers, and every call of the page about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas
import pytest
from pyarrow.fs import LocalFileSystem

from lake_assets.quality import profile
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.graph_fixtures import Graph

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def session(spark: SparkSession) -> Iterator[SparkSession]:
    from lake_assets.spark.pandas_api import activate

    yield activate(spark)
    activate(spark)


def run_page(page: str, blocks: int | None = None, **names: Any) -> None:
    """Run the blocks of a page, or the first ones, as one program."""
    text = (REPOSITORY_ROOT / "docs" / page).read_text()
    known: dict[str, Any] = {"__name__": "page", **names}
    found = re.finditer(r"^```py\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in islice(found, blocks):
        # The lines that an error names are those of the page.
        above = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(above + block[1], page, "exec"), known)


@pytest.mark.soak
def test_the_page_runs(session: SparkSession, tmp_path: Path, make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(STOCKS_ROWS="300")
    assert graph.run("2017-07-28-08:00").success
    stocks = graph.lake.path("main", "stocks_parquet").uri
    run_page("pandas-on-spark.md", session=session, folder=tmp_path.as_uri(), stocks=stocks)


def test_the_page_about_classic_spark_begins(session: SparkSession, tmp_path: Path) -> None:
    run_page("spark-by-example.md", 1, spark=session, folder=tmp_path.as_uri())


@pytest.mark.soak
def test_the_page_about_classic_spark_runs(session: SparkSession, tmp_path: Path) -> None:
    run_page("spark-by-example.md", spark=session, folder=tmp_path.as_uri())


@pytest.mark.soak
def test_frames_are_written_and_read_without_their_index_or_with_it(session: SparkSession, tmp_path: Path) -> None:
    from lake_assets.frames.parquet import FolderPlace, ParquetRows, find_folders
    from lake_assets.frames.parquet_writing import ParquetTarget
    from lake_assets.frames.registry import library_of_annotation, library_of_value
    from lake_assets.spark.pandas_api import pandas_session

    pandas_session(session)
    import pyspark.pandas as ps

    frame: Any = ps.from_pandas(pandas.DataFrame({"isin": ["a", "b", "a"], "price": [1.0, 2.0, 4.0]}))
    library = library_of_value(frame)
    assert library is not None
    assert library is library_of_annotation(ps.DataFrame)
    for number, (given, columns) in enumerate(
        [(frame, ["isin", "price"]), (frame.groupby("isin")[["price"]].max(), ["isin", "price"])]
    ):
        place = tmp_path / str(number)
        place.mkdir()
        target = ParquetTarget(LocalFileSystem(), str(place), None)
        schema, contents = library.write_parquet(given, target)
        assert schema.names == columns
        assert [content.rows for content in contents.values()] == [len(given)]
        folders = find_folders(LocalFileSystem(), [FolderPlace(str(place), place.as_uri(), {})])
        read = library.read_parquet(ParquetRows(LocalFileSystem(), folders, None), lambda: session)
        assert library.is_frame(read)
        assert sorted(read["price"].to_list()) == sorted(given["price"].to_list())


def test_its_profile_is_that_of_the_same_pandas_frame(spark: SparkSession) -> None:
    import pyspark.pandas as ps

    from lake_assets.spark.pandas_api import pandas_session

    pandas_session(spark)
    rows = pandas.DataFrame({"isin": ["DE1", "DE2", None], "price": [1.5, -2.0, 4.0]})
    found, same = profile(ps.from_pandas(rows)), profile(rows)
    assert found.rows == same.rows == 3
    for name in rows.columns:
        assert (found.columns[name].count, found.columns[name].min) == (
            same.columns[name].count,
            same.columns[name].min,
        )
