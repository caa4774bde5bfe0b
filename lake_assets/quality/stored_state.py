"""The binary form of a state: MessagePack, with Arrow's and DataSketches' own forms inside. It contains no code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lake_assets.quality.column_state import ColumnState
from lake_assets.quality.correlation_state import CorrelationState
from lake_assets.quality.frame_state import FrameState
from lake_assets.quality.frequent import Frequent
from lake_assets.quality.quantiles import quantiles_of
from lake_assets.quality.sketches import Distinct
from lake_assets.quality.sums import Moments
from lake_assets.quality.texts import Texts

if TYPE_CHECKING:
    import pyarrow

VERSION = 1
_COUNTS = ("rows", "nulls", "nans", "above", "below", "zeros", "negatives")


def write_state(state: FrameState) -> bytes:
    """Return the binary form of a state.

    Parameters
    ----------
    state
        The state.
    """
    import pyarrow as pa

    correlation = state.correlation
    matrices = (correlation.counts, correlation.means, correlation.squares, correlation.products)
    return msgspec.msgpack.encode(
        {
            "lake_assets_profile": VERSION,
            "schema": pa.schema([(one.name, one.type) for one in state.columns]).serialize().to_pybytes(),
            "columns": [_column(one) for one in state.columns],
            "numbers": correlation.names,
            "matrices": [matrix.astype("<f8").tobytes() for matrix in matrices],
            "rows": state.rows,
            "size": state.size,
            "parts": state.parts,
        }
    )


def read_state(content: bytes) -> FrameState:
    """Return the state of a binary form.

    Parameters
    ----------
    content
        What :func:`write_state` returned.

    Raises
    ------
    ValueError
        It is not the form of a state, or of an unknown version.
    """
    import pyarrow as pa

    try:
        found: Any = msgspec.msgpack.decode(content)
        if found["lake_assets_profile"] != VERSION:
            raise ValueError(f"the profile has version {found['lake_assets_profile']}, not {VERSION}: make it again")
        schema = pa.ipc.read_schema(pa.py_buffer(found["schema"]))
        columns = [
            _read_column(field.name, field.type, one) for field, one in zip(schema, found["columns"], strict=True)
        ]
        names = list(found["numbers"])
        shape = (len(names), len(names))
        matrices = [np.frombuffer(one, "<f8").reshape(shape).copy() for one in found["matrices"]]
        correlation = CorrelationState(names, *matrices)
        return FrameState(columns, correlation, found["rows"], found["size"], dict(found["parts"]))
    except (msgspec.DecodeError, KeyError, TypeError, RuntimeError, pa.ArrowException) as error:
        raise ValueError(f"this is not the state of a profile: {error}") from error


def _column(state: ColumnState) -> dict[str, Any]:
    low, high = (_bound(value) for value in (state.low, state.high))
    texts = state.texts
    return {
        "personal": state.personal,
        "counts": [getattr(state, name) for name in _COUNTS],
        "low": low,
        "high": high,
        "moments": _moments(state.moments),
        "quantiles": b"" if state.quantiles.is_empty() else bytes(state.quantiles.serialize()),
        "distinct": state.distinct.state(),
        "frequent": _frequent(state.frequent),
        "texts": _texts(texts) if state.kind == "text" else [],
        "lengths": _moments(texts.lengths),
        "shapes": _frequent(texts.shapes),
    }


def _read_column(name: str, kind: pyarrow.DataType, found: dict[str, Any]) -> ColumnState:
    state = ColumnState(name, kind, found["personal"])
    for field, value in zip(_COUNTS, found["counts"], strict=True):
        setattr(state, field, value)
    state.low, state.high = (_read_bound(found[side], kind) for side in ("low", "high"))
    state.moments = _read_moments(found["moments"])
    state.quantiles = quantiles_of(found["quantiles"])
    state.distinct = Distinct.of_state(found["distinct"])
    state.frequent = _read_frequent(found["frequent"], state.frequent)
    if found["texts"]:
        # Former profiles have no years.
        empty, blank, shortest, longest, meanings, garbled, *years = found["texts"]
        shapes = _read_frequent(found["shapes"], state.texts.shapes)
        lengths = _read_moments(found["lengths"])
        state.texts = Texts(empty, blank, shortest, longest, lengths, shapes, Counter(meanings), garbled, *years)
    return state


def _texts(texts: Texts) -> list[Any]:
    found = [texts.empty, texts.blank, texts.shortest, texts.longest, dict(texts.meanings), texts.garbled]
    return [*found, texts.first_year, texts.last_year]


def _moments(moments: Moments) -> list[Any]:
    # The sum may have more than 64 bits.
    return [moments.count, f"{moments.units:x}", moments.integers, moments.exponent, *moments.powers]


def _read_moments(found: list[Any]) -> Moments:
    count, units, integers, exponent, *powers = found
    second, third, fourth = (float(power) for power in powers)
    return Moments(count, int(units, 16), integers, exponent, (second, third, fourth))


def _frequent(frequent: Frequent) -> list[Any]:
    if not len(frequent.values):
        return [b"", frequent.error]
    import pyarrow as pa

    batch = pa.record_batch([frequent.values, frequent.counts], ["value", "count"])
    return [batch.serialize().to_pybytes(), frequent.error]


def _read_frequent(found: list[Any], empty: Frequent) -> Frequent:
    import pyarrow as pa

    content, error = found
    if not content:
        return Frequent(empty.values, empty.counts, error)
    schema = pa.schema([("value", empty.values.type), ("count", pa.int64())])
    batch = pa.ipc.read_record_batch(pa.py_buffer(content), schema)
    return Frequent(batch.column(0), batch.column(1), error)


def _bound(value: Any) -> Any:
    """Return a bound as a value of MessagePack. Decimals, and integers beyond 64 bits, are marked texts."""
    if value is None or isinstance(value, str | float) or (isinstance(value, int) and -(1 << 63) <= value < 1 << 63):
        return value
    return [str(value)]


def _read_bound(found: Any, kind: pyarrow.DataType) -> Any:
    from decimal import Decimal

    from pyarrow import types

    if not isinstance(found, list):
        return found
    return Decimal(found[0]) if types.is_decimal(kind) else int(found[0])
