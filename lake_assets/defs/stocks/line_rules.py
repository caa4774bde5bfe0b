"""What makes a line of the exchange's file a bar, and why a line breaks the rules. All rules work on whole arrays.

Nearly every line of a real file is *plain*: beyond doubt a bar, by one regular expression. Only the other lines are
split and judged field by field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lake_assets.compute.lines import bytes_of, cut
from lake_assets.defs.stocks.check_digits import LENGTH, check_digits_are_right
from lake_assets.defs.stocks.fields import Fields
from lake_assets.defs.stocks.schema import COLUMNS, HEADER, Column, arrow_schema

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

LONGEST_LINE = 4096
"""In bytes, without the line end; a bar takes about 120. A longer line is not even split."""

WRONG_DIGIT = "ISIN fails its check digit"

_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?(?:[eE][-+]?[0-9]{1,2})?"
_PATTERNS = {
    "ISIN": "[A-Z]{2}[A-Z0-9]{9}[0-9]",
    "Currency": "[A-Z]{3}",
    "Date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "Time": "(?:[01][0-9]|2[0-3]):[0-5][0-9]",
}
_TEXTS = ("Mnemonic", "SecurityDesc", "SecurityType")
_HEAD = 7
"""The columns up to the day, whose fields may have quotes in a plain line."""

# Arrow matches bytes one by one: a character of several bytes is spelled out, so that what matches is UTF-8.
_WIDE = "|".join(
    (
        r"[\xC2-\xDF][\x80-\xBF]",
        r"\xE0[\xA0-\xBF][\x80-\xBF]",
        r"[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}",
        r"\xED[\x80-\x9F][\x80-\xBF]",
        r"\xF0[\x90-\xBF][\x80-\xBF]{2}",
        r"[\xF1-\xF3][\x80-\xBF]{3}",
        r"\xF4[\x80-\x8F][\x80-\xBF]{2}",
    )
)
_UTF8 = rf"\A(?:[\x00-\x7F]|{_WIDE})*\z"

# What the plain form asks of a value: a subset of the rule that needs no cast, and that is quick to match.
_LONG_MONTH = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_PLAIN = {
    "Date": f"[12][0-9]{{3}}-(?:{_LONG_MONTH}|{_SHORT_MONTH}|02-(?:0[1-9]|1[0-9]|2[0-8]))",
    "SecurityID": "-?[0-9]{1,9}",
    "NumberOfTrades": "-?[0-9]{1,9}",
}


class Refusal(NamedTuple):
    """Lines that break a rule.

    Parameters
    ----------
    lines
        Their places among the lines.
    reason
        The rule.
    values
        What is wrong in each line, which ends the reason; None if the reason says it all.
    """

    lines: NDArray[np.intp]
    reason: str
    values: pyarrow.Array | None = None

    def reasons(self) -> pyarrow.StringArray:
        """Return the reason of each line."""
        import pyarrow as pa

        if self.values is None:
            return pa.repeat(self.reason, len(self.lines))
        pc = _compute()
        shown = pc.utf8_slice_codeunits(self.values.cast(pa.string()), 0, 40)
        return pc.binary_join_element_wise(self.reason, shown, ": ")


class Judged(NamedTuple):
    """What lines turned out to be.

    Parameters
    ----------
    valid
        Which lines are bars.
    fields, kept
        The fields of some lines, and which of them are the bars.
    refusals
        Why the other lines are none. Each is in one of them.
    """

    valid: Mask
    fields: Fields
    kept: NDArray[np.intp]
    refusals: list[Refusal]

    def bars(self) -> pyarrow.Table:
        """Return the bars, typed."""
        import pyarrow as pa

        typed = [_typed(self.fields.column(at, self.kept), field.type) for at, field in enumerate(arrow_schema())]
        return pa.table(typed, schema=arrow_schema())

    def reasons(self) -> pyarrow.StringArray:
        """Return for each line that is no bar the first rule that it breaks."""
        import pyarrow as pa

        places = np.argsort(np.concatenate([refusal.lines for refusal in self.refusals]))
        return pa.concat_arrays([refusal.reasons() for refusal in self.refusals]).take(pa.array(places))


def are_plain(lines: pyarrow.BinaryArray) -> Mask:
    """Return which lines are beyond doubt bars, if their check digits are right.

    Parameters
    ----------
    lines
        The lines, with their line ends.
    """
    return _match(lines, _PLAIN_LINE) & (_lengths(lines) <= LONGEST_LINE)


def without_ends(lines: pyarrow.BinaryArray) -> pyarrow.BinaryArray:
    r"""Return lines without the ``\n`` or ``\r\n`` that ends them.

    Parameters
    ----------
    lines
        The lines.
    """
    import pyarrow as pa

    data, places = bytes_of(lines)
    starts, stops = places[:-1], places[1:].copy()
    for end in b"\n\r":
        stops -= (stops > starts) & (data[stops - 1] == end)
    return cut(data, starts, stops).take(pa.array(np.arange(0, 2 * len(lines), 2)))


def have_right_digits(lines: pyarrow.BinaryArray) -> Mask:
    """Return whether the check digits of plain lines are right.

    Parameters
    ----------
    lines
        Lines of :func:`are_plain`.
    """
    import pyarrow as pa

    data, places = bytes_of(lines)
    starts = places[:-1] + (data[places[:-1]] == ord(b'"'))
    isins = cut(data, starts, starts + LENGTH).take(pa.array(np.arange(0, 2 * len(lines), 2)))
    return _each(isins.dictionary_encode(), check_digits_are_right)


def judge(lines: pyarrow.BinaryArray) -> Judged:
    """Return which lines are bars, and why the others are none: the first rule that they break.

    Parameters
    ----------
    lines
        Any lines, without their line ends.
    """
    import pyarrow as pa

    pc = _compute()
    valid = np.ones(len(lines), np.bool_)
    left = np.arange(len(lines))
    refusals: list[Refusal] = []

    def refuse(broken: Mask, reason: str) -> None:
        nonlocal left, lines
        if broken.any():
            refusals.append(Refusal(left[broken], reason))
            left, lines = left[~broken], lines.filter(pa.array(~broken))

    refuse(_lengths(lines) == 0, "the line is blank")
    refuse(~_are_utf8(lines), "the line is not UTF-8 text")
    refuse(pc.match_substring(lines, b"\0").to_numpy(zero_copy_only=False), "the line has a NUL byte")
    refuse(pc.equal(lines, HEADER.encode()).to_numpy(zero_copy_only=False), "the line is a second header")
    refuse(_lengths(lines) > LONGEST_LINE, f"the line is longer than {LONGEST_LINE} bytes")
    fields = Fields(lines)
    refuse(~fields.whole, f"the line has not {len(COLUMNS)} fields")
    kept = _judge_fields(fields, left, refusals)
    odd = fields.stray[kept]
    refusals.append(Refusal(left[kept[odd]], "a field has stray quotes"))
    for refusal in refusals:
        valid[refusal.lines] = False
    return Judged(valid, fields, kept[~odd], refusals)


def _judge_fields(fields: Fields, lines: NDArray[np.intp], refusals: list[Refusal]) -> NDArray[np.intp]:
    """Return which lines have fields of valid forms only. Add to the refusals why the others have not."""
    import pyarrow as pa

    kept = np.arange(len(lines))
    for at, column in enumerate(COLUMNS):
        if not column.required:
            continue
        values = fields.column(at, kept)
        rules: list[tuple[Mask, str, bool]] = [
            (values.is_null().to_numpy(zero_copy_only=False), f"{column.name} is empty", False),
            (
                ~_each(values, lambda texts, column=column: _is_valid(texts, column)),
                f"{column.name} is not a valid {column.type}",
                True,
            ),
        ]
        if column.name == "ISIN":
            rules.append((~_each(values, _are_right), WRONG_DIGIT, False))
        good = np.ones(len(kept), np.bool_)
        for broken, reason, shown in rules:
            broken &= good
            if broken.any():
                refusals.append(
                    Refusal(lines[kept[broken]], reason, values.filter(pa.array(broken)) if shown else None)
                )
                good &= ~broken
        kept = kept[good]
    return kept


def _each(values: pyarrow.Array, rule: Callable[[pyarrow.Array], Mask]) -> Mask:
    """Return for each value whether it keeps a rule; no null does. The rule is asked once for texts that repeat."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        return rule(values)
    known = np.append(rule(values.dictionary), False)
    return known[values.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]


