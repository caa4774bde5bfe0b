"""docs/types.md, from what happens: each type is written and read by each library, in each storage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pandas
import pyarrow as pa
import pyspark.sql
from dagster import asset

from lake_assets.frames.pandas import to_arrow
from lake_assets.frames.promotions import promoted
from lake_assets.frames.spark import spark_type
from lake_assets.frames.stored_types import RefusedColumn, stored_type
from lake_assets.nosql.contract import SchemaMismatch
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.typed_values import NAMES, VALUES, pandas_frame, spark_frame, spelt, table

STORAGES = {"Parquet": "parquet_io_manager", "CSV": "lake_file_io_manager", "NoSQL": "nosql_io_manager"}
LIBRARIES: dict[str, type] = {"pandas": pandas.DataFrame, "Spark": pyspark.sql.DataFrame}
KEY = "0"

ODD = {
    "uint8, uint16, uint32": "the next wider signed integer",
    "uint64": "int64; refused where a value is beyond its range",
    "float16": "float32",
    "nanoseconds, milliseconds, seconds": "microseconds; refused where a value is lost",
    "a time zone": "the instant, in UTC",
    "categories, dictionaries": "their values",
    "large and fixed-size variants": "the plain type",
    "time of day, interval, variant, complex, period": "refused",
    "decimals of more than 38 digits": "refused",
    "a struct without fields": "refused",
    "Python objects of no or of several types, in lists and dicts, too": "refused",
}


@dataclass
class Seen:
    """What happened in one storage: type to the cell of each pair of writer and reader, and to the class read."""

    cells: dict[str, dict[str, str]] = field(default_factory=dict)
    classes: dict[str, dict[str, str]] = field(default_factory=dict)


def observe(spark: Any, workbench: Workbench) -> dict[str, Seen]:
    """Write and read everything."""
    return {storage: _observe(spark, workbench, manager) for storage, manager in STORAGES.items()}


def _observe(spark: Any, workbench: Workbench, manager: str) -> Seen:
    wanted, seen = table(), Seen({values.name: {} for values in VALUES}, {values.name: {} for values in VALUES})
    for writer in LIBRARIES:
        names, refused = list(wanted.schema.names), dict[str, str]()
        while True:
            rows = wanted.select(names)
            found: dict[str, pa.Table] = {}
            frame = pandas_frame(rows) if writer == "pandas" else spark_frame(spark, rows)
            try:
                _run(workbench, manager, frame, found, seen)
                break
            except (RefusedColumn, SchemaMismatch) as error:
                named = re.search(r"column '([^']+)'", str(error))
                if named is None:
                    raise
                names.remove(named[1])
                refused[named[1]] = "refused"
        for values in VALUES:
            for reader in LIBRARIES:
                equal = values.name in names and spelt(found[reader][values.name]) == spelt(wanted[values.name])
                cell = refused.get(values.name) or ("equal" if equal else "DIFFERENT")
                seen.cells[values.name][f"{writer} to {reader}"] = cell
        for name in NAMES:
            assert all(spelt(found[reader][name]) == spelt(wanted[name]) for reader in LIBRARIES), name
    return seen


def _run(workbench: Workbench, manager: str, frame: Any, found: dict[str, pa.Table], seen: Seen) -> None:
    def reader(library: str) -> Any:
        def read(wide: Any) -> None:
            rows = to_arrow(wide) if library == "pandas" else wide.toArrow()
            found[library] = rows.sort_by(KEY)
            for values in VALUES:
                if values.name in rows.schema.names:
                    kinds = wide.dtypes[values.name] if library == "pandas" else wide.schema[values.name].dataType
                    seen.classes[values.name][library] = str(kinds) if library == "pandas" else kinds.simpleString()

        read.__annotations__["wide"] = LIBRARIES[library]
        return asset(name=f"by_{library.lower()}")(read)

    @asset(io_manager_key=manager, metadata={"nosql/key": KEY, "nosql/mode": "overwrite"})
    def wide() -> Any:
        return frame

    workbench.run(wide, *map(reader, LIBRARIES))


def render(seen: dict[str, Seen]) -> str:
    """Return the page."""
    parts = [_HEAD]
    pairs = [f"{writer} to {reader}" for writer in LIBRARIES for reader in LIBRARIES]
    for storage, found in seen.items():
        rows = [
            [name, *(found.classes[name].get(library, "-") for library in LIBRARIES), *(cells[pair] for pair in pairs)]
            for name, cells in found.cells.items()
        ]
        header = ["type", "class in pandas", "class in Spark", *pairs]
        parts.append(f"## {storage}\n\n{_NOTES[storage]}\n\n{_table(header, rows)}")
    parts.append(_FRAMES + _table(["what a frame has", "is stored as"], [list(row) for row in ODD.items()]))
    parts.append(_PROMOTIONS + _table(["one partition", "another", "read as"], _promotions()))
    return "\n".join(parts)


def _promotions() -> list[list[str]]:
    kinds = [pa.int8(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.decimal128(12, 4)]
    kinds += [pa.string(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC")]
    rows = [
        ["null", "any type", "the other"],
        ["nothing: the column is not there", "any type", "the other, with nulls"],
    ]
    for at, left in enumerate(kinds):
        for right in kinds[at + 1 :]:
            assert stored_type(left) == left
            common = promoted(left, right)
            if common is not None or (pa.types.is_integer(left) and pa.types.is_floating(right)):
                rows.append([str(left), str(right), "refused" if common is None else spark_type(common).simpleString()])
    return [*rows, ["a list, map or struct", "the same of other types", "its parts by these rules, fields by name"]]


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines) + "\n"


_HEAD = """# Types

