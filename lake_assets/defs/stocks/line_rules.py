"""What makes a line of the exchange's file a bar, and why a line breaks the rules. All rules work on whole arrays.

Nearly every line of a real file is *plain*: beyond doubt a bar, by one regular expression. Only the other lines are
split and judged field by field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lake_assets.defs.stocks.check_digits import check_digits_are_right
from lake_assets.defs.stocks.fields import PROPER, STRAY_WHOLE, WHOLE, split_proper, split_stray
from lake_assets.defs.stocks.schema import COLUMNS, HEADER, Column, arrow_schema

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

LONGEST_LINE = 4096
"""In bytes, without the line end; a bar takes about 120. A longer line is not even split."""

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


class Judged(NamedTuple):
    """What lines turned out to be.

    Parameters
    ----------
    valid
        Which lines are bars.
    bars
        The bars, typed.
    reasons
        For each line why it is no bar; None for a bar.
    """

    valid: Mask
    bars: pyarrow.Table
    reasons: NDArray[np.object_]


def are_plain(lines: pyarrow.BinaryArray) -> Mask:
    """Return which lines are beyond doubt bars, if their check digits are right.

    Parameters
    ----------
    lines
        The lines, with their line ends.
    """
    plain = _match(lines, _PLAIN_LINE)
    lengths = _compute().binary_length(lines).to_numpy(zero_copy_only=False)
    return plain if not len(lines) or lengths.max() <= LONGEST_LINE else plain & (lengths <= LONGEST_LINE)


def without_ends(lines: pyarrow.BinaryArray) -> pyarrow.BinaryArray:
    r"""Return lines without the ``\n`` or ``\r\n`` that ends them.

    Parameters
    ----------
    lines
        The lines.
    """
    import pyarrow as pa

    return pa.array([line.removesuffix(b"\n").removesuffix(b"\r") for line in lines.to_pylist()], pa.binary())


def judge(lines: pyarrow.BinaryArray) -> Judged:
    """Return which lines are bars, and why the others are none: the first rule that they break.

    Parameters
    ----------
    lines
        Any lines, without their line ends.
    """
    import pyarrow as pa

    pc = _compute()
    reasons = np.full(len(lines), None, np.object_)
    left = np.arange(len(lines))

    def refuse(broken: Mask, text: str) -> None:
        nonlocal left, lines
        if broken.any():
            reasons[left[broken]] = text
            left = left[~broken]
            lines = lines.filter(pa.array(~broken))

    lengths = pc.binary_length(lines).to_numpy(zero_copy_only=False)
    refuse(lengths == 0, "the line is blank")
    refuse(~_match(lines, _UTF8), "the line is not UTF-8 text")
    refuse(pc.match_substring(lines, b"\0").to_numpy(zero_copy_only=False), "the line has a NUL byte")
    refuse(pc.equal(lines, HEADER.encode()).to_numpy(zero_copy_only=False), "the line is a second header")
    lengths = pc.binary_length(lines).to_numpy(zero_copy_only=False)
    refuse(lengths > LONGEST_LINE, f"the line is longer than {LONGEST_LINE} bytes")
    whole = _match(lines, WHOLE)
    if not whole.all():
        stray, others = left[~whole], lines.filter(pa.array(~whole))
        odd = ~_match(others, PROPER)
        reasons[stray[~odd]] = _FIELDS
        _judge_stray(others.filter(pa.array(odd)), stray[odd], reasons)
        left, lines = left[whole], lines.filter(pa.array(whole))
    fields = split_proper(lines)
    _judge_fields(fields, left, reasons)
    valid = np.array([reason is None for reason in reasons], np.bool_)
    bars = pa.table(fields, names=[column.name for column in COLUMNS]).filter(pa.array(valid[left]))
    return Judged(valid, _typed(bars), reasons)


def _judge_stray(lines: pyarrow.BinaryArray, left: NDArray[np.intp], reasons: NDArray[np.object_]) -> None:
    """Set the reason of each line, one of ``left``, whose quotes are not right."""
    import pyarrow as pa

    whole = _match(lines, STRAY_WHOLE)
    reasons[left] = _FIELDS
    left = left[whole]
    reasons[left] = "a field has stray quotes"
    for some, fields in split_stray(lines.filter(pa.array(whole))):
        _judge_fields(fields, left[some], reasons)


def _judge_fields(fields: list[pyarrow.Array], left: NDArray[np.intp], reasons: NDArray[np.object_]) -> None:
    """Set the reason of each line, one of ``left``, that has a field of no valid form."""
    import pyarrow as pa

    pc = _compute()
    for at, column in enumerate(COLUMNS):
        if not column.required or not len(left):
            continue
        values = fields[at]
        empty = values.is_null().to_numpy(zero_copy_only=False)
        reasons[left[empty]] = f"{column.name} is empty"
        wrong = ~empty & ~_each(values, lambda texts, column=column: _is_valid(texts, column))
        if wrong.any():
            shown = pc.utf8_slice_codeunits(values.filter(pa.array(wrong)).cast(pa.string()), 0, 40)
            texts = pc.binary_join_element_wise(f"{column.name} is not a valid {column.type}", shown, ": ")
            reasons[left[wrong]] = texts.to_numpy(zero_copy_only=False)
        kept = ~empty & ~wrong
        if column.name == "ISIN":
            kept[kept] = digits = _each(values.filter(pa.array(kept)), _have_right_digits)
            reasons[left[~empty & ~wrong][~digits]] = "ISIN fails its check digit"
        if not kept.all():
            left, mask = left[kept], pa.array(kept)
            fields = [field.filter(mask) for field in fields]


def _each(values: pyarrow.Array, rule: Callable[[pyarrow.Array], Mask]) -> Mask:
    """Return for each value whether it keeps a rule; no null does. The rule is asked once for texts that repeat."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        return rule(values)
    known = np.append(rule(values.dictionary), False)
    return known[values.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]


def _have_right_digits(isins: pyarrow.Array) -> Mask:
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


def _typed(bars: pyarrow.Table) -> pyarrow.Table:
    import pyarrow as pa

    columns = [
        bars[field.name].cast(pa.string()).cast(field.type)
        if pa.types.is_dictionary(bars[field.name].type) and bars[field.name].type != field.type
        else bars[field.name].cast(field.type)
        for field in arrow_schema()
    ]
    return pa.table(columns, schema=arrow_schema())


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
_FIELDS = f"the line has not {len(COLUMNS)} fields"
