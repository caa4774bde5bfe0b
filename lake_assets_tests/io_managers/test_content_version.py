"""A content version is the same for the same rows, and another for others."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.io_managers.content_version import ContentDigest, version_of_files

TEXTS = st.text("ab\0é𝄞", max_size=9) | st.sampled_from(["a" * 64, "a" * 65, "a" * 64 + "b"])
MICROSECONDS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
LEAVES: list[tuple[pyarrow.DataType, st.SearchStrategy[Any]]] = [
    (pyarrow.null(), st.none()),
    (pyarrow.bool_(), st.booleans()),
    (pyarrow.int8(), st.integers(-(2**7), 2**7 - 1)),
    (pyarrow.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pyarrow.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pyarrow.uint16(), st.integers(0, 2**16 - 1)),
    (pyarrow.float32(), st.floats(width=32, allow_nan=False)),
    (pyarrow.float64(), st.floats(allow_nan=False)),
    (pyarrow.string(), TEXTS),
    (pyarrow.binary(), st.binary(max_size=9)),
    (pyarrow.date32(), st.integers(-719_162, 2_932_896)),
    (pyarrow.timestamp("us"), MICROSECONDS),
    (pyarrow.timestamp("us", "UTC"), MICROSECONDS),
    (pyarrow.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9).map(lambda value: value.normalize())),
]


def version(table: pyarrow.Table) -> str:
    """Return the version of a table, batch by batch."""
    digest = ContentDigest(table.schema)
    for batch in table.to_batches():
        digest.update(batch)
    return digest.version()


@st.composite
def types_and_values(draw: st.DrawFn, depth: int = 2) -> tuple[pyarrow.DataType, st.SearchStrategy[Any]]:
    """Draw a type, and a strategy for its values, null among them."""
    if depth and draw(st.integers(0, 2)) == 0:
        kind, values = draw(types_and_values(depth - 1))
        shape = draw(st.sampled_from(["list", "map", "struct"]))
        if shape == "list":
            return pyarrow.list_(kind), st.none() | st.lists(values, max_size=3)
        if shape == "map":
            keys = st.dictionaries(st.text("ab", max_size=2), values, max_size=3)
            return pyarrow.map_(pyarrow.string(), kind), st.none() | keys.map(lambda entries: list(entries.items()))
        other, others = draw(types_and_values(depth - 1))
        fields = st.fixed_dictionaries({"x": values, "y": others})
        return pyarrow.struct([("x", kind), ("y", other)]), st.none() | fields
    kind, values = draw(st.sampled_from(LEAVES))
    return kind, st.none() | values


@st.composite
def tables(draw: st.DrawFn, rows: int = 8) -> pyarrow.Table:
    """Draw a table of any schema and rows."""
    names = draw(st.lists(st.text("abc_\0.`", max_size=3), min_size=1, max_size=4, unique=True))
    number = draw(st.integers(1, rows))
    columns: list[pyarrow.Array] = []
    for _ in names:
        kind, values = draw(types_and_values())
        columns.append(pyarrow.array(draw(st.lists(values, min_size=number, max_size=number)), kind))
    return pyarrow.table(columns, names)


@given(tables(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_rows_and_columns_batches_and_slices_do_not_matter(
    table: pyarrow.Table, chance: random.Random, size: int
) -> None:
    order = chance.sample(range(table.num_rows), table.num_rows)
    names = chance.sample(table.column_names, table.num_columns)
    # Rows before and behind make every batch a slice.
    padded = pyarrow.concat_tables([table, table.take(order), table]).combine_chunks()
    shuffled = padded.slice(table.num_rows, table.num_rows).select(names)
    digest = ContentDigest(shuffled.schema)
    for batch in shuffled.to_batches(max_chunksize=size):
        digest.update(batch)
    assert digest.rows == table.num_rows
    assert digest.version() == version(table)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.randoms(use_true_random=False), st.integers(0, 8))
def test_neither_do_files(tmp_path: Path, table: pyarrow.Table, chance: random.Random, cut: int) -> None:
    shuffled = table.take(chance.sample(range(table.num_rows), table.num_rows))
    paths = [str(tmp_path / f"{number}.parquet") for number in range(2)]
    pq.write_table(shuffled.slice(0, cut), paths[0], row_group_size=3)
    pq.write_table(shuffled.slice(cut).select(table.column_names[::-1]), paths[1])
    assert version_of_files(paths, LocalFileSystem()) == (table.num_rows, version(table))
