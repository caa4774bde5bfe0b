"""Between the encoded items that every store sorts and compares, and the items of a DynamoDB table."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lake_assets.nosql.contract import NoSQLError, SchemaMismatch
from lake_assets.nosql.dynamodb.attributes import (
    EXPIRES,
    ITEM_BYTES,
    SORT_KEY,
    SPREAD_KEY,
    UNREADABLE,
    Attribute,
    read_or_null,
    reader,
    size_of,
    writer,
)
from lake_assets.nosql.encoding import encode_batch
from lake_assets.nosql.expiry import Expiry, unexpired
from lake_assets.nosql.keys import RefusedValueError, decode_columns, encode_columns, encode_key
from lake_assets.nosql.plan import Target
from lake_assets.nosql.rows import decode_rows
from lake_assets.nosql.runs import Item

_SMALL = 8192
"""Flat rows of fewer encoded bytes are far below DynamoDB's limit."""


_COMPARED = 100
"""The most columns in a condition, in which DynamoDB takes 300 operators."""


class Layout:
    """Converts the items of one table.

    Parameters
    ----------
    table
        Name of the table, for errors.
    target
        What it is.
    """

    def __init__(self, table: str, target: Target) -> None:
        schema, key = target.schema, target.key
        self.schema, self.key, self.spread = schema, key, target.spread
        self._table, self._ttl = table, target.ttl
        types = schema.types
        self._key_types, self._row_types = types[: len(key)], types[len(key) :]
        self._writers = {field.name: writer(field.type) for field in schema}
        self._readers = {field.name: reader(field.type) for field in schema}
        self._flat = not any(pa.types.is_nested(kind) for kind in types)
        names = sum(len(name.encode()) for name in schema.names)
        self._small = _SMALL if names < _SMALL else 0
        self._attributes = {*schema.names, *(name for name, _ in self.physical_key), *([EXPIRES] if self._ttl else [])}

    @property
    def physical_key(self) -> list[tuple[str, str]]:
        """Name and type of the attributes that are the key of DynamoDB's table."""
        first, *sort = self.key
        found = [(first, self._letter(first)) if self.spread == 1 else (SPREAD_KEY, "S")]
        if len(sort) == 1:
            found.append((sort[0], self._letter(sort[0])))
        elif sort:
            found.append((SORT_KEY, "B"))
        return found

    @property
    def expires(self) -> str | None:
        """The attribute by which DynamoDB removes items. None if it removes none."""
        return EXPIRES if self._ttl is not None else None

    def made_as(self, other: Layout) -> bool:
        """Tell whether a table of DynamoDB that was made for another layout holds items of this one.

        Parameters
        ----------
        other
            The other layout.
        """
        mine, its = (
            (one.physical_key, one.spread, one.expires, [(name, one._letter(name)) for name in one.key])
            for one in (self, other)
        )
        return mine == its

    def partitions(self, value: str | int) -> list[Attribute]:
        """Return the partition keys in DynamoDB of a value of the first key column.

        Parameters
        ----------
        value
            The value.
        """
        if self.spread == 1:
            return [self._writers[self.key[0]](value)]
        return [{"S": f"{part}#{value}"} for part in range(self.spread)]

    def _spread_key(self, encoded: bytes, value: str | int) -> Attribute:
        # By the whole key, so that it can be read by its key.
        return {"S": f"{zlib.crc32(encoded) % self.spread}#{value}"}

    def _letter(self, name: str) -> str:
        return "S" if pa.types.is_string(self.schema.field(name).type) else "N"

    def batch(self, items: Sequence[Item]) -> pa.RecordBatch:
        """Return encoded items as a batch, with those that have expired.

        Parameters
        ----------
        items
            Keys and rows.
        """
        keys, rows = zip(*items, strict=True) if items else ((), ())
        columns = decode_columns(keys, self._key_types) + decode_rows(rows, self._row_types)
        return pa.record_batch(columns, schema=self.schema)

    def there(self, items: Sequence[Item]) -> pa.RecordBatch:
        """Return encoded items as a batch, without those that have expired.

        Parameters
        ----------
        items
            Keys and rows.
        """
        return unexpired(self.batch(items), self._ttl)

    def unexpired(self, items: list[Item]) -> list[Item]:
        """Return encoded items without those that have expired.

        Parameters
        ----------
        items
            Keys and rows; see :meth:`encoded`.
        """
        if self._ttl is None:
            return items
        expiry = Expiry(self.schema.get_field_index(self._ttl) - len(self.key))
        return [(key, row) for key, row in items if not row or not expiry.over(row)]

    def encode(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """Return stored rows as encoded keys and rows; the inverse of :meth:`batch`.

        Parameters
        ----------
        batch
            Rows of the table's schema.

        Raises
        ------
        SchemaMismatch
            A key is none of this table.
        """
        try:
            return encode_batch(batch, self.schema, self.key)
        except RefusedValueError as error:
            raise self._unreadable(f"of a stored item, {error}") from None

    def items(self, encoded: Sequence[Item]) -> list[dict[str, Attribute]]:
        """Return encoded items as items of DynamoDB.

        Parameters
        ----------
        encoded
            Keys and rows.

        Raises
        ------
        SchemaMismatch
            An item is larger than DynamoDB allows. The message names its key.
        """
        batch = self.batch(encoded)
        sort = self._sort_keys(batch)
        expires = None if self._ttl is None else batch.column(self._ttl).cast(pa.int64()).to_pylist()
        found: list[dict[str, Attribute]] = []
        for at, row in enumerate(batch.to_pylist()):
            item = {name: self._writers[name](value) for name, value in row.items() if value is not None}
            if sort is not None:
                item[SORT_KEY] = {"B": sort[at].as_py()}
            if self.spread > 1:
                item[SPREAD_KEY] = self._spread_key(encoded[at][0], row[self.key[0]])
            if expires is not None and expires[at] is not None:
                item[EXPIRES] = {"N": str(-(-expires[at] // 1_000_000))}
            if not (self._flat and len(encoded[at][1]) < self._small) and size_of(item) > ITEM_BYTES:
                shown = tuple(row[name] for name in self.key)
                raise SchemaMismatch(
                    f"table {self._table!r}: the item with key {shown[0] if len(shown) == 1 else shown!r} has "
                    f"{size_of(item):,} bytes, and DynamoDB holds {ITEM_BYTES:,}: keep large values in the lake"
                )
            found.append(item)
        return found

    def check(self, encoded: Sequence[Item]) -> None:
        """Refuse items that are larger than DynamoDB allows; see :meth:`items`.

        Parameters
        ----------
        encoded
            Keys and rows.
        """
        large = [item for item in encoded if not self._flat or len(item[1]) >= self._small]
        if large:
            self.items(large)

    def _sort_keys(self, batch: pa.RecordBatch) -> pa.Array | None:
        if len(self.key) < 3:
            return None
        rest = self.key[1:]
        return encode_columns([batch.column(name) for name in rest], rest)

    def keys(self, encoded: Sequence[bytes]) -> list[dict[str, Attribute]]:
        """Return encoded keys as keys of DynamoDB.

        Parameters
        ----------
        encoded
            The keys.
        """
        columns = decode_columns(encoded, self._key_types)
        batch = pa.record_batch(columns, schema=pa.schema([self.schema.field(name) for name in self.key]))
        sort = self._sort_keys(batch)
        found: list[dict[str, Attribute]] = []
        for at, row in enumerate(batch.to_pylist()):
            names = self.key if sort is None else self.key[:1]
            key = {name: self._writers[name](row[name]) for name in names}
            if sort is not None:
                key[SORT_KEY] = {"B": sort[at].as_py()}
            if self.spread > 1:
                del key[self.key[0]]
                key[SPREAD_KEY] = self._spread_key(encoded[at], row[self.key[0]])
            found.append(key)
        return found

    def unchanged(self, item: Mapping[str, Attribute] | None) -> dict[str, Any]:
        """Return the condition, as of PutItem, that an item is stored as it was read.

        Parameters
        ----------
        item
            The item of DynamoDB. None if there was none.
        """
        first = self.physical_key[0][0]
        compared = [first] if item is None else self.schema.names[:_COMPARED]
        terms: list[str] = []
        names: dict[str, str] = {}
        values: dict[str, Attribute] = {}
        for at, name in enumerate(compared):
            names[f"#{at}"] = name
            if item is None or name not in item:
                terms.append(f"attribute_not_exists(#{at})")
            else:
                terms.append(f"#{at} = :{at}")
                values[f":{at}"] = item[name]
        condition = {"ConditionExpression": " AND ".join(terms), "ExpressionAttributeNames": names}
        return condition | ({"ExpressionAttributeValues": values} if values else {})

    def read(self, items: Sequence[dict[str, Attribute]]) -> pa.RecordBatch:
        """Return items of DynamoDB as a batch.

        Parameters
        ----------
        items
            The items.

        Raises
        ------
        SchemaMismatch
            Another client wrote an attribute of another type. The message names key and column.
        """
        return pa.record_batch([self._column(field, items) for field in self.schema], schema=self.schema)

    def _column(self, field: pa.Field, items: Sequence[dict[str, Attribute]]) -> pa.Array:
        read = self._readers[field.name]
        try:
            return pa.array([read_or_null(read, item.get(field.name)) for item in items], field.type)
        except UNREADABLE:
            if len(items) > 1:
                for item in items:
                    self._column(field, [item])
                raise
            key = {name: value for name, _ in self.physical_key for value in items[0][name].values()}
            raise self._unreadable(
                f"column {field.name!r} is {field.type}, and the item with key {key} has {_shown(items[0][field.name])}"
            ) from None

    def encoded(self, items: Sequence[dict[str, Attribute]]) -> tuple[pa.Array, pa.Array]:
        """Return items of DynamoDB as encoded keys and rows.

        The row of one that cannot be read, or that has other attributes than the table, is empty.

        Parameters
        ----------
        items
            The items.

        Raises
        ------
        SchemaMismatch
            An item has a key that is none of this table.
        """
        try:
            self._check_attributes(items)
            return self.encode(self.read(items))
        except SchemaMismatch:
            if len(items) == 1:
                return pa.array([self._key_of(items[0])], pa.binary()), pa.array([b""], pa.binary())
            half = len(items) // 2
            both = zip(self.encoded(items[:half]), self.encoded(items[half:]), strict=True)
            keys, rows = (pa.concat_arrays(parts) for parts in both)
            return keys, rows

    def _check_attributes(self, items: Sequence[dict[str, Attribute]]) -> None:
        """Refuse items with other attributes than the table has."""
        for item in items:
            if not item.keys() <= self._attributes:
                other = min(item.keys() - self._attributes)
                raise self._unreadable(f"a stored item has the attribute {other!r}, which is no column")

    def _key_of(self, item: dict[str, Attribute]) -> bytes:
        """Return the encoded key of an item whose columns cannot be read."""
        physical = {name: item[name] for name, _ in self.physical_key}
        try:
            first, *sort = self.key
            held = item if self.spread == 1 else {first: {self._letter(first): item[SPREAD_KEY]["S"].partition("#")[2]}}
            values = [self._readers[first](held[first])]
            several = len(sort) > 1
            if not several:
                values += [self._readers[name](item[name]) for name in sort]
            key = encode_key(tuple(values), self.schema, self.key, prefix=several)
            key += item[SORT_KEY]["B"] if several else b""
            if self.keys([key]) == [physical]:
                return key
        except (*UNREADABLE, NoSQLError):
            pass
        raise SchemaMismatch(
            f"table {self._table!r}: another client of DynamoDB wrote the item {_shown(physical)}, which is no key of "
            f"{self.key}: delete it with such a client"
        )

    def _unreadable(self, problem: str) -> SchemaMismatch:
        return SchemaMismatch(
            f"table {self._table!r}: {problem}, as another client of DynamoDB wrote it: delete the item, write it "
            f"whole again, or overwrite the table (`lake-assets verify {self._table} --repair`)"
        )


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
