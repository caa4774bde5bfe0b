"""Splits lines into fields, by RFC 4180 but for line breaks in fields: a record is one line.

A quote is *stray* within a field that has none at its beginning, or where its field goes on after it; so is one that
is never closed. A field with a stray quote ends at the next comma after it, an open one at the line's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lake_assets.compute.lines import bytes_of, cut
from lake_assets.defs.stocks.schema import COLUMNS, arrow_schema

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

    from lake_assets.compute.lines import Places

    Mask = NDArray[np.bool_]

_QUOTE, _COMMA = b'",'
# What is between quotes that are right, whatever blanks follow them; or after one that is never closed.
_QUOTED = r'\A"([^"]*(?:""[^"]*)*)(?:"[\x00- ]*)?\z'

# Where a line stands after a quote or a comma. The one to come is of a kind, and follows at once, or after others.
_BEGIN, _TEXT, _QUOTES, _CLOSED, _STRAY = 0, 1, 2, 3, 4
_AT_ONCE, _IS_QUOTE = 1, 2
_STEPS = np.full((8, 4), _BEGIN, np.uint8)
_STEPS[_BEGIN, _IS_QUOTE] = _STEPS[_TEXT, _IS_QUOTE:] = _TEXT | _STRAY
_STEPS[_BEGIN, _IS_QUOTE | _AT_ONCE] = _STEPS[_QUOTES, :_IS_QUOTE] = _QUOTES
_STEPS[_QUOTES, _IS_QUOTE:] = _CLOSED
_STEPS[_CLOSED] = [_BEGIN | _STRAY, _BEGIN, _TEXT | _STRAY, _QUOTES]
# What was stray remains so.
_STEPS[_STRAY:] = _STEPS[:_STRAY] | _STRAY


class Fields:
    """The fields of lines.

    Parameters
    ----------
    lines
        Lines of UTF-8 text, without their line ends.
    """

    def __init__(self, lines: pyarrow.BinaryArray) -> None:
        self._data, ends = bytes_of(lines)
        is_quote = self._data == _QUOTE
        found = np.flatnonzero((self._data == _COMMA) | is_quote).astype(np.int32)
        quotes = is_quote[found]
        begins = np.zeros(len(self._data) + 1, np.bool_)
        begins[ends[:-1]] = True
        at_once = begins[found]
        at_once[1:] |= np.diff(found) == 1
        after, stray = _walk(ends, found, quotes * np.uint8(_IS_QUOTE) + at_once)
        commas = np.flatnonzero((after & ~np.uint8(_STRAY)) == _BEGIN).astype(np.int32)
        first = np.searchsorted(found[commas], ends)
        self.whole = np.diff(first) == len(COLUMNS) - 1
        """Which lines have a field for each column."""
        self.stray = stray[self.whole]
        """Which of these have stray quotes."""
        between = commas[first[:-1][self.whole][:, None] + np.arange(len(COLUMNS) - 1)]
        begin, end = (np.searchsorted(found, places[self.whole]).astype(np.int32) for places in (ends[:-1], ends[1:]))
        self._starts = np.column_stack([ends[:-1][self.whole], found[between] + 1])
        self._stops = np.column_stack([found[between], ends[1:][self.whole]])
        self._unquote(found, quotes, np.column_stack([begin, between + 1]), np.column_stack([between, end]))

    def _unquote(self, found: Places, quotes: Mask, begins: Places, ends: Places) -> None:
        """Leave quotes out that are around a field, with none within; note which other fields begin with one."""
        some = np.flatnonzero(begins < ends)
        begin, end = begins.ravel()[some], ends.ravel()[some]
        starts, stops = self._starts.ravel(), self._stops.ravel()
        opened = quotes[begin] & (found[begin] == starts[some])
        before = np.concatenate([[0], np.cumsum(quotes, dtype=np.int32)])
        closed = opened & (before[end] - before[begin] == 2) & quotes[end - 1] & (found[end - 1] == stops[some] - 1)
        starts[some[closed]] += 1
        stops[some[closed]] -= 1
        self._odd = np.zeros(self._starts.shape, np.bool_)
        self._odd.ravel()[some[opened & ~closed]] = True

    def column(self, at: int, lines: Places) -> pyarrow.Array:
        """Return a field of whole lines as texts. Empty fields are null, quoted or not. Texts that repeat are encoded.

        Parameters
        ----------
        at
            Which field.
        lines
            Which of the whole lines, in their order.
        """
        import pyarrow as pa

        starts, stops = self._starts[lines, at], self._stops[lines, at]
        values = cut(self._data, starts, stops).take(pa.array(np.arange(0, 2 * len(starts), 2)))
        valid = pa.py_buffer(np.packbits(starts < stops, bitorder="little"))
        # Fields begin and end beside commas and quotes, so those of UTF-8 text are UTF-8 text.
        texts = pa.Array.from_buffers(pa.string(), len(values), [valid, *values.buffers()[1:]])
        odd = self._odd[lines, at]
        if odd.any():
            texts = _unquoted(texts, odd)
        field = arrow_schema().field(at)
        return texts.dictionary_encode() if pa.types.is_dictionary(field.type) or field.name == "Date" else texts


def _walk(ends: Places, found: Places, kinds: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Mask]:
    """Return where each line stands after each of its quotes and commas, and whether it has stray quotes.

    All lines go on together, by one quote or comma at a time.

    Parameters
    ----------
    ends
        The place of each line, and of the end.
    found, kinds
        The places and kinds of the quotes and commas.
    """
    first = np.searchsorted(found, ends)
    numbers = np.diff(first)
    order = np.argsort(-numbers, kind="stable")
    going_on = len(order) - np.searchsorted(numbers[order[::-1]], np.arange(numbers.max(initial=0)), side="right")
    begins = first[:-1][order]
    after = np.empty(len(found), np.uint8)
    states = np.zeros(len(order), np.uint8)
    steps = _STEPS.ravel()
    for at, number in enumerate(going_on):
        places = begins[:number] + at
        states[:number] = after[places] = steps[states[:number] * 4 + kinds[places]]
    last = np.empty_like(states)
    last[order] = states
    # What ends within quotes is open. What ends behind some is right if nothing follows them.
    closed = last == _CLOSED
    closed[closed] = found[first[1:][closed] - 1] == ends[1:][closed] - 1
    return after, (last & _STRAY > 0) | (last == _QUOTES) | ((last == _CLOSED) & ~closed)


def _unquoted(column: pyarrow.StringArray, odd: Mask) -> pyarrow.StringArray:
    """Return fields without the quotes around those that have more quotes than these.

    Parameters
    ----------
    column
        The fields.
    odd
        Which of them begin with a quote, and are not yet without it.
    """
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    where = pa.array(odd)
    raw = column.filter(where)
    inner = pc.replace_substring(pc.replace_substring_regex(raw, _QUOTED, r"\1"), '""', '"')
    texts = pc.if_else(pc.match_substring_regex(raw, _QUOTED), inner, raw)
    return pc.replace_with_mask(column, where, pc.if_else(pc.equal(texts, ""), None, texts))


def read_plain(lines: pyarrow.BinaryArray) -> pyarrow.Table:
    """Return lines that are beyond doubt bars as typed columns. Texts become dictionaries.

    Parameters
    ----------
    lines
        The lines, with their line ends.
    """
    import pyarrow as pa
    from pyarrow import csv

    if not len(lines):
        return arrow_schema().empty_table()
    data, _ = bytes_of(lines)
    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(data)),
        csv.ReadOptions(column_names=[column.name for column in COLUMNS], use_threads=False, block_size=len(data) + 1),
        csv.ParseOptions(ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types={field.name: field.type for field in arrow_schema()},
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
