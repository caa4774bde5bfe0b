"""What becomes of incoming items: which ones are written over stored ones, and what is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice
from operator import eq, itemgetter
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.compute

from lake_assets.nosql.combination import Combination
from lake_assets.nosql.errors import SchemaMismatch
from lake_assets.nosql.expiry import Expiry
from lake_assets.nosql.expression import Condition, Expression
from lake_assets.nosql.keys import RefusedValueError, decode_columns, key_of
from lake_assets.nosql.options import Options, SaveMode
from lake_assets.nosql.rows import Rank, decode_rows, encode_rows, ranking
from lake_assets.nosql.runs import Item

pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them

_key_of, _row_of = itemgetter(0), itemgetter(1)
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = _encode([])


class Choice:
    """Chooses and combines encoded items of one write.

    Parameters
    ----------
    table
        Name of the table, for errors.
    schema
        The table's columns after the write, key columns first.
    key
        Names of the key columns.
    incoming
        Names of the incoming columns, in their order.
    mode
        The save mode.
    newest_by
        The columns by which the newer of two items is determined.
    options
        Further options of the write.
    ttl
        The column that says when an item expires. None if none does.
    """

    def __init__(
        self,
        table: str,
        schema: pa.Schema,
        key: Sequence[str],
        incoming: Sequence[str],
        mode: SaveMode = "append",
        newest_by: Sequence[str] = (),
        options: Options | None = None,
        ttl: str | None = None,
    ) -> None:
        options = options or Options()
        self._table = table
        self._key_types = [schema.field(name).type for name in key]
        columns = [field for field in schema if field.name not in key]
        names = [field.name for field in columns]
        self._types = [field.type for field in columns]
        self._names = names
        self._create_only = mode == "create_only"
        others = [name for name in incoming if name not in key]

        def ranked(row: Sequence[str]) -> Callable[[bytes], Rank] | None:
            """Return the sort key of rows of these columns. Items with the same key do not differ in key columns."""
            positions = [row.index(name) for name in newest_by if name not in key]
            return ranking([schema.field(name).type for name in row], positions) if newest_by else None

        # An incoming row has no other columns than the frame where only these change.
        self._rank, self._rank_incoming = ranked(names), ranked(others if options.update == "columns" else names)
        self._combination = Combination(table, columns, others, options.update == "columns", options.counter)
        self._expires = Expiry(names.index(ttl)) if ttl is not None else None
        self._fields = [field.with_nullable(True) for field in schema]
        both = pa.schema([(name, pa.struct(self._fields)) for name in ("new", "old")])
        self._condition = Condition(table, options.condition, both) if options.condition else None
        self._set = {names.index(name): Expression(table, text, both) for name, text in options.set.items()}

    @property
    def combines(self) -> bool:
        """Whether a row is written otherwise than it came."""
        return self._combination.does_something or bool(self._set)

    @property
    def reads(self) -> bool:
        """Whether what is written depends on what is stored."""
        return bool(self._rank or self._create_only or self.combines or self._condition is not None)

    @property
    def evaluates(self) -> bool:
        """Whether SQL is evaluated, which costs something for each block of items."""
        return self._condition is not None or bool(self._set)

    def distinct(self, blocks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Yield blocks without duplicate keys, also across blocks.

        Parameters
        ----------
        blocks
            Items in key order.

        Raises
        ------
        SchemaMismatch
            Two items have the same key, and there is no ``newest_by``.
        """
        held: list[Item] = []
        for block in blocks:
            # The next block may begin with the same key.
            block = held + block
            keys = list(map(_key_of, block))
            if any(map(eq, keys, islice(keys, 1, None))):
                block = self._greatest(block)
            held = block[-1:]
            yield block[:-1]
        yield held

    def fresh(self, blocks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Yield the items to write where nothing is stored; see :meth:`distinct`.

        Parameters
        ----------
        blocks
            Items in key order.
        """
        for block in self.distinct(blocks):
            yield self.combine([None] * len(block), block) if self.combines else block

    def combine(self, stored: Sequence[bytes | None], block: list[Item]) -> list[Item]:
        """Return the items to write.

        Parameters
        ----------
        stored
            The stored row of each incoming item, or None.
        block
            Incoming items of different keys.
        """
        expires, rank = self._expires, self._rank
        old, chosen = stored, block
        if expires is not None:
            old = [None if row is not None and expires.over(row) else row for row in old]
        if self._create_only:
            old, chosen = _filtered([row is None for row in old], old, chosen)
        if rank is not None:
            after = self._combination.of(old, list(map(_row_of, chosen)), count=False)
            newer = (row is None or (row != new and rank(new) > rank(row)) for row, new in zip(old, after, strict=True))
            old, chosen = _filtered(list(newer), old, chosen)
        if self._condition is not None:
            old, chosen = self._fulfilling(self._condition, old, chosen)
        if not chosen or not self.combines:
            return chosen
        new: Sequence[bytes] = list(map(_row_of, chosen))
        if self._combination.does_something:
            new = self._combination.of(old, new)
        if self._set:
            new = self._with_expressions(list(map(_key_of, chosen)), old, new)
        return list(zip(map(_key_of, chosen), new, strict=True))

    def _with_expressions(
        self, keys: Sequence[bytes], old: Sequence[bytes | None], new: Sequence[bytes]
    ) -> Sequence[bytes]:
        """Return rows with the values of expressions."""
        columns = decode_rows(new, self._types)
        for place, expression in self._set.items():
            found = expression.values(self._both(expression, keys, new, old)).combine_chunks()
            try:
                columns[place] = found.cast(self._types[place])
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                name = self._names[place]
                raise SchemaMismatch(
                    f"table {self._table!r}: set of {name!r} does not fit its type: {error}"
                ) from error
        try:
            return encode_rows(dict(zip(self._names, columns, strict=True)), len(keys))
        except RefusedValueError as error:
            raise SchemaMismatch(f"table {self._table!r}: set: {error}") from None

    def _fulfilling(
        self, condition: Condition, stored: Sequence[bytes | None], block: list[Item]
    ) -> tuple[Sequence[bytes | None], list[Item]]:
        """Return the items whose key is not stored, or for which the condition is true, with what is stored."""
        if not any(stored):
            return stored, block
        all_there = None not in stored
        there = [True] * len(block) if all_there else [row is not None for row in stored]
        old, rows = (stored, block) if all_there else _filtered(there, stored, block)
        new = self._combination.of(old, list(map(_row_of, rows)), count=False)
        holds = condition.mask(self._both(condition, list(map(_key_of, rows)), new, old))
        if pc.all(holds).as_py():
            return stored, block
        answers = iter(holds.to_pylist())
        return _filtered([not known or next(answers) for known in there], stored, block)

    def _both(
        self, expression: Expression, keys: Sequence[bytes], new: Sequence[bytes], old: Sequence[bytes | None]
    ) -> pa.Table:
        """Return the new and the stored items as structs of those columns that an expression names."""
        every = [field.name for field in self._fields]
        named = [name for name in every if expression.may_name(name)] or every
        return pa.table({"new": self._structs(keys, new, named), "old": self._structs(keys, old, named)})

    def _structs(self, keys: Sequence[bytes], rows: Sequence[bytes | None], named: Sequence[str]) -> pa.Array:
        """Return items as structs. One without a row is null in each field."""
        fields = [field for field in self._fields if field.name in named]
        places = [self._names.index(name) for name in named if name in self._names]
        given = [_NOTHING if row is None else row for row in rows] if None in rows else cast(Sequence[bytes], rows)
        columns = decode_rows(given, self._types, places)
        if len(places) < len(named):
            in_key = [field.name in named for field in self._fields[: len(self._key_types)]]
            key_columns = [
                column for column, wanted in zip(decode_columns(keys, self._key_types), in_key, strict=True) if wanted
            ]
            if None in rows:
                mask = pa.array([row is not None for row in rows])
                key_columns = [pc.if_else(mask, column, pa.scalar(None, column.type)) for column in key_columns]
            columns = key_columns + columns
        return pa.StructArray.from_arrays(columns, fields=fields)

    def _greatest(self, block: list[Item]) -> list[Item]:
        """Return the greatest item of each key."""
        best: dict[bytes, bytes] = {}
        rank = self._rank_incoming
        for key, row in block:
            if key in best and rank is None:
                raise SchemaMismatch(
                    f"table {self._table!r}: the frame has key {key_of(key, self._key_types)!r} more than once; "
                    "set newest_by to choose one of them"
                )
            if key not in best or (rank is not None and rank(row) > rank(best[key])):
                best[key] = row
        return list(best.items())


def _filtered(
    keep: Sequence[bool], stored: Sequence[bytes | None], block: Sequence[Item]
) -> tuple[list[bytes | None], list[Item]]:
    return list(compress(stored, keep)), list(compress(block, keep))
