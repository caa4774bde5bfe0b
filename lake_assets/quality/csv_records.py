"""Records of CSV as they stand in their file: the line at which each begins, and its raw text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LONGEST = 1 << 30
"""The maximal number of characters of a field."""


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """A record.

    Parameters
    ----------
    line
        The number of its first line in the file; the file's first line is 1.
    raw
        Its text with quotes and inner line ends, where bytes that are no UTF-8 are replaced.
    """

    line: int
    raw: str


def csv_records(stream: Any) -> Iterator[CsvRecord]:
    """Yield the records of a stream, the header among them. Empty lines are none, as for Arrow.

    Parameters
    ----------
    stream
        A file for reading, decompressed.
    """
    csv.field_size_limit(_LONGEST)
    text = io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", errors="replace", newline="")
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in text:
            taken.append(line)
            yield line.replace("\0", " ")  # Python 3.10 refuses NUL.

    first = 1
    # The reader takes only the lines of the record that it returns.
    for record in csv.reader(lines()):
        if record:
            yield CsvRecord(first, "".join(taken).removesuffix("\n").removesuffix("\r"))
        first += len(taken)
        taken.clear()
