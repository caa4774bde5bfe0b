"""docs/types.md, from what happens: each type is written and read by each library, in each storage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from dagster import asset

from lake_assets.frames.promotions import promoted
from lake_assets.frames.spark_columns import spark_type
from lake_assets.frames.stored_types import RefusedColumn, stored_type
from lake_assets.nosql.contract import SchemaMismatch
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.libraries import LIBRARIES
from lake_assets_tests.io_managers.typed_values import NAMES, VALUES, spelt, table

STORAGES = {
    "Parquet": ("parquet_io_manager", {}),
    "ORC": ("parquet_io_manager", {"format": "orc"}),
    "CSV with `format`": ("parquet_io_manager", {"format": "csv"}),
    "CSV": ("lake_file_io_manager", {}),
    "NoSQL on LMDB": ("nosql_io_manager", {"nosql/key": "0", "nosql/mode": "overwrite"}),
    "NoSQL on DynamoDB": ("dynamodb_io_manager", {"nosql/key": "0", "nosql/mode": "overwrite"}),
}
"""Storage to the key of its IO manager, and the metadata of an asset."""
DYNAMODB = "NoSQL on DynamoDB"
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
    "integers of 128 bits, objects in Polars": "refused",
    "Python objects of no or of several types, in lists and dicts, too": "refused",
}


@dataclass
class Seen:
    """What happened in one storage: type to the outcome of each writer and reader, and to each reader's class."""

    cells: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    classes: dict[str, dict[str, str]] = field(default_factory=dict)


def observe(workbench: Workbench, *storages: str) -> dict[str, Seen]:
    """Write and read everything in these storages."""
    return {storage: _observe(workbench, storage) for storage in storages}


def _observe(workbench: Workbench, storage: str) -> Seen:
    wanted, seen = table(), Seen({values.name: {} for values in VALUES}, {values.name: {} for values in VALUES})
    for writer, library in LIBRARIES.items():
        names, refused = list(wanted.schema.names), set[str]()
        while True:
            found: dict[str, pa.Table] = {}
            try:
                _run(workbench, storage, library.make(wanted.select(names)), found, seen)
                break
            except (RefusedColumn, SchemaMismatch) as error:
                named = re.search(r"column '([^']+)'", str(error))
                if named is None:
                    raise
                names.remove(named[1])
                refused.add(named[1])
        for values in VALUES:
            for reader in LIBRARIES:
                equal = values.name in names and spelt(found[reader][values.name]) == spelt(wanted[values.name])
                cell = "refused" if values.name in refused else "equal" if equal else "DIFFERENT"
                seen.cells[values.name][writer, reader] = cell
        for name in NAMES:
            assert all(spelt(found[reader][name]) == spelt(wanted[name]) for reader in LIBRARIES), name
    return seen


def _run(workbench: Workbench, storage: str, frame: Any, found: dict[str, pa.Table], seen: Seen) -> None:
    def reader(name: str) -> Any:
        library = LIBRARIES[name]

        def read(wide: Any) -> None:
            assert isinstance(wide, library.annotation)
            for values in VALUES:
                seen.classes[values.name].setdefault(name, "-")
            for column in _columns(wide):
                if column in seen.classes:
                    seen.classes[column][name] = library.class_of(wide, column)
            found[name] = library.rows(wide).sort_by(KEY)

        read.__annotations__["wide"] = library.annotation
        return asset(name=f"by_{name.replace('.', '_')}")(read)

    manager, metadata = STORAGES[storage]

    @asset(io_manager_key=manager, metadata=metadata)
    def wide() -> Any:
        return frame

    workbench.run(wide, *map(reader, LIBRARIES))


def _columns(frame: Any) -> list[str]:
    if hasattr(frame, "collect_schema"):
        return frame.collect_schema().names()
    return list(frame.columns) if hasattr(frame, "dtypes") else frame.schema.names


def render(page: str, seen: dict[str, Seen]) -> str:
    """Return the page with what was seen. What it says of other storages stays as it was."""
    parts = [_storage(name, seen[name]) if name in seen else _section(page, name) for name in STORAGES]
    frames = _FRAMES + _table(["what a frame has", "is stored as"], [list(row) for row in ODD.items()])
    promotions = _PROMOTIONS + _table(["one partition", "another", "read as"], _promotions())
    return "\n".join([_HEAD, *parts, frames, promotions])


def _section(page: str, heading: str) -> str:
    found = re.search(rf"^## {heading}\n.*?\n(?=\n## )", page, re.MULTILINE | re.DOTALL)
    return found[0].rstrip("\n") + "\n" if found else ""


