"""What a table's columns are: which Arrow types are kept, and whether a frame fits what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import pyarrow as pa

from lake_assets.nosql.contract import SaveMode, SchemaMismatch


class TableRecord(msgspec.Struct, frozen=True):
    """What the store keeps about one table, as msgpack; ``schema`` is an Arrow IPC schema message."""

    key: tuple[str, ...]
    schema: bytes
    source_commit: str | None = None

    @classmethod
    def of(cls, schema: pa.Schema, key: Sequence[str], source_commit: str | None) -> TableRecord:
        """Return the record of a table with this schema."""
        return cls(tuple(key), schema.serialize().to_pybytes(), source_commit)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The stored schema, key columns first."""
        return pa.ipc.read_schema(pa.py_buffer(self.schema))


def stored_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which a column of Arrow type ``kind`` is kept, or None where it cannot be.

    pandas and Spark spell the same values differently (large strings, dictionaries, nanoseconds): one
    spelling is stored, so that a table takes frames of both.
    """
    same = (
        pa.types.is_boolean,
        pa.types.is_signed_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_date32,
        pa.types.is_decimal128,
    )
    if any(test(kind) for test in same):
        return kind
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_dictionary(kind):
        return stored_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = stored_type(kind.value_type)
        return None if element is None else pa.list_(element)
    if pa.types.is_struct(kind):
        fields = [(field.name, stored_type(field.type)) for field in kind]
        if any(inner is None for _, inner in fields):
            return None
        return pa.struct([pa.field(name, inner) for name, inner in fields])
    return None


def _new_columns(table: str, frame: pa.Schema, names: Sequence[str]) -> list[pa.Field]:
    """Return the fields as they are stored, or refuse the first that cannot be."""
    fields: list[pa.Field] = []
    for name in names:
        kind = frame.field(name).type
        stored = stored_type(kind)
        if pa.types.is_null(kind):
            raise SchemaMismatch(
                f"table {table!r}: column {name!r} holds only nulls, so its type is unknown: cast it to one"
            )
        if stored is None:
            raise SchemaMismatch(
                f"table {table!r}: column {name!r} is of type {kind}, which the store does not keep: cast it"
            )
        fields.append(pa.field(name, stored))
    return fields


def _check_key(table: str, frame: pa.Schema, key: Sequence[str]) -> None:
    """Refuse a key that is empty, repeated, absent from the frame, or neither string nor integer."""
    if not key or len(set(key)) != len(key):
        raise SchemaMismatch(f"table {table!r}: the key {tuple(key)} must name one or more different columns")
    for name in key:
        if name not in frame.names:
            raise SchemaMismatch(f"table {table!r}: key column {name!r} is not in the frame, which has {frame.names}")
        stored = stored_type(frame.field(name).type)
        if stored is None or not (pa.types.is_string(stored) or pa.types.is_signed_integer(stored)):
            raise SchemaMismatch(
                f"table {table!r}: key column {name!r} is of type {frame.field(name).type}; "
                "a key is made of strings and integers"
            )


def fit(
    table: str,
    record: TableRecord | None,
    frame: pa.Schema,
    key: Sequence[str],
    mode: SaveMode,
    allow_overwrite_schema: bool,
) -> pa.Schema:
    """Return the schema that the table has after a write of ``frame``: key columns first, not nullable.

    Raises
    ------
    SchemaMismatch
        The frame does not fit: every column that differs is named with what is stored and what came.
    """
    repeated = [name for name, count in Counter(frame.names).items() if count > 1]
    if repeated:
        raise SchemaMismatch(f"table {table!r}: the frame has column {repeated[0]!r} more than once")
    if record is None or mode == "overwrite":
        _check_key(table, frame, key)
        names = [*key, *(name for name in frame.names if name not in key)]
        fields = _new_columns(table, frame, names)
        return pa.schema([field.with_nullable(field.name not in key) for field in fields])
    if tuple(key) != record.key:
        raise SchemaMismatch(f"table {table!r} is keyed by {record.key}, the write says {tuple(key)}")
    stored = record.arrow_schema
    problems = differences(stored, frame)
    added = [name for name in frame.names if name not in stored.names]
    if added and not allow_overwrite_schema:
        problems += [
            f"column {name!r} is not stored, the frame has it as {frame.field(name).type} "
            "(allow_overwrite_schema lets it in)"
            for name in added
        ]
    if problems:
        raise SchemaMismatch(f"table {table!r}: {'; '.join(problems)}")
    return pa.schema([*stored, *_new_columns(table, frame, added)])


def check_comparable(table: str, schema: pa.Schema, name: str) -> None:
    """Refuse a ``newest_by`` column that is absent, or a list or struct."""
    if name not in schema.names:
        raise SchemaMismatch(f"table {table!r}: newest_by names {name!r}, which is no column")
    if pa.types.is_nested(schema.field(name).type):
        raise SchemaMismatch(f"table {table!r}: newest_by names {name!r}, a {schema.field(name).type}")


def differences(stored: pa.Schema, frame: pa.Schema) -> list[str]:
    """Return one phrase for each stored column that the frame lacks or has as another type."""
    problems: list[str] = []
    for field in stored:
        if field.name not in frame.names:
            problems.append(f"column {field.name!r} is stored as {field.type}, the frame lacks it")
            continue
        kind = frame.field(field.name).type
        if not pa.types.is_null(kind) and stored_type(kind) != field.type:
            problems.append(f"column {field.name!r} is stored as {field.type}, the frame has {kind}")
    return problems
