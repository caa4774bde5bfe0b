"""What is kept of a column while its values pass by once. The states of parts merge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lake_assets.content.value_hashes import value_hashes
from lake_assets.quality.counting import ROWS, counted_numbers, counted_texts
from lake_assets.quality.frequent import Frequent
from lake_assets.quality.quantiles import new_quantiles, quantiles_of_counts
from lake_assets.quality.sketches import Distinct
from lake_assets.quality.sums import Moments
from lake_assets.quality.texts import Texts

if TYPE_CHECKING:
    import pyarrow

Kind = Literal["integer", "float", "decimal", "boolean", "time", "text", "other"]


def kind_of(data_type: pyarrow.DataType) -> Kind:
    """Return which of the metrics a type has.

    Parameters
    ----------
    data_type
        Arrow's type.
    """
    from pyarrow import types

    if types.is_boolean(data_type):
        return "boolean"
    if types.is_uint64(data_type) or types.is_decimal(data_type):
        return "decimal"
    if types.is_integer(data_type):
        return "integer"
    if types.is_floating(data_type):
        return "float"
    if types.is_temporal(data_type) and not types.is_interval(data_type):
        return "time"
    return "text" if types.is_string(data_type) else "other"


@dataclass(slots=True)
class ColumnState:
    """The state of a column.

    Parameters
    ----------
    name
        Name of the column.
    type
        Arrow's type of its values.
    personal
        Whether only counts and lengths are kept, and no value.
    """

    name: str
    type: pyarrow.DataType
    personal: bool = False
    rows: int = 0
    nulls: int = 0
    nans: int = 0
    above: int = 0
    below: int = 0
    zeros: int = 0
    negatives: int = 0
    low: Any = None
    high: Any = None
    moments: Moments = field(default_factory=Moments)
    quantiles: Any = field(default_factory=new_quantiles)
    distinct: Distinct = field(default_factory=Distinct)
    frequent: Frequent = field(init=False)
    kind: Kind = field(init=False)
    """Which of the metrics the column has."""
    texts: Texts = field(default_factory=Texts)

    def __post_init__(self) -> None:
        import pyarrow as pa

        self.kind = kind_of(self.type)
        kept = {"integer": pa.int64(), "boolean": pa.int64(), "time": pa.int64(), "float": pa.float64()}
        value_type = kept.get(self.kind, self.type if self.kind in ("text", "decimal") else pa.null())
        self.frequent = Frequent(pa.array([], value_type), pa.array([], pa.int64()))
        self.moments.integers = self.kind in ("integer", "boolean", "time")

    def add(self, column: pyarrow.ChunkedArray) -> None:
        """Add values.

        Parameters
        ----------
        column
            The values. Texts may be dictionaries.
        """
        if self.kind == "text":
            self.rows += len(column)
            self.nulls += len(column)
            for values, counts in counted_texts(column):
                self._add_texts(values, counts)
            return
        for chunk in column.chunks:
            for start in range(0, len(chunk), ROWS):
                self._add(chunk.slice(start, ROWS))

    def _add(self, array: pyarrow.Array) -> None:
        self.rows += len(array)
        self.nulls += array.null_count
        valid = array.drop_null() if array.null_count else array
        if not len(valid):
            return
        if self.kind == "other":
            self.distinct.add(_hashes(valid))
        elif self.kind == "float":
            self._add_floats(valid)
        elif self.kind == "decimal":
            self._add_decimals(valid)
        elif self.kind == "boolean":
            self._add_booleans(valid)
        else:
            self._add_integers(valid)

    def merge(self, others: Sequence[ColumnState]) -> None:
        """Add the values of other parts.

        Parameters
        ----------
        others
            The states of the other parts, of the same type.
        """
        for other in others:
            for name in ("rows", "nulls", "nans", "above", "below", "zeros", "negatives"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self._bounds(other.low, other.high)
            self.moments.merge(other.moments)
            if not other.quantiles.is_empty():
                self.quantiles.merge(other.quantiles)
            self.distinct.merge(other.distinct)
        found = [other.frequent for other in others]
        if self.kind != "other":
            self.frequent.merge([(one.values, one.counts, one.error) for one in found])
        if self.kind == "text":
            self.texts.merge([other.texts for other in others])

    def _bounds(self, low: Any, high: Any) -> None:
        if low is not None:
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)

    def _add_booleans(self, valid: pyarrow.Array) -> None:
        true = valid.true_count
        counts = np.array([len(valid) - true, true])
        values = np.flatnonzero(counts)
        self._add_numbers(values, counts[values])

    def _add_integers(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa

        narrow = valid.type.bit_width < 64 and self.kind == "time"
        values = (valid.cast(pa.int32()) if narrow else valid).cast(pa.int64()).to_numpy()
        self._add_numbers(*counted_numbers(values))

    def _add_floats(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa

        values = valid.cast(pa.float64()).to_numpy()
        nan = np.isnan(values)
        if nan.any():
            self.nans += int(nan.sum())
            values = values[~nan]
            if not len(values):
                return
        # The zero without a sign, since it is counted once.
        values, counts = counted_numbers(values + 0.0)
        self.above += int(counts[-1]) if values[-1] == math.inf else 0
        self.below += int(counts[0]) if values[0] == -math.inf else 0
        self._add_numbers(values, counts)

    def _add_numbers(self, values: Any, counts: Any) -> None:
        """Add distinct numbers in ascending order with their counts."""
        import pyarrow as pa

        self._signs(values, counts)
        self.distinct.add(values.view(np.uint64))
        if self.personal:
            return
        self._bounds(values[0].item(), values[-1].item())
        self.quantiles.merge(quantiles_of_counts(values.astype(np.float64), counts))
        self.frequent.merge([(pa.array(values), pa.array(counts), 0)])
        weights = counts if len(values) < counts.sum() else None
        if self.kind == "float":
            finite = slice(int(values[0] == -math.inf), len(values) - int(values[-1] == math.inf))
            self.moments.add_floats(values[finite], None if weights is None else weights[finite])
        else:
            self.moments.add_integers(values, weights)

    def _add_decimals(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa

        counted = valid.value_counts()
        values, counts = counted.field(0), counted.field(1)
        floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        order = np.argsort(floats, kind="stable")
        floats, numbers = floats[order], counts.to_numpy()[order]
        self._signs(floats, numbers)
        hashed = values if self.type.id != pa.uint64().id else values.cast(pa.decimal128(20))
        self.distinct.add(value_hashes(hashed).first)
        if self.personal:
            return
        self._arrow_bounds(values)
        self.moments.add_floats(floats, numbers)
        self.quantiles.merge(quantiles_of_counts(floats, numbers))
        self.frequent.merge([(values, counts, 0)])

    def _add_texts(self, values: pyarrow.Array, counts: pyarrow.Array) -> None:
        self.nulls -= int(counts.to_numpy().sum())
        self.texts.add(values, counts, personal=self.personal)
        self.distinct.add(value_hashes(values).first)
        if self.personal:
            return
        self._arrow_bounds(values)
        self.frequent.merge([(values, counts, 0)])

    def _arrow_bounds(self, values: pyarrow.Array) -> None:
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        bounds = pc.min_max(values)
        self._bounds(bounds["min"].as_py(), bounds["max"].as_py())

    def _signs(self, values: Any, counts: Any) -> None:
        """Count the zeros and negatives of numbers in ascending order."""
        below, to = np.searchsorted(values, 0, "left"), np.searchsorted(values, 0, "right")
        self.negatives += int(counts[:below].sum())
        self.zeros += int(counts[below:to].sum())


def _hashes(values: pyarrow.Array) -> Any:
    """Return hashes of values of any type: of those without a content version, such as unions, by their texts."""
    import pyarrow as pa

    try:
        return value_hashes(values).first
    except (TypeError, ValueError):
        return value_hashes(pa.array([str(value) for value in values], pa.large_string())).first
