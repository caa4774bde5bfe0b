"""Items of a table outside the lake, read by their keys where a query names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.nosql.keys import following

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.nosql.contract import NoSQLStore
    from lake_assets.sql.wanted import Expression, Wanted

KeyValue = str | int

_MOST = 256
"""Constants by which a key column is parted. Each makes two parts."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some values of a key column: from ``low``, and before ``end``. None is no bound."""

    low: KeyValue | None
    end: KeyValue | None
    holds: Expression
    is_one_value: bool = False


@dataclass(frozen=True, slots=True)
class TableRows:
    """The items of a table, as :class:`~lake_assets.sql.catalog.Batches`.

    Parameters
    ----------
    store
        The store.
    table
        Name of the table.
    schema
        Its columns.
    key
        Names of the key columns.
    """

    store: NoSQLStore
    table: str
    schema: pyarrow.Schema
    key: Sequence[str]

    @property
    def text_key(self) -> str | None:
        """The first key column, if it is a text."""
        return self.key[0] if str(self.schema.field(self.key[0]).type) == "string" else None

    def read(self, columns: Sequence[str], wanted: Wanted) -> Iterator[pyarrow.RecordBatch]:
        """Yield the items among which all wanted ones are.

        All of one call are of one state of the table, where the store has that. So they come by one call of the store.

        Parameters
        ----------
        columns
            The columns, in the order of the schema.
        wanted
            The rows that are wanted.
        """
        first: tuple[KeyValue, ...] = ()
        held: list[Expression] = []
        for column in self.key:
            parts = _parts(column, self.schema.field(column).type, wanted.constants)
            found = [parts[at] for at in wanted.parts([_all([*held, part.holds]) for part in parts])]
            if not found:
                return
            single = all(part.is_one_value for part in found)
            if single and column == self.key[-1]:
                keys: list[Any] = [(*first, part.low) for part in found]
                yield from self.store.get_many(self.table, keys).select(list(columns)).to_batches()
                return
            if not single or len(found) > 1:
                start = first if found[0].low is None else (*first, found[0].low)
                end = _end(first) if found[-1].end is None else (*first, found[-1].end)
                yield from self.store.scan(self.table, start or None, end, columns=columns)
                return
            first = (*first, found[0].low)  # pyright: ignore[reportAssignmentType]
            held.append(found[0].holds)


def _parts(column: str, kind: pyarrow.DataType, constants: Sequence[KeyValue]) -> list[_Part]:
    """Return the values of a key column in parts: each constant is one, and what is between two."""
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    value: Any = pc.field(column)
    parts: list[_Part] = []
    before: KeyValue | None = None
    for constant in _of_type(kind, constants):
        at: Any = pyarrow.scalar(constant, kind)
        low = None if before is None else following(before)
        if before is None or low != constant:
            between = value < at if before is None else (value > pyarrow.scalar(before, kind)) & (value < at)
            parts.append(_Part(low, constant, between))
        parts.append(_Part(constant, following(constant), value == at, is_one_value=True))
        before = constant
    if before is None:
        return [_Part(None, None, pc.scalar(True))]
    return [*parts, _Part(following(before), None, value > pyarrow.scalar(before, kind))]


def _of_type(kind: pyarrow.DataType, constants: Sequence[KeyValue]) -> list[KeyValue]:
    """Return the constants that a key column can be compared with, sorted."""
    import pyarrow as pa

    found: set[Any] = set()
    for constant in constants:
        try:
            found.add(pa.scalar(constant if pa.types.is_string(kind) else int(constant), kind).as_py())
        except (ValueError, TypeError, OverflowError, pa.ArrowException):
            continue
    ordered = sorted(found)
    return ordered[:: 1 + len(ordered) // _MOST]


def _all(held: Sequence[Expression]) -> Expression:
    expression = held[0]
    for more in held[1:]:
        expression &= more
    return expression


def _end(first: tuple[KeyValue, ...]) -> tuple[KeyValue, ...] | None:
    """Return the key before which all keys are that begin so. None if there is none."""
    if not first:
        return None
    after = following(first[-1])
    return _end(first[:-1]) if after is None else (*first[:-1], after)
