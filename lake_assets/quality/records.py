"""Lines of text as records: JSON, or the Python literals that some published data sets have in their place."""

from __future__ import annotations

import ast
import codecs
import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LONGEST = 1 << 20
"""The longest line, in bytes. A longer one is no record."""
_NUMBER = 1 << 63
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A line.

    Parameters
    ----------
    number
        Its number; the first one is 1.
    raw
        The line, where bytes that are no UTF-8 are replaced. A line that is too long is cut.
    record
        What it says; None if it is no record.
    reason
        Why it is no record.
    """

    number: int
    raw: str
    record: dict[str, Any] | None
    reason: str = ""


def lines(stream: Any) -> Iterator[Line]:
    """Yield the lines of a stream. Blank ones are passed over.

    Parameters
    ----------
    stream
        A file for reading, decompressed.
    """
    # PyArrow's streams do not read lines.
    buffered = io.BufferedReader(stream, 1 << 20)
    number = 0
    while line := buffered.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raw = line[:1000].decode(errors="replace")
            while line and not line.endswith(b"\n"):
                line = buffered.readline(LONGEST)
            yield Line(number, raw, None, f"the line has more than {LONGEST:,} bytes")
        elif (text := line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip():
            yield _line(number, text)


def _line(number: int, line: bytes) -> Line:
    raw = line.decode(errors="replace").rstrip("\r\n")
    try:
        found: Any = json.loads(line.decode())
    except UnicodeDecodeError:
        return Line(number, raw, None, "the line is no UTF-8")
    except (ValueError, RecursionError):
        try:
            found = _literal(raw)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return Line(number, raw, None, "the line is neither JSON nor a Python literal")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        return Line(number, raw, None, "the line is no object with names")
    try:
        plain = _is_plain(found)
    except RecursionError:
        return Line(number, raw, None, "the line is nested too deep")
    if not plain:
        return Line(number, raw, None, "the line has values that JSON has not")
    return Line(number, raw, found)


def _literal(text: str) -> Any:
    """Evaluate a Python literal. Nothing in it is called, and a line is short, so neither time nor memory run away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.literal_eval(text)


def _is_plain(value: Any, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        named: dict[Any, Any] = value
        return all(
            isinstance(name, str) and _is_plain(name) and _is_plain(one, depth + 1) for name, one in named.items()
        )
    if isinstance(value, list):
        return all(_is_plain(one, depth + 1) for one in value)
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, int):
        return -_NUMBER <= value < _NUMBER
    return value is None or isinstance(value, float)
