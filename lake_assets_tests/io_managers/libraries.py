"""Every kind of frame that IO managers know: made from an Arrow table, and turned into one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas
import pyarrow as pa
import pyspark.sql
import pytest

from lake_assets.frames.pandas import to_arrow
from lake_assets_tests.io_managers.typed_values import pandas_frame, spark_frame

try:
    import polars
except ModuleNotFoundError:
    polars = None

NO_POLARS = "polars is not installed: the version that is supported wants Python 3.11"


@dataclass(frozen=True)
class Library:
    """One kind of frame.

    Parameters
    ----------
    annotation
        Its class.
    make
        Makes a frame of a table.
    rows
        Returns a frame's rows.
    class_of
        Returns what the library calls the type of a column.
    """

    annotation: type
    make: Callable[[pa.Table], Any]
    rows: Callable[[Any], pa.Table]
    class_of: Callable[[Any, str], str]


def _session() -> pyspark.sql.SparkSession:
    session = pyspark.sql.SparkSession.getActiveSession()
    assert session is not None
    return session


def _arrow_class(frame: Any, name: str) -> str:
    return str(frame.schema.field(name).type)


LIBRARIES = {
    "pandas": Library(pandas.DataFrame, pandas_frame, to_arrow, lambda frame, name: str(frame.dtypes[name])),
    "Spark": Library(
        pyspark.sql.DataFrame,
        lambda rows: spark_frame(_session(), rows),
        lambda frame: frame.toArrow(),
        lambda frame, name: frame.schema[name].dataType.simpleString(),
    ),
    "pyarrow.Table": Library(pa.Table, lambda rows: rows, lambda frame: frame, _arrow_class),
    "pyarrow.RecordBatchReader": Library(
        pa.RecordBatchReader, lambda rows: rows.to_reader(5), lambda frame: frame.read_all(), _arrow_class
    ),
}
if polars is not None:
    LIBRARIES |= {
        "polars.DataFrame": Library(
            polars.DataFrame,
            polars.from_arrow,
            lambda frame: frame.to_arrow(),
            lambda frame, name: str(frame.schema[name]),
        ),
        "polars.LazyFrame": Library(
            polars.LazyFrame,
            lambda rows: polars.DataFrame(polars.from_arrow(rows)).lazy(),
            lambda frame: frame.collect().to_arrow(),
            lambda frame, name: str(frame.collect_schema()[name]),
        ),
    }
WITHOUT_SPARK = tuple(name for name in LIBRARIES if name != "Spark")
EACH_WITHOUT_SPARK = [
    *WITHOUT_SPARK,
    *(
        pytest.param(name, marks=pytest.mark.skip(reason=NO_POLARS))
        for name in ("polars.DataFrame", "polars.LazyFrame")
        if polars is None
    ),
]
"""For `pytest.mark.parametrize`: what is not installed is skipped, and says why."""
