"""The common schema of partitions with different columns. Types are widened only if no value changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lake_assets.frames.stored_types import RefusedColumn

if TYPE_CHECKING:
    import pyarrow

_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
"""Number of bits of an integer to the number of decimal digits of its largest value."""


def promoted(left: pyarrow.DataType, right: pyarrow.DataType) -> pyarrow.DataType | None:
    """Return the type that holds all values of two stored types unchanged; None if there is no such type.

    - Null becomes any type.
    - A number becomes a wider one, and a decimal one with more digits.
    - An integer becomes a decimal, or a float if the float is exact for all integers of its width.
    - Lists, maps and structs are widened inside. Fields of structs are matched by name.

    Parameters
    ----------
    left
        A stored type.
    right
        Another stored type.
    """
    import pyarrow as pa
    from pyarrow import types

    if left == right or types.is_null(right):
        return left
    if types.is_null(left):
        return right
    if isinstance(left, pa.StructType) and isinstance(right, pa.StructType):
        fields = _fields({field.name: field.type for field in kind} for kind in (left, right))
        return None if fields is None else pa.struct(list(fields.items()))
    if isinstance(left, pa.MapType) and isinstance(right, pa.MapType):
        key, item = promoted(left.key_type, right.key_type), promoted(left.item_type, right.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if types.is_list(left) and types.is_list(right):
        value = promoted(left.value_type, right.value_type)
        return None if value is None else pa.list_(value)
    return _number(left, right)


def common_schema(schemas: Mapping[str, pyarrow.Schema]) -> pyarrow.Schema:
    """Return the schema that holds the rows of several schemas.

    Parameters
    ----------
    schemas
        Name of a folder or file, for errors, to its stored schema.

    Raises
    ------
    RefusedColumn
        No type holds all values of a column, or two column names differ in case only. The message says where.
    """
    import pyarrow as pa

    columns: dict[str, tuple[pa.DataType, str]] = {}
    first_names: dict[str, str] = {}
    for place, schema in schemas.items():
        for field in schema:
            name = first_names.setdefault(field.name.lower(), field.name)
            if name != field.name:
                raise RefusedColumn(
                    f"column {field.name!r} of {place} is called {name!r} in {columns[name][1]}: write one of them "
                    "again, with the name of the other"
                )
            known, where = columns.get(name, (field.type, place))
            kind = promoted(known, field.type)
            if kind is None:
                raise RefusedColumn(
                    f"column {name!r} is {field.type} in {place} and {known} in {where}, and no type holds both "
                    "unchanged: cast one of them to the other's type, and write it again"
                )
            columns[name] = (kind, where if kind == known else place)
    return pa.schema([(name, kind) for name, (kind, _) in columns.items()])


def _fields(structs: Iterable[Mapping[str, pyarrow.DataType]]) -> dict[str, pyarrow.DataType] | None:
    fields: dict[str, pyarrow.DataType] = {}
    for struct in structs:
        for name, kind in struct.items():
            common = promoted(fields.get(name, kind), kind)
            if common is None:
                return None
            fields[name] = common
    return fields if len({name.lower() for name in fields}) == len(fields) else None


def _number(left: pyarrow.DataType, right: pyarrow.DataType) -> pyarrow.DataType | None:
    import pyarrow as pa
    from pyarrow import types

    integers = [kind for kind in (left, right) if types.is_integer(kind)]
    floats = [kind for kind in (left, right) if types.is_floating(kind)]
    decimals = [kind for kind in (left, right) if types.is_decimal(kind)]
    if len(integers) == 2 or len(floats) == 2:
        return max(left, right, key=lambda kind: kind.bit_width)
    if integers and floats:
        bits = integers[0].bit_width
        if bits == 64:
            return None
        return floats[0] if bits < 32 else pa.float64()
    if decimals and len(decimals) + len(integers) == 2:
        parts = [(kind.precision - kind.scale, kind.scale) for kind in decimals]
        parts += [(_DIGITS[kind.bit_width], 0) for kind in integers]
        before, after = (max(digits) for digits in zip(*parts, strict=True))
        return pa.decimal128(before + after, after) if before + after <= 38 else None
    return None
