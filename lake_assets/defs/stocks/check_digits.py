"""The check digit of an ISIN (ISO 6166), for whole arrays: letters become two digits, then Luhn's sum."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

LENGTH = 12
"""Of an ISIN, in characters."""


def check_digits_are_right(isins: pyarrow.Array) -> NDArray[np.bool_]:
    """Return for each well-formed ISIN whether its check digit is right.

    Parameters
    ----------
    isins
        Texts of twelve characters of ``0-9A-Z`` each, without nulls.
    """
    import pyarrow as pa

    if not len(isins):
        return np.empty(0, np.bool_)
    # One buffer of twelve bytes for each, wherever the array begins in its own.
    text: Any = isins.cast(pa.binary()).cast(pa.binary(LENGTH))
    codes = np.frombuffer(text.buffers()[1], np.uint8).reshape(-1, LENGTH)[text.offset : text.offset + len(isins)]
    values, flips = _tables()
    sums = np.zeros(len(isins), np.int32)
    doubled = np.zeros(len(isins), np.intp)
    for place in reversed(range(LENGTH)):
        column = codes[:, place]
        sums += values[doubled, column]
        doubled ^= flips[column]
    return sums % 10 == 0


@cache
def _tables() -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return what a character adds to the sum, by whether its last digit is doubled, and whether it is one digit."""
    values = np.zeros((2, 256), np.int32)
    flips = np.zeros(256, np.intp)
    for value, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        for doubled in (0, 1):
            # From the right, every second digit is doubled.
            digits = enumerate(reversed(str(value)), doubled)
            values[doubled, ord(character)] = sum(sum(divmod(int(digit) * (1 + at % 2), 10)) for at, digit in digits)
        flips[ord(character)] = len(str(value)) % 2
    return values, flips
