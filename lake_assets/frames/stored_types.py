"""The stored types: one Arrow type for each kind of value, whichever library a column comes from. See docs/types.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


OWN_METADATA = b"lake_assets:"
"""What the names of a schema's metadata begin with that the files keep. All other metadata are those of a library."""


class RefusedColumn(ValueError):
    """A column cannot be stored. The message names it and says what to do."""


def stored_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the stored type for an Arrow type.

    Parameters
    ----------
    kind
        An Arrow type.

    Raises
    ------
    TypeError
        The type cannot be stored. The message says what to do.
    """
    import pyarrow as pa
    from pyarrow import types

    unchanged = (types.is_null, types.is_boolean, types.is_signed_integer, types.is_float32, types.is_float64)
    if any(test(kind) for test in unchanged):
        return kind
    if types.is_unsigned_integer(kind):
        # Neither Spark nor SQL has unsigned numbers. The next wider type holds them all, except for 64 bits.
        return {8: pa.int16(), 16: pa.int32()}.get(kind.bit_width, pa.int64())
    if types.is_float16(kind):
        return pa.float32()
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    ):
        return pa.binary()
    if types.is_date(kind):
        return pa.date32()
    if isinstance(kind, pa.TimestampType):
        # The instant is stored, in UTC. The original time zone is dropped.
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_decimal(kind):
        return _decimal(kind)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return stored_type(kind.value_type)
    if isinstance(kind, pa.MapType):
        return pa.map_(stored_type(kind.key_type), stored_type(kind.item_type))
    if isinstance(kind, pa.StructType):
        return _struct(kind)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(stored_type(kind.value_type))
    if types.is_time(kind):
        raise TypeError("is a time of day, which Spark has no type for: store it as text, or as seconds in an integer")
    if types.is_duration(kind) or types.is_interval(kind):
        raise TypeError("is an interval, which has no type in the lake: store it as a number of microseconds")
    raise TypeError(f"is of type {kind}, which has no type in the lake: cast it to one of docs/types.md")


def type_named(name: str) -> pyarrow.DataType:
    """Return the stored type for a type name in an asset's definition; text if the name is not known.

    Parameters
    ----------
    name
        A type name of Arrow or SQL.
    """
    import pyarrow as pa

    sql = {
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "timestamp_ntz": pa.timestamp("us"),
    }
    try:
        return sql.get(name.lower()) or stored_type(pa.type_for_alias(name))
    except (TypeError, ValueError):
        return pa.string()


def stored_schema(schema: pyarrow.Schema) -> pyarrow.Schema:
    """Return the schema in the stored types, without the metadata of libraries.

    Parameters
    ----------
    schema
        The schema of a frame.

    Raises
    ------
    RefusedColumn
        A column has no stored type, or two columns have the same name.
    """
    import pyarrow as pa

    refuse_repeated(schema.names)
    fields: list[pa.Field] = []
    for field in schema:
        try:
            fields.append(pa.field(field.name, stored_type(field.type)))
        except TypeError as error:
            raise RefusedColumn(f"column {field.name!r} {error}") from None
    kept = {name: text for name, text in (schema.metadata or {}).items() if name.startswith(OWN_METADATA)}
    return pa.schema(fields, kept or None)


def refuse_repeated(names: Iterable[str], what: str = "column") -> None:
    """Refuse names that differ in case only, since Spark and DuckDB cannot tell them apart.

    Parameters
    ----------
    names
        The names.
    what
        What has the names, for errors.

    Raises
    ------
    RefusedColumn
        Two names differ in case only, or are the same.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(name.lower())
        seen[name.lower()] = name
        if other is not None:
            how = f"{name!r} occurs twice" if other == name else f"{other!r} and {name!r} differ in case only"
            raise RefusedColumn(f"{what} {how}, and Spark cannot tell them apart: rename one")


def _decimal(kind: pyarrow.DataType) -> pyarrow.DataType:
    import pyarrow as pa

    scale = max(kind.scale, 0)
    precision = max(kind.precision - min(kind.scale, 0), scale)
    if precision > 38:
        raise TypeError(f"is {kind}, and decimals have 38 digits at most: round it, or store it as text")
    return pa.decimal128(precision, scale)


def _struct(kind: pyarrow.StructType) -> pyarrow.DataType:
    import pyarrow as pa

    fields = [kind.field(index) for index in range(kind.num_fields)]
    if not fields:
        raise TypeError("is a struct without fields, which Parquet cannot hold: add a field, or store None")
    if any(b"variant" in (field.metadata or {}) for field in fields):
        raise TypeError("is a variant, which has no type in the lake: store it as text, by `to_json`")
    try:
        refuse_repeated([field.name for field in fields], "field")
    except RefusedColumn as error:
        raise TypeError(f"is a struct whose {error}") from None
    return pa.struct([pa.field(field.name, stored_type(field.type)) for field in fields])
