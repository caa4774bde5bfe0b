"""The rows by which two states of a table differ, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import merge as merged
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.encoding import encode_batch
from lake_assets.nosql.errors import TableGone
from lake_assets.nosql.keys import key_of
from lake_assets.nosql.runs import Item, merge, write_runs
from lake_assets.nosql.table_schema import fit

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_key_of = itemgetter(0)
_FLOATS = ("DOUBLE", "FLOAT")


def row_difference(
    before: DuckDBPyRelation, after: DuckDBPyRelation, key: Sequence[str]
) -> tuple[DuckDBPyRelation, DuckDBPyRelation]:
    """Return the rows to put, which are new or changed, and the keys to delete. DuckDB compares them.

    Parameters
    ----------
    before
        What the table shows.
    after
        What it is to show, with the same columns.
    key
        Names of the key columns, which no two rows of one side share.

    Examples
    --------
    >>> items, gone = row_difference(shown(connection, lake, old), shown(connection, lake, new), ["ISIN"])
    """
    old, new = before.set_alias("old"), after.set_alias("new")
    same_key = " AND ".join(f"old.{_quoted(name)} = new.{_quoted(name)}" for name in key)
    # A comparison of columns costs a third of EXCEPT, which hashes all of them on both sides.
    changed = [_differs(name, str(kind)) for name, kind in zip(after.columns, after.types, strict=True)]
    items = new.join(old, same_key, how="left").filter(" OR ".join(changed))
    gone = old.join(new, same_key, how="anti")
    return (
        items.project(", ".join(f"new.{_quoted(name)}" for name in after.columns)),
        gone.project(", ".join(f"old.{_quoted(name)}" for name in key)),
    )


def _differs(name: str, kind: str) -> str:
    """Return whether a column differs, in SQL, to which 0.0 and -0.0 are equal, other than to a table."""
    old, new = (f"{side}.{_quoted(name)}" for side in ("old", "new"))
    differs = f"{old} IS DISTINCT FROM {new}"
    if kind in _FLOATS:
        return f"{differs} OR signbit({old}) <> signbit({new})"
    # Within lists and structs, as text.
    return f"{differs} OR {old}::VARCHAR <> {new}::VARCHAR" if any(one in kind for one in _FLOATS) else differs


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def paired(
    stored: Iterable[list[Item]], incoming: Iterable[list[Item]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield each key with its stored and its incoming row.

    Parameters
    ----------
    stored, incoming
        Blocks of encoded items in key order.
    """
    old = ((key, 0, row) for block in stored for key, row in block)
    new = ((key, 1, row) for block in incoming for key, row in block)
    for key, group in groupby(merged(old, new, key=lambda item: item[:2]), key=_key_of):
        rows = {which: row for _, which, row in group}
        yield key, rows.get(0), rows.get(1)


@dataclass(slots=True)
class Drift:
    """How a table differs from what it should show.

    Parameters
    ----------
    rows
        The number of rows that it should show.
    missing, changed, extra
        Numbers of items that it lacks, that have other values, and that should not be there.
    examples
        Some of them: the key, and one of these words.
    columns
        Its columns that differ, one phrase each. Then all items have other values.
    """

    rows: int
    missing: int = 0
    changed: int = 0
    extra: int = 0
    examples: list[tuple[Any, str]] | None = None
    columns: list[str] = field(default_factory=list[str])

    @property
    def count(self) -> int:
        """The number of items that differ."""
        return self.missing + self.changed + self.extra

    @property
    def differs(self) -> bool:
        """Whether the table differs from what it should show."""
        return bool(self.count or self.columns)


def _items(store: NoSQLStore, table: str) -> Iterator[list[Item]]:
    with suppress(TableGone):
        yield from store.items(table)


def drift(store: NoSQLStore, table: str, expected: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path) -> Drift:
    """Compare a table with what it should show. An item that cannot be read has other values.

    Parameters
    ----------
    store
        The store.
    table
        Name of the table.
    expected
        What it should show.
    schema
        Columns of what it should show.
    folder
        An empty folder for sorted runs.

    Raises
    ------
    SchemaMismatch
        What the table should show lacks columns of its key, or has columns that a table cannot have.
    """
    columns, key = store.schema(table), store.key(table)
    wanted = fit(table, None, _typed(schema, columns), key=key, mode="overwrite", allow_overwrite_schema=False)
    found = Drift(0, examples=[], columns=_other_columns(columns, wanted))
    as_wanted = wanted if found.columns else columns
    should = merge(folder, list(write_runs(folder, (encode_batch(batch, as_wanted, key) for batch in expected))))
    for encoded, has, wants in paired(_items(store, table), should):
        found.rows += wants is not None
        if has == wants and not found.columns:
            continue
        types = [(columns if wants is None else wanted).field(name).type for name in key]
        word = "missing" if has is None else "extra" if wants is None else "changed"
        setattr(found, word, getattr(found, word) + 1)
        if found.examples is not None and len(found.examples) < 10:
            found.examples.append((key_of(encoded, types), word))
    return found


def _typed(schema: pa.Schema, columns: pa.Schema) -> pa.Schema:
    """Return columns with the types of the table's where all values are null."""
    return pa.schema(
        [columns.field(one.name) if pa.types.is_null(one.type) and one.name in columns.names else one for one in schema]
    )


def _other_columns(stored: pa.Schema, wanted: pa.Schema) -> list[str]:
    """Return one phrase for each column in which a table differs from what it should be."""
    has, wants = ({one.name: one.type for one in schema} for schema in (stored, wanted))
    return [
        f"column {name!r} is {'not stored' if name not in has else f'stored as {has[name]}'}, and should "
        f"{'not be there' if name not in wants else f'be {wants[name]}'}"
        for name in {**has, **wants}
        if has.get(name) != wants.get(name)
    ]
