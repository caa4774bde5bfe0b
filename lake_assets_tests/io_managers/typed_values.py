"""Values of every type that can be stored, and columns that are refused: what docs/types.md is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas
import pyarrow as pa

from lake_assets.frames.spark_columns import spark_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

UTC = timezone.utc
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)
FIRST = datetime(1, 1, 1)
NEAR = [datetime(2017, 7, 28, 8, 0, 0, 1), datetime(1700, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 999999)]
NEAR += [datetime(1950, 4, 2, 2, 30), datetime(2262, 4, 11)]
"""Times that 64 bits of nanoseconds hold."""
TEXTS = [
    "plain",
    'quote " and, comma',
    "line\nend",
    "line\r\nend",
    "\\back\\",
    "ünï",
    " spaces ",
    "a\rb",
    "'",
    "1e5",
    "null",
]


@dataclass(frozen=True)
class Values:
    """One type, and values of it; each begins with a value and ends with a null."""

    name: str
    kind: pa.DataType
    values: list[Any]
    expression: str = ""
    """How Spark says the same, where it takes no such column from Arrow."""

    @property
    def array(self) -> pa.Array:
        """The values, as many as the table has rows."""
        given = [*self.values, *[self.values[0]] * (SIZE - 1 - len(self.values)), None]
        return pa.array(given, self.kind)


SIZE = 13
"""Rows of the table: as many as the type of most values needs, and a null."""
LIST_OF_NULLS = "case `0` when 12 then null when 1 then array(null) else array() end"
STRUCT_WITH_A_NULL = "case `0` when 12 then null else struct(cast(1 as tinyint) as a, null as n) end"


def _integers(bits: int) -> list[int]:
    return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0, 4]


VALUES = [
    Values("bool", pa.bool_(), [True, False]),
    *(Values(f"int{bits}", getattr(pa, f"int{bits}")(), _integers(bits)) for bits in (8, 16, 32)),
    Values("int64", pa.int64(), [2**53 + 1, *_integers(64)]),
    Values("float32", pa.float32(), [0.1, -0.0, float("inf"), float("nan"), 3.4028235e38, 1e-45]),
    Values("float64", pa.float64(), [0.1, 1e22, -0.0, float("-inf"), float("nan"), 5e-324, 4.0]),
    Values("decimal(38, 10)", pa.decimal128(38, 10), [Decimal("1.5"), Decimal("-" + "9" * 28 + "." + "9" * 10)]),
    Values("decimal(38, 38)", pa.decimal128(38, 38), [Decimal("1E-38"), Decimal("0." + "9" * 38)]),
    Values("decimal(9, 2)", pa.decimal128(9, 2), [Decimal("-1.50"), Decimal("1234567.89")]),
    Values("text", pa.string(), TEXTS),
    Values("binary", pa.binary(), [b"\x00\xff", b"", b"abc"]),
    Values("date", pa.date32(), [date(1, 1, 1), date(9999, 12, 31), date(1582, 10, 10), date(2017, 7, 28)]),
    Values(
        "timestamp without zone", pa.timestamp("us"), [FIRST, LAST, datetime(1582, 10, 10, 1), datetime(2300, 1, 1)]
    ),
    Values(
        "timestamp with zone",
        pa.timestamp("us", "UTC"),
        [FIRST.replace(tzinfo=UTC), LAST.replace(tzinfo=UTC), datetime(1600, 2, 29, 0, 0, 0, 1, tzinfo=UTC)],
    ),
    *(
        Values(f"timestamp {zone} zone, 1700 to 2262", pa.timestamp("us", "UTC" if zone == "with" else None), NEAR)
        for zone in ("without", "with")
    ),
    Values("null", pa.null(), [None], "null"),
    Values("list", pa.list_(pa.int64()), [[1, None, 2**53 + 1], []]),
    Values("list of text", pa.list_(pa.string()), [["", None, "a,b"], []]),
    Values("list of structs", pa.list_(pa.struct([("a", pa.timestamp("us", "UTC"))])), [[{"a": None}, None], []]),
    Values("list of nulls", pa.list_(pa.null()), [[], [None]], LIST_OF_NULLS),
    Values(
        "struct",
        pa.struct([("a.b", pa.int32()), ("t", pa.timestamp("us"))]),
        [{"a.b": 1, "t": LAST}, {"a.b": None, "t": None}],
    ),
    Values(
        "struct with a null", pa.struct([("a", pa.int8()), ("n", pa.null())]), [{"a": 1, "n": None}], STRUCT_WITH_A_NULL
    ),
    Values("map", pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], []]),
    Values("map of lists", pa.map_(pa.date32(), pa.list_(pa.float64())), [[(date(1, 1, 1), [0.5, None])], []]),
]

NAMES = ["a.b", "c`d", "e f", "ü", "a=b", "_x", ".h", 'q"r', "s;t,u{}()\n\tv", "[w]", "%41", "a/b", "_metadata", "k'"]
NAMES += ["$x", "x*?", "\\y", "day ", "0", "Z"]
"""Columns' names that something or other takes for more than a name."""


def table() -> pa.Table:
    """Return a column a type, and integers under every odd name."""
    columns = {values.name: values.array for values in VALUES}
    return pa.table({**columns, **{name: pa.array(range(SIZE)) for name in NAMES}})


def pandas_frame(rows: pa.Table) -> pandas.DataFrame:
    """Return rows as a frame of pandas."""
    return rows.to_pandas(types_mapper=pandas.ArrowDtype)


def spark_frame(session: SparkSession, rows: pa.Table) -> DataFrame:
    """Return rows as a frame of Spark."""
    from pyspark.sql import functions as sf
    from pyspark.sql.types import StructField, StructType

    said = {
        values.name: values.expression for values in VALUES if values.expression and values.name in rows.schema.names
    }
    given = rows.drop_columns(list(said))
    schema = StructType([StructField(field.name, spark_type(field.type)) for field in given.schema])
    frame = session.createDataFrame(given, schema)
    columns = [
        sf.expr(said[name]) if name in said else sf.col("`" + name.replace("`", "``") + "`")
        for name in rows.schema.names
    ]
    return frame.select(*[column.alias(name) for column, name in zip(columns, rows.schema.names, strict=True)])


def spelt(column: pa.ChunkedArray | pa.Array) -> str:
    """Return a column's values as text, by which NaN is NaN, -0.0 is not 0.0, and a zone is its offset."""
    return str([_plain(value) for value in column.to_pylist()])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
