"""What is kept of a column while its values pass by once. The states of parts merge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lake_assets.content.value_hashes import value_hashes
from lake_assets.quality.frequent import Frequent
from lake_assets.quality.sketches import Distinct, new_quantiles
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

    def add(self, array: pyarrow.Array) -> None:
        """Add values.

        Parameters
        ----------
        array
            The values.
        """
        self.rows += len(array)
        self.nulls += array.null_count
        valid = array.drop_null() if array.null_count else array
        if not len(valid):
            return
        kind = self.kind
        if kind == "text":
            self._add_texts(valid)
        elif kind == "other":
            self.distinct.add(value_hashes(valid).first)
        elif kind == "float":
            self._add_floats(valid)
        elif kind == "decimal":
            self._add_decimals(valid)
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

    def _add_integers(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa

        if self.kind == "boolean":
            valid = valid.cast(pa.int8())
        narrow = valid.type.bit_width < 64 and self.kind == "time"
        values = (valid.cast(pa.int32()) if narrow else valid).cast(pa.int64()).to_numpy()
        self._count(values)
        self.distinct.add(values.view(np.uint64))
        if self.personal:
            return
        self._bounds(int(values.min()), int(values.max()))
        self.moments.add_integers(values)
        self.quantiles.update(values.astype(np.float64))

    def _add_floats(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa

        values = valid.cast(pa.float64()).to_numpy()
        finite = np.isfinite(values)
        if not finite.all():
            nan = np.isnan(values)
            self.nans += int(nan.sum())
            self.above += int((values == math.inf).sum())
            self.below += int((values == -math.inf).sum())
            values, finite = values[~nan], finite[~nan]
            if not len(values):
                return
        # The zero without a sign, since it is counted once.
        values = values + 0.0
        self._count(values)
        self.distinct.add(values.view(np.uint64))
        if self.personal:
            return
        self._bounds(float(values.min()), float(values.max()))
        self.moments.add_floats(values if finite.all() else values[finite])
        self.quantiles.update(values)

    def _add_decimals(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        values = valid.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).copy()
        self.zeros += int((values == 0).sum())
        self.negatives += int((values < 0).sum())
        hashed = valid if self.type.id != pa.uint64().id else valid.cast(pa.decimal128(20))
        self.distinct.add(value_hashes(hashed).first)
        if self.personal:
            return
        bounds = pc.min_max(valid)
        self._bounds(bounds["min"].as_py(), bounds["max"].as_py())
        self.moments.add_floats(values)
        self.quantiles.update(values)
        counted = valid.value_counts()
        self.frequent.merge([(counted.field(0), counted.field(1), 0)])

    def _add_texts(self, valid: pyarrow.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        counted = valid.value_counts()
        values, counts = counted.field(0), counted.field(1)
        self.texts.add(values, counts, personal=self.personal)
        self.distinct.add(value_hashes(values).first)
        if self.personal:
            return
        bounds = pc.min_max(values)
        self._bounds(bounds["min"].as_py(), bounds["max"].as_py())
        self.frequent.merge([(values, pa.array(counts), 0)])

    def _count(self, values: Any) -> None:
        import pyarrow as pa

        self.zeros += int(np.count_nonzero(values == 0))
        self.negatives += int(np.count_nonzero(values < 0))
        if not self.personal:
            unique, counts = np.unique(values, return_counts=True)
            self.frequent.merge([(pa.array(unique), pa.array(counts.astype(np.int64)), 0)])
