"""Logical types: the types of columns, independent of the library or engine that wrote them.

Arrow has several types for the same kind of value, and each engine prefers another one. For example, a text may be
``string``, ``large_string``, ``string_view`` or a dictionary of them. They all have the logical type ``text``. Columns
with the same logical type and the same values are the same data. The width of a number is part of its logical type,
since pandas and Spark both keep it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

_NAMES = {
    "null": "null",
    "bool": "boolean",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    # Neither Spark nor SQL has unsigned numbers. The next wider type holds them all.
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "uint64",
    # Neither Spark nor SQL has floats of 16 bits.
    "halffloat": "float32",
    "float": "float32",
    "double": "float64",
    "string": "text",
    "large_string": "text",
    "string_view": "text",
    "binary": "binary",
    "large_binary": "binary",
    "binary_view": "binary",
    "date32[day]": "date",
    "date64[ms]": "date",
}
"""Name of an Arrow type without parameters to logical type."""


class NoLogicalType(TypeError):
    """A column has an Arrow type without a logical type."""


def logical_type(kind: pyarrow.DataType) -> str:
    """Return the name of the logical type of an Arrow type.

    A timestamp with a time zone is an ``instant``, and one without is a ``timestamp``. The time zone itself, the unit,
    the order of a struct's fields, and whether nulls are allowed are not part of the logical type.

    Parameters
    ----------
    kind
        An Arrow type.

    Raises
    ------
    NoLogicalType
        The type is a union or an interval.
    """
    import pyarrow
    from pyarrow import types

    kind = storage_type(kind)
    name = _NAMES.get(str(kind))
    if name is not None:
        return name
    if types.is_fixed_size_binary(kind):
        return "binary"
    if isinstance(kind, pyarrow.TimestampType):
        return "timestamp" if kind.tz is None else "instant"
    if types.is_time(kind):
        return "time"
    if types.is_duration(kind):
        return "duration"
    if types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if is_any_list(kind):
        return f"list<{logical_type(kind.value_type)}>"
    if isinstance(kind, pyarrow.MapType):
        return f"map<{logical_type(kind.key_type)},{logical_type(kind.item_type)}>"
    if isinstance(kind, pyarrow.StructType):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return f"struct<{_columns(fields)}>"
    raise NoLogicalType(f"the lake has no type for Arrow's {kind}")


def logical_schema(schema: pyarrow.Schema) -> str:
    """Return the columns of a schema with their logical types, sorted by name, as one text.

    Parameters
    ----------
    schema
        The schema.

    Raises
    ------
    NoLogicalType
        A column has no logical type. The message names it.
    ValueError
        Two columns have the same name.
    """
    return _columns(list(schema))


def storage_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type of the values: without dictionary encoding, run-length encoding and extensions.

    Parameters
    ----------
    kind
        An Arrow type.
    """
    import pyarrow
    from pyarrow import types

    while True:
        if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pyarrow.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def is_any_list(kind: pyarrow.DataType) -> bool:
    """Return whether a type is one of Arrow's five list types.

    Parameters
    ----------
    kind
        An Arrow type.
    """
    from pyarrow import types

    return (
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _columns(fields: list[pyarrow.Field]) -> str:
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"several columns are named {', '.join(map(repr, twice))}: rename them")
    described: list[str] = []
    for field in sorted(fields, key=lambda field: field.name):
        try:
            described.append(f"{json.dumps(field.name)}: {logical_type(field.type)}")
        except NoLogicalType as error:
            raise NoLogicalType(f"column {field.name!r}: {error}") from None
    return ", ".join(described)
