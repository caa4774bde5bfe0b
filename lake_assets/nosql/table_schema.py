"""A table's columns: the supported Arrow types, and whether a frame matches the stored schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from lake_assets.nosql.errors import NoSQLError, SchemaMismatch
from lake_assets.nosql.options import MODES, SaveMode


class TableRecord(msgspec.Struct, frozen=True):
    """The stored description of a table, as msgpack.

    ``schema`` is an Arrow IPC schema message. ``spread`` and ``ttl`` are as of the options of a write. ``numbers`` is
    the next running number of a table without a key of its own.
    """

    key: tuple[str, ...]
    schema: bytes
    source_commit: str | None = None
    spread: int = 1
    ttl: str | None = None
    numbers: int | None = None

    @classmethod
    def of(cls, schema: pa.Schema, key: Sequence[str], source_commit: str | None, **more: Any) -> TableRecord:
        """Return the record of a table with this schema."""
        return cls(tuple(key), schema.serialize().to_pybytes(), source_commit, **more)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The stored schema, key columns first."""
        return pa.ipc.read_schema(pa.py_buffer(self.schema))


_NAME_BYTES = 400


def check_name(table: str) -> None:
    """Refuse a table name that is empty, too long or not printable."""
    if not table or not table.isprintable() or len(table.encode()) > _NAME_BYTES:
        raise NoSQLError(
            f"{table!r} is not a valid table name: a name has 1 to {_NAME_BYTES} bytes and no control characters"
        )


def check_mode(table: str, mode: str) -> None:
    """Refuse an unknown save mode."""
    if mode not in MODES:
        raise NoSQLError(f"table {table!r}: unknown save mode {mode!r}: choose one of {', '.join(MODES)}")


def stored_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which a column of an Arrow type is stored. None if the type is not supported.

    pandas and Spark use different types for the same values (large strings, dictionaries, nanoseconds). One type is
    stored, so that frames of both can be written to a table.

    Parameters
    ----------
    kind
        The type of the frame's column.
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
    """Return the fields with their stored types. Refuse the first one with an unsupported type."""
    fields: list[pa.Field] = []
    for name in names:
        kind = frame.field(name).type
        stored = stored_type(kind)
        if pa.types.is_null(kind):
            raise SchemaMismatch(
                f"table {table!r}: column {name!r} contains only nulls, so its type is unknown: cast it to a type"
            )
        if stored is None:
            raise SchemaMismatch(
                f"table {table!r}: column {name!r} has type {kind}, which the store does not support: cast it"
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
                f"table {table!r}: key column {name!r} has type {frame.field(name).type}: "
                "key columns must be strings or integers"
            )


def fit(
    table: str,
    record: TableRecord | None,
    frame: pa.Schema,
    *,
    key: Sequence[str],
    mode: SaveMode,
    allow_overwrite_schema: bool,
    partial: bool = False,
) -> pa.Schema:
    """Return the schema of the table after a write. Key columns come first and are not nullable.

    Parameters
    ----------
    table
        Name of the table.
    record
        Its stored description. None if there is no table.
    frame
        Schema of the frame.
    key, mode, allow_overwrite_schema
        As of :meth:`NoSQLStore.write`.
    partial
        Whether the frame may lack columns.

    Raises
    ------
    SchemaMismatch
        The frame does not match. The message names every column that differs, with its stored and its new type.
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
        raise SchemaMismatch(f"table {table!r} has the key {record.key}, but the write has {tuple(key)}")
    stored = record.arrow_schema
    problems = differences(stored, frame, key if partial else stored.names)
    added = [name for name in frame.names if name not in stored.names]
    if added and not allow_overwrite_schema:
        problems += [
            f"column {name!r} is not stored, the frame has it as {frame.field(name).type} "
            "(allow_overwrite_schema adds it)"
            for name in added
        ]
    if problems:
        raise SchemaMismatch(f"table {table!r}: {'; '.join(problems)}")
    return pa.schema([*stored, *_new_columns(table, frame, added)])


def check_comparable(table: str, schema: pa.Schema, name: str) -> None:
    """Refuse a ``newest_by`` column that does not exist, or that is a list or struct."""
    if name not in schema.names:
        raise SchemaMismatch(f"table {table!r}: newest_by names {name!r}, which is not a column")
    if pa.types.is_nested(schema.field(name).type):
        raise SchemaMismatch(f"table {table!r}: newest_by names {name!r}, a {schema.field(name).type}")


def check_counters(table: str, schema: pa.Schema, key: Sequence[str], counters: Sequence[str]) -> None:
    """Refuse a counter that does not exist, is in the key, or is no number."""
    for name in counters:
        if name not in schema.names or name in key:
            raise SchemaMismatch(f"table {table!r}: counter names {name!r}, which is not a column outside of the key")
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise SchemaMismatch(f"table {table!r}: counter names {name!r}, which is {kind}, not a number")


def check_ttl(table: str, schema: pa.Schema, key: Sequence[str], name: str) -> None:
    """Refuse a ``ttl`` that is not a column of timestamps outside of the key."""
    if name not in schema.names or name in key:
        raise SchemaMismatch(f"table {table!r}: ttl names {name!r}, which is not a column outside of the key")
    if not pa.types.is_timestamp(schema.field(name).type):
        raise SchemaMismatch(f"table {table!r}: ttl names {name!r}, which is {schema.field(name).type}, no timestamp")


def incoming_schema(schema: pa.Schema, frame: pa.Schema, partial: bool) -> pa.Schema:
    """Return the columns of a table that a frame is encoded with.

    Parameters
    ----------
    schema
        The table's columns.
    frame
        The frame's columns.
    partial
        Whether the frame may lack columns.
    """
    return pa.schema([field for field in schema if field.name in frame.names]) if partial else schema


def differences(stored: pa.Schema, frame: pa.Schema, required: Sequence[str]) -> list[str]:
    """Return one phrase for each stored column that the frame lacks though required, or has as another type."""
    problems: list[str] = []
    for field in stored:
        if field.name not in frame.names:
            if field.name in required:
                problems.append(f"column {field.name!r} is stored as {field.type}, the frame lacks it")
            continue
        kind = frame.field(field.name).type
        if not pa.types.is_null(kind) and stored_type(kind) != field.type:
            problems.append(f"column {field.name!r} is stored as {field.type}, the frame has {kind}")
    return problems
