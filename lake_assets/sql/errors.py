"""Errors of a query."""

from __future__ import annotations

import re

_READING = re.compile(r"reading the stream registered as '\w+' failed: [\w ]+: (.*?)\. Detail: Python exception", re.S)
"""What DuckDB says of an error in rows that Python reads: first the error itself, then the lines of code."""


class SqlError(Exception):
    """A query is refused or failed. The message names the place in the text, the reason and the remedy.

    Parameters
    ----------
    reason
        What is wrong.
    text
        The query.
    position
        Where it is wrong, as an offset in UTF-8 bytes. None if this is not known.
    """

    def __init__(self, reason: str, text: str = "", position: int | None = None) -> None:
        place = _place(text, position)
        super().__init__(place + reason)
        self.is_placed = bool(place)


class NoSuchName(SqlError):
    """Nothing has this name at a ref that is there."""


class OpenPivotError(SqlError):
    """A query may have a PIVOT that names no values."""


def first_line(error: Exception) -> str:
    """Return the first paragraph of DuckDB's error as one line. What follows is a copy of the text.

    Parameters
    ----------
    error
        The error.
    """
    reading = _READING.search(str(error))
    lines = (reading[1] if reading else str(error)).split("\n\n")[0].splitlines()
    return " ".join(line.strip() for line in lines if line.strip())


def _place(text: str, position: int | None) -> str:
    encoded = text.encode()
    if position is None or position > len(encoded):
        return ""
    before = encoded[:position].decode(errors="replace").split("\n")
    return f"line {len(before)}, column {len(before[-1]) + 1}: "
