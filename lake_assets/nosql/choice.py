"""What becomes of incoming items: which ones are written over stored ones, and what is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice
from operator import eq, itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from lake_assets.nosql.combination import Combination
from lake_assets.nosql.errors import SchemaMismatch
from lake_assets.nosql.expiry import Expiry
from lake_assets.nosql.expression import Condition, Expression
from lake_assets.nosql.keys import decode_columns
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
        # Items with the same key do not differ in key columns.
        positions = [names.index(name) for name in newest_by if name not in key]
        self._rank = ranking(self._types, positions) if newest_by else None
        self._create_only = mode == "create_only"
        came = [name for name in incoming if name not in key]
        self._combination = Combination(table, columns, came, options.update == "columns", options.counter)
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

    def combine(self, stored: Mapping[bytes, bytes], block: Sequence[Item]) -> list[Item]:
        """Return the items to write.

        Parameters
        ----------
        stored
            The stored rows of those keys that are stored.
        block
            Incoming items of different keys.
        """
        if self._expires is not None:
            stored = {key: row for key, row in stored.items() if not self._expires.over(row)}
        chosen = list(block)
        if self._create_only:
            chosen = [item for item in chosen if item[0] not in stored]
        if self._rank is not None:
            chosen = self._newer(self._rank, stored, chosen)
        if self._condition is not None:
            chosen = self._fulfilling(self._condition, stored, chosen)
        if self._combination.does_something:
            chosen = self._combined(stored, chosen)
        return self._with_expressions(stored, chosen) if self._set and chosen else chosen

    def _newer(self, rank: Callable[[bytes], Rank], stored: Mapping[bytes, bytes], block: Sequence[Item]) -> list[Item]:
        """Return the items that are greater than the stored ones."""
        chosen: list[Item] = []
        for item in block:
            old = stored.get(item[0])
            if old is None or (old != item[1] and rank(item[1]) > rank(old)):
                chosen.append(item)
        return chosen

    def _combined(
        self,
        stored: Mapping[bytes, bytes],
        block: Sequence[Item],
    ) -> list[Item]:
        """Return items combined with the stored ones."""
        keys = list(map(_key_of, block))
        rows = self._combination.of(list(map(stored.get, keys)), list(map(_row_of, block)))
        return list(zip(keys, rows, strict=True))

    def _with_expressions(self, stored: Mapping[bytes, bytes], block: list[Item]) -> list[Item]:
        """Return items with the values of expressions."""
        keys, new = zip(*block, strict=True)
        old = [stored.get(key) for key in keys]
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
        return list(zip(keys, encode_rows(dict(zip(self._names, columns, strict=True)), len(keys)), strict=True))

    def _fulfilling(self, condition: Condition, stored: Mapping[bytes, bytes], block: list[Item]) -> list[Item]:
        """Return the items whose key is not stored, or for which the condition is true."""
        there = [item for item in block if item[0] in stored]
        if not there:
            return block
        keys = list(map(_key_of, there))
        old = list(map(stored.get, keys))
        new = self._combination.of(old, list(map(_row_of, there)), count=False)
        holds = condition.mask(self._both(condition, keys, new, old))
        refused = set(compress(keys, pc.invert(holds).to_pylist()))
        return [item for item in block if item[0] not in refused] if refused else block

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
        columns = decode_rows([_NOTHING if row is None else row for row in rows], self._types, places)
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
        rank: Callable[[bytes], Rank] | None = self._rank
        for key, row in block:
            if key in best and rank is None:
                values = tuple(column[0].as_py() for column in decode_columns([key], self._key_types))
                shown = values[0] if len(values) == 1 else values
                raise SchemaMismatch(
                    f"table {self._table!r}: the frame has key {shown!r} more than once; "
                    "set newest_by to choose one of them"
                )
            if key not in best or (rank is not None and rank(row) > rank(best[key])):
                best[key] = row
        return list(best.items())
