"""What is counted of texts: lengths, empty and blank ones, shapes, and what they mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lake_assets.quality.frequent import Frequent, summed
from lake_assets.quality.garbled import GARBLED
from lake_assets.quality.sums import Moments

if TYPE_CHECKING:
    import pyarrow

SEMANTIC_TYPES = {
    "ISIN": r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$",
    "UUID": r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "e-mail": r"^[^@\s]+@[^@\s]+\.[^@\s.]+$",
    "URL": r"^https?://\S+$",
    "IP": r"^(((25[0-5]|2[0-4]\d|1?\d?\d)(\.|$)){4}|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7})$",
    "date": r"^(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{4})$",
    "time": r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$",
    "timestamp": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$",
    "integer": r"^[+-]?\d+$",
    "decimal": r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$",
    "boolean": r"^(?i:true|false|yes|no)$",
    "currency": r"^(AUD|BGN|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|ILS|INR|ISK|JPY|KRW|MXN|NOK|NZD|PLN|RON|RUB|SEK|SGD"
    r"|THB|TRY|USD|ZAR)$",
}
"""What the values of a column mean, by a pattern. Of types that all fit, the first counts."""
_TRIED = 256
_SHARE = 0.95


def _classes() -> np.ndarray[Any, np.dtype[np.uint8]]:
    table = np.arange(256, dtype=np.uint8)
    table[ord("0") : ord("9") + 1] = ord("9")
    table[ord("A") : ord("Z") + 1] = ord("A")
    table[ord("a") : ord("z") + 1] = ord("a")
    table[0x80:] = ord("a")
    return table


_CLASSES = _classes()


def shapes(values: pyarrow.Array) -> pyarrow.Array:
    """Return the shapes of texts: runs of small letters become ``a``, of capitals ``A``, of digits ``9``.

    Parameters
    ----------
    values
        Texts without nulls.
    """
    import pyarrow as pa

    values = values.cast(pa.large_string())
    offsets = np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]
    data = values.buffers()[2]
    if data is None or not len(values) or offsets[-1] == offsets[0]:
        return pa.array([""] * len(values), pa.string())
    content = _CLASSES[np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]]
    offsets = offsets - offsets[0]
    kept = np.ones(len(content), bool)
    kept[1:] = content[1:] != content[:-1]
    # Not within a run is what begins a text.
    kept[offsets[:-1][offsets[:-1] < len(content)]] = True
    ends = np.concatenate([[0], np.cumsum(kept)])[offsets].astype(np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(content[kept]))


def _no_texts() -> Frequent:
    import pyarrow as pa

    return Frequent(pa.array([], pa.string()), pa.array([], pa.int64()))


_DATES = ("date", "timestamp")


@dataclass(slots=True)
class Texts:
    """What was counted of the texts of a column."""

    empty: int = 0
    blank: int = 0
    shortest: int | None = None
    longest: int | None = None
    lengths: Moments = field(default_factory=lambda: Moments(integers=True))
    shapes: Frequent = field(default_factory=_no_texts)
    meanings: Counter[str] = field(default_factory=Counter)
    """Semantic type to the number of values that fit it; at least so many, for a type that is rare."""
    garbled: int = 0
    first_year: int | None = None
    """The first year of texts that are dates."""
    last_year: int | None = None

    def add(self, values: pyarrow.Array, counts: pyarrow.Array, *, personal: bool) -> None:
        """Add distinct texts with their counts.

        Parameters
        ----------
        values
            The texts, without nulls.
        counts
            Their counts.
        personal
            Whether only lengths are wanted.
        """
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        numbers = counts.to_numpy()
        lengths = pc.utf8_length(values).to_numpy().astype(np.int64)
        self.empty += int(numbers[lengths == 0].sum())
        blank = pc.utf8_is_space(values).to_numpy(zero_copy_only=False)
        self.blank += int(numbers[blank & (lengths > 0)].sum())
        self._bounds(int(lengths.min()), int(lengths.max()))
        self.lengths.add_integers(lengths, numbers)
        # Only texts that are not of ASCII alone have more bytes than characters.
        if int(pc.sum(pc.binary_length(values)).as_py()) > int(lengths.sum()):
            garbled = pc.match_substring_regex(values, GARBLED).to_numpy(zero_copy_only=False)
            self.garbled += int(numbers[garbled].sum())
        if personal:
            return
        self.shapes.merge([(*summed(shapes(values), counts), 0)])
        self._mean(values, numbers)

    def merge(self, others: list[Texts]) -> None:
        """Add the texts of other parts.

        Parameters
        ----------
        others
            The other parts.
        """
        for other in others:
            self.empty += other.empty
            self.blank += other.blank
            self.garbled += other.garbled
            if other.shortest is not None and other.longest is not None:
                self._bounds(other.shortest, other.longest)
            if other.first_year is not None and other.last_year is not None:
                self._span(other.first_year, other.last_year)
            self.lengths.merge(other.lengths)
            self.meanings.update(other.meanings)
        self.shapes.merge([(one.shapes.values, one.shapes.counts, one.shapes.error) for one in others])

    def years(self) -> tuple[int, int] | None:
        """Return the first and the last year of texts that are dates; None if they are less than half of the texts."""
        dates = max(self.meanings[name] for name in _DATES)
        if self.first_year is None or self.last_year is None or 2 * dates < self.lengths.count - self.empty:
            return None
        return self.first_year, self.last_year

    def meaning(self) -> str | None:
        """Return the first semantic type that nearly all texts fit that are not empty; None if there is none."""
        filled = self.lengths.count - self.empty
        if not filled:
            return None
        return next((name for name in SEMANTIC_TYPES if self.meanings[name] >= _SHARE * filled), None)

    def _bounds(self, shortest: int, longest: int) -> None:
        self.shortest = shortest if self.shortest is None else min(self.shortest, shortest)
        self.longest = longest if self.longest is None else max(self.longest, longest)

    def _span(self, first: int, last: int) -> None:
        self.first_year = first if self.first_year is None else min(self.first_year, first)
        self.last_year = last if self.last_year is None else max(self.last_year, last)

    def _mean(self, values: pyarrow.Array, numbers: Any) -> None:
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        first = values.slice(0, _TRIED)
        for name, pattern in SEMANTIC_TYPES.items():
            fits = pc.match_substring_regex(first, pattern).to_numpy(zero_copy_only=False)
            if not fits.any():
                continue
            if 2 * fits.sum() >= len(first) and len(values) > len(first):
                fits = pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)
            self.meanings[name] += int(numbers[: len(fits)][fits].sum())
            if name in _DATES:
                years = pc.extract_regex(values.slice(0, len(fits)).filter(fits), r"(?P<year>\d{4})")
                found = pc.min_max(pc.struct_field(years, "year").cast("int32"))
                self._span(found["min"].as_py(), found["max"].as_py())
