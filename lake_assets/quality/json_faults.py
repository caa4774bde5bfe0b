"""What a column's type does not hold of a JSON value. A conversion alone would cut numbers and drop new fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pyarrow

Judge: TypeAlias = Callable[[Any], Sequence[str]]
"""Returns what is wrong with a value. Each fault begins with the path from the value, such as ``[].price``."""
_INTEGERS = 1 << 63
_EXACT = 1 << 53
"""Up to here, each integer is a floating-point number."""


def judge_of(kind: pyarrow.DataType) -> Judge:
    """Return the judge of the values of a type. Null has every type.

    Parameters
    ----------
    kind
        The type.

    Examples
    --------
    >>> judge_of(pyarrow.struct([("price", pyarrow.int64())]))({"price": 1.5, "size": 1})
    ['.price is no int64', '.size: no such column']
    """
    from pyarrow import types

    if types.is_struct(kind):
        fields: Any = kind
        return judge_of_objects({field.name: judge_of(field.type) for field in fields})
    if types.is_list(kind) or types.is_large_list(kind):
        return _judge_of_lists(kind)
    return _judge_of_values(kind)


def judge_of_objects(judges: Mapping[str, Judge]) -> Judge:
    """Return the judge of objects. A name that is not known is a fault.

    Parameters
    ----------
    judges
        The judges of what the names hold.
    """

    def judge(value: Any) -> Sequence[str]:
        if not isinstance(value, dict):
            return () if value is None else (" is no object",)
        named: dict[str, Any] = value
        found: list[str] = []
        for name, one in named.items():
            judge_one = judges.get(name, _unknown)
            found += [f".{name}{fault}" for fault in judge_one(one)]
        return found

    return judge


def _unknown(value: Any) -> Sequence[str]:
    del value
    return (": no such column",)


def _judge_of_lists(kind: Any) -> Judge:
    judge_one = judge_of(kind.value_type)

    def judge(value: Any) -> Sequence[str]:
        if not isinstance(value, list):
            return () if value is None else (" is no list",)
        items: list[Any] = value
        return [f"[]{fault}" for one in items for fault in judge_one(one)]

    return judge


def _judge_of_values(kind: pyarrow.DataType) -> Judge:
    from pyarrow import types

    known: list[tuple[Callable[[Any], bool], Callable[[Any], bool]]] = [
        (types.is_boolean, lambda value: isinstance(value, bool)),
        (types.is_int64, _is_integer),
        (types.is_float64, _is_number),
        (types.is_string, lambda value: isinstance(value, str)),
    ]
    fits = next((fits for is_kind, fits in known if is_kind(kind)), lambda value: _converts(value, kind))

    wrong = (f" is no {kind}",)
    return lambda value: () if value is None or fits(value) else wrong


def _is_integer(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and -_INTEGERS <= value < _INTEGERS
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and -_EXACT <= value <= _EXACT
    return isinstance(value, float)


def _converts(value: Any, kind: pyarrow.DataType) -> bool:
    import pyarrow as pa

    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True