def _storage(storage: str, found: Seen) -> str:
    cells = [[name, *(_cell(pairs, writer) for writer in LIBRARIES)] for name, pairs in found.cells.items()]
    classes = [
        [name, *(kinds[library] for library in LIBRARIES)]
        for name, kinds in found.classes.items()
        if set(kinds.values()) != {"-"}
    ]
    return (
        f"## {storage}\n\n{_NOTES[storage]}\n\n"
        + _table(["type", *(f"from {writer}" for writer in LIBRARIES)], cells)
        + "\nWhat a column is in the frame that is read:\n\n"
        + _table(["type", *LIBRARIES], classes)
    )


def _cell(pairs: dict[tuple[str, str], str], writer: str) -> str:
    """Return what happens to a writer's values: one word where it is the same for every reader."""
    outcomes = {reader: pairs[writer, reader] for reader in LIBRARIES}
    if len(set(outcomes.values())) == 1:
        return outcomes[writer]
    return ", ".join(f"{outcome} to {reader}" for reader, outcome in outcomes.items())


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

A stored value comes back as the same value in every library, or the write is refused. The refusal
names the column and what to do. This page is made by
`UPDATE_TYPES_PAGE=1 pytest lake_assets_tests/io_managers/test_types_page.py`, which otherwise
checks it: every cell is a value that was written and read.

A cell stands for one writer and every reader: pandas, Spark, `pyarrow.Table`,
`pyarrow.RecordBatchReader`, `polars.DataFrame` and `polars.LazyFrame`. `equal` says that each of
them read the value that was written, `refused` that nothing was written. Where readers differ, the
cell names each.

- Dates and timestamps (in microseconds) are of the years 1 to 9999; others are refused. One with a
  zone is an instant, and is read in UTC.
- Columns may have any names. Two that differ in case only are refused: Spark and DuckDB would not
  tell them apart.
- A partition's columns are in no file. Our loaders always add them, as text, at the end. Where a
  frame has such a column itself, it must say what the folder says.
- In pandas each column is read as a `pandas.ArrowDtype`, whatever it holds: integers stay integers
  beside nulls (`pandas.NA`), and a null is no NaN. In the other libraries it is the type of the
  same name. None of this depends on the data.
- The same rows have the same content version, whichever library wrote them.
- A `RecordBatchReader` is written and read a batch at a time, and a `LazyFrame` is read when it is
  collected. Neither is ever in memory as a whole.
"""
_NOTES = {
    "Parquet": """pyarrow, DuckDB and `lake-assets cat` read the same values from the files themselves (tested, too).
INT96 in files of older lakes is read as timestamps. Spark has no type in Parquet for what holds
only nulls inside a list or struct: it reads integers there, all null.""",
    "ORC": """An asset is stored as ORC by the metadata `{"format": "orc"}` and `parquet_io_manager`. Content
versions are those of Parquet. Readers of ORC hold times in nanoseconds, so a time before 1677-09-21
or after 2262-04-11 is refused by column, and so is a column without a type. Here as in Parquet and
in CSV with `format`, Spark's workers write and read the files of Spark's frames.""",
    "CSV with `format`": """An asset is stored so by the metadata `{"format": "csv"}` and
`parquet_io_manager`. Content versions are those of Parquet. The manifest beside a file keeps the
types. A null is an empty field, an empty text is one in quotes: all our readers tell them apart. In
a file of one column each record ends with a comma, since readers skip empty lines. A record has at
most 64 MB. A folder may have several files.""",
    "CSV": """The manifest beside a file keeps the types, and columns are read by name. A column that has both
null and empty text is refused: CSV writes them alike. Quotes, commas and line ends are as in RFC
4180, in UTF-8. In a file that somebody else wrote every column is text, and empty fields are empty
texts. A record with more fields than its header is refused, unless these are empty. Spark's workers
read such files as all others do, by the same code. A partition is one file, so the driver writes
the rows of a frame of Spark, in batches.""",
    "NoSQL on LMDB": """\
A column of only nulls has no type there, and is refused by name, as maps are. Keys are integers or
text.""",
    DYNAMODB: """\
The same is refused as on LMDB, and an item over 400 kB. What other clients of DynamoDB see is told
in [Tables](tables.md#what-differs-on-dynamodb).""",
}
_FRAMES = """## What frames have besides

A named index of pandas is stored as columns. An index without a name is left out where it holds
integers, which only number the rows. Otherwise it is stored as `index` (`level_0`, …), as pandas'
`reset_index` names it. In a column of NumPy, NaN is how pandas writes null, and is stored as null.
NaN in Arrow's, pandas' nullable, Polars' and Spark's types is NaN. A column of Python objects takes
the type that all its values have; if all are None, it is null.

"""
_PROMOTIONS = """## Partitions that differ

Columns are read by name. Types widen where no value changes. Where no type holds the values of both
partitions, the write that would break reading is refused, and the message names the column and both
partitions. A write is compared with the asset's first sixteen partitions and the one written last.
What two runs write at once is refused by the reader.

"""