A stored value comes back as the same value in every engine, or the write is refused, and names the column and what to
do. This page is made by `UPDATE_TYPES_PAGE=1 pytest lake_assets_tests/io_managers/test_types_page.py`, which otherwise
checks it: every cell is a value that was written and read.

- Dates and timestamps (in microseconds) are of the years 1 to 9999; others are refused. One with a zone is an instant,
  and is read in UTC.
- Columns may have any names. Two that differ in case only are refused: Spark and DuckDB would not tell them apart.
- A partition's columns are in no file. Our loaders always add them, as text, at the end; a frame that has one itself
  must say there what
  the folder says.
- In pandas each column is read as a `pandas.ArrowDtype`, whatever it holds: integers stay integers beside nulls
  (`pandas.NA`), and a
  null is no NaN. In Spark it is the type of the same name. Neither depends on the data.
- The same rows have the same version, whichever library wrote them.
"""
_NOTES = {
    "Parquet": """pyarrow, DuckDB and `lake-assets cat` read the same values from the files themselves (tested, too).
Files of older lakes that
have INT96 are read right. What holds only nulls inside a list or struct is an integer to Spark, which has no such
type in Parquet.""",
    "CSV": """Types stand in the manifest beside the file, and columns go by name. A column that has both null and
empty text is refused: CSV
has one spelling for them. Quotes, commas and line ends are as in RFC 4180, in UTF-8. A file that somebody else wrote
is all text, and
empty fields are empty texts; a record with more fields than its header is refused, unless they are empty.""",
    "NoSQL": """A column of only nulls has no type there, and is refused with its name, as maps are. Keys are integers
or text.""",
}
_FRAMES = """## What frames have besides

A named index is stored as columns. One without a name is no data where it holds integers, which number the rows; else
it is stored as
`index` (`level_0`, …), as pandas' `reset_index` names it. NaN in a column of NumPy is how pandas says null, and is
stored as null; NaN of
Arrow's, pandas' nullable and Spark's types is NaN. A column of Python objects takes the type that all its values
have; of only None it is
null.

"""
_PROMOTIONS = """## Partitions that differ

Columns are read by name. Types widen where no value can change; what no type holds is refused by the write that would
break reading,
which names the column and both partitions. A write is compared with the asset's first sixteen partitions and the one
written last; what two
runs write at once is refused by the reader.

"""