def _are_right(isins: pyarrow.Array) -> Mask:
    """Return whether texts are ISINs with the right check digit. A dictionary may have others, which no line uses."""
    import pyarrow as pa

    right = _match(isins, rf"\A{_PATTERNS['ISIN']}\z")
    right[right] = check_digits_are_right(isins.filter(pa.array(right)))
    return right


def _is_valid(texts: pyarrow.Array, column: Column) -> Mask:
    """Return whether texts are valid values of a column."""
    import pyarrow as pa

    valid = _match(texts, rf"\A{_pattern(column.name, column.type)}\z")
    if column.type == "int":
        numbers = texts.filter(pa.array(valid)).cast(pa.int64()).to_numpy()
        valid[valid] = numbers == numbers.astype(np.int32)
    elif column.type == "date":
        valid[valid] = [_is_day(day) for day in texts.filter(pa.array(valid)).to_pylist()]
    return valid


def _typed(texts: pyarrow.Array, kind: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow as pa

    return texts if texts.type == kind else texts.cast(pa.string()).cast(kind)


def _are_utf8(lines: pyarrow.BinaryArray) -> Mask:
    import pyarrow as pa

    try:
        lines.cast(pa.string())
    except pa.ArrowInvalid:
        return _match(lines, _UTF8)
    return np.ones(len(lines), np.bool_)


def _lengths(lines: pyarrow.BinaryArray) -> NDArray[np.int32]:
    return _compute().binary_length(lines).to_numpy(zero_copy_only=False)


def _match(values: pyarrow.Array, pattern: str) -> Mask:
    found = _compute().match_substring_regex(values, pattern)
    return found.fill_null(False).to_numpy(zero_copy_only=False)


def _compute() -> Any:
    """Return Arrow's functions. They are made at import, so no checker knows them."""
    import pyarrow.compute

    return pyarrow.compute


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _pattern(name: str, kind: str) -> str:
    return _PATTERNS.get(name) or ("-?[0-9]{1,10}" if kind == "int" else _NUMBER)


def _plain_line() -> str:
    r"""Return the pattern of a plain line with its end. Unlike ``^`` and ``$``, its ends are no line ends."""
    text = rf'(?:[^",\r\n\x00\x80-\xFF]|{_WIDE})*'
    quoted = rf'"(?:[^"\r\n\x00\x80-\xFF]|{_WIDE})*"'
    fields: list[str] = []
    for at, column in enumerate(COLUMNS):
        pattern = _PLAIN.get(column.name) or _pattern(column.name, column.type)
        if column.name in _TEXTS:
            fields.append(f"(?:{text}|{quoted})")
        else:
            fields.append(f'(?:{pattern}|"{pattern}")' if at < _HEAD else pattern)
    return rf"\A{','.join(fields)}\r?\n?\z"


_PLAIN_LINE = _plain_line()
