"""The lake's own types: what a column is, whichever library or engine wrote it.

Arrow has several types for one thing (a text is ``string``, ``large_string``, ``string_view`` or a dictionary of them),
and each engine prefers another. A logical type is the thing. Two columns of one logical type that hold the same values
hold the same data; widths of numbers are part of it, since pandas and Spark both keep them.
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
    # Neither Spark nor SQL has unsigned numbers: the next wider type holds them all.
    "uint8": "int16",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "uint64",
    # Nor numbers of two bytes with a fraction.
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
"""Arrow's types without parameters, as Arrow spells them, to logical types."""


class NoLogicalType(TypeError):
    """A column has a type that the lake does not know."""


def logical_type(kind: pyarrow.DataType) -> str:
    """Return the name of the logical type that an Arrow type stands for.

    A time zone is not part of it, only whether there is one: ``instant`` is a point in time, ``timestamp`` what a clock
    on the wall shows. Neither is the unit, nor the order of a struct's fields, nor whether null is allowed.

    Raises
    ------
    NoLogicalType
        Arrow's unions and intervals.
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
    """Return the columns of a schema with their logical types, by name, as one text.

    Raises
    ------
    NoLogicalType
        A column has none; it is named.
    ValueError
        Two columns have one name.
    """
    return _columns(list(schema))


def storage_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return what a type's values are: without dictionaries, run lengths and extensions."""
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
    """Return whether a type is one of Arrow's five lists."""
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
        raise ValueError(f"several columns are named {', '.join(map(repr, twice))}: give each a name of its own")
    described: list[str] = []
    for field in sorted(fields, key=lambda field: field.name):
        try:
            described.append(f"{json.dumps(field.name)}: {logical_type(field.type)}")
        except NoLogicalType as error:
            raise NoLogicalType(f"column {field.name!r}: {error}") from None
    return ", ".join(described)
