"""Values of a column as they are stored, as numbers, and as they are shown."""

from __future__ import annotations

import math
from typing import Any

from lake_assets.quality.column_state import ColumnState


def restored(state: ColumnState, value: Any) -> Any:
    """Return a value as the column's type has it, such as a date. One that Python has not is a text.

    Parameters
    ----------
    state
        The state of the column.
    value
        The value as it is stored, such as the days of a date.
    """
    import pyarrow as pa

    if value is None or isinstance(value, str):
        return value
    if state.kind == "boolean" and value in (0, 1):
        return bool(value)
    if state.kind != "time":
        return value
    kind = state.type
    number = pa.scalar(int(value), pa.int32() if kind.bit_width == 32 else pa.int64())
    if str(kind).startswith(("timestamp[ns", "duration[ns", "time64[ns")):
        number, kind = pa.scalar(int(value) // 1000, pa.int64()), _in_microseconds(kind)
    try:
        return number.cast(kind).as_py()
    except (OverflowError, ValueError, pa.ArrowInvalid):
        return _text(number, kind)


def _in_microseconds(kind: Any) -> Any:
    import pyarrow as pa
    from pyarrow import types

    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.duration("us") if types.is_duration(kind) else pa.time64("us")


def _text(number: Any, kind: Any) -> str:
    """Return the text of a time, such as one in a year of five digits."""
    import pyarrow as pa

    try:
        return number.cast(kind).cast(pa.string()).as_py()
    except (OverflowError, ValueError, pa.ArrowInvalid):
        return str(number.as_py())


def microseconds(kind: str) -> float:
    """Return the unit of a type of times in microseconds.

    Parameters
    ----------
    kind
        Arrow's name of the type.
    """
    units = {"[s": 1e6, "[ms": 1e3, "[us": 1.0, "[ns": 1e-3, "32[day": 86400e6}
    return next((size for unit, size in units.items() if unit in kind), 1.0)


def as_json(value: Any) -> Any:
    """Return a figure as a value of JSON.

    Parameters
    ----------
    value
        The figure.
    """
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
