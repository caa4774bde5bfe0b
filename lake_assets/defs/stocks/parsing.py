"""From the exchange's CSV to bars and quarantined rows: every line is one or the other.

The files are cut into ranges of bytes, and a task reads the lines of one range, a block at a time. The first pass
writes the bars, and counts the lines and the bad ones. Only ranges with bad lines are read once more, by tasks that
know the numbers of their lines, to say which line is bad, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from lake_assets.compute.frame import TaskFrame
from lake_assets.compute.lines import BLOCK_BYTES, RANGE_BYTES, ByteRange, ranges_of, read_blocks, split_lines
from lake_assets.compute.parts import Task
from lake_assets.defs.stocks.fields import read_plain
from lake_assets.defs.stocks.line_rules import WRONG_DIGIT, are_plain, have_right_digits, judge, without_ends
from lake_assets.defs.stocks.schema import HEADER, arrow_schema, quarantine_schema

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray
    from pyarrow.fs import FileSystem

    from lake_assets.compute.executors import Executor

_MAGIC = {b"\x1f\x8b": "gzip", b"PK": "zip", b"PAR1": "Parquet", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}


class BadStocksFile(Exception):
    """A whole file that is not the exchange's: nothing of it is parsed."""


@dataclass(frozen=True, slots=True)
class StocksFile:
    """One file to parse: its name, and where it is."""

    name: str
    filesystem: FileSystem
    path: str


def check_header(open_file: Callable[[], BinaryIO], name: str) -> None:
    """Check that a file begins with the exchange's header; reads its first bytes only.

    Raises
    ------
    BadStocksFile
        It does not; the message names the difference.
    """
    with open_file() as file:
        start = file.read(len(HEADER) * 8)
    problem = _header_problem(start)
    if problem:
        raise BadStocksFile(f"{name} is not a file of the exchange: {problem}. Check the source, and fetch it again")


def _header_problem(start: bytes) -> str | None:
    if not start:
        return "it is empty (0 bytes), without even a header"
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return f"it is {kind} data, not text"
    line = start.split(b"\n", 1)[0].removesuffix(b"\r")
    if line == HEADER.encode():
        return None
    if b"\0" in start:
        return "it is binary data, not text"
    if start.startswith(b"\xef\xbb\xbf"):
        return "it begins with a UTF-8 byte order mark before the header"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page or XML document, perhaps an error of the server"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "its header is not UTF-8 text"
    if b"\n" not in start and HEADER.startswith(text):
        return f"its header is cut off after {text[-40:]!r}"
    for delimiter in (";", "\t", "|"):
        if text.replace(delimiter, ",") == HEADER:
            return f"the header's delimiter is {delimiter!r} where ',' is expected"
    got, expected = [part.strip().strip('"') for part in text.split(",")], HEADER.split(",")
    missing = [column for column in expected if column not in got]
    extra = [column for column in got if column not in expected]
    if not missing and not extra:
        return f"its header has the columns in another order or form: {text[:300]!r}"
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has {', '.join(repr(column[:40]) for column in extra[:20])} instead or besides"] if extra else []
    return f"its header {' and '.join(parts)}"


class Block:
    """The lines of a block, each of which is a bar or bad. What is not asked for is not made.

    Parameters
    ----------
    buffer
        Whole lines.
    """

    def __init__(self, buffer: pyarrow.Buffer) -> None:
        self._lines = split_lines(buffer)
        plain = are_plain(self._lines)
        right = have_right_digits(_some(self._lines, plain))
        self._plain = plain.copy()
        self._plain[plain] = right
        self._wrong = np.flatnonzero(plain)[~right]
        self._doubtful = np.flatnonzero(~plain)
        self._judged = judge(without_ends(_some(self._lines, ~plain)))

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self._lines)

    @property
    def bad(self) -> int:
        """The number of bad lines."""
        return len(self._wrong) + int((~self._judged.valid).sum())

    def bars(self) -> pyarrow.Table:
        """Return the bars, typed, in the order of their lines."""
        import pyarrow as pa

        bars, judged = read_plain(_some(self._lines, self._plain)), self._judged.bars()
        if not judged.num_rows:
            return bars
        places = np.concatenate([np.flatnonzero(self._plain), self._doubtful[self._judged.valid]])
        return pa.concat_tables([bars, judged]).unify_dictionaries().take(pa.array(np.argsort(places)))

    def quarantine(self, first_line: int) -> pyarrow.Table:
        """Return the bad lines, with number, reason and text.

        Parameters
        ----------
        first_line
            The number of the first line in its file.
        """
        import pyarrow as pa

        places = np.concatenate([self._wrong, self._doubtful[~self._judged.valid]])
        reasons = pa.concat_arrays([pa.repeat(WRONG_DIGIT, len(self._wrong)), self._judged.reasons()])
        order = np.argsort(places)
        found = pa.array(places[order])
        texts = _as_text(without_ends(self._lines.take(found)))
        return pa.table([found.to_numpy() + first_line, reasons.take(pa.array(order)), texts], _BAD)


_BAD = ["line", "reason", "raw"]


def parse(files: Mapping[str, StocksFile], executor: Callable[[int], Executor]) -> TaskFrame:
    """Return the bars of files whose header was checked with :func:`check_header`. They count ``lines`` and ``bad``.

    Parameters
    ----------
    files
        Partition key to its file.
    executor
        Returns what runs the tasks, given the size in bytes of all that they read.
    """
    tasks = {
        key: [_Bars(file.filesystem, part) for part in ranges_of(file.filesystem, file.path, RANGE_BYTES)]
        for key, file in files.items()
    }
    return TaskFrame(arrow_schema(), tasks, executor)


def quarantined(files: Mapping[str, StocksFile], bars: TaskFrame, executor: Callable[[int], Executor]) -> TaskFrame:
    """Return the quarantined rows of files.

    Parameters
    ----------
    files
        Partition key to its file.
    bars
        The bars of these files, which were written.
    executor
        Returns what runs the tasks, given the size in bytes of all that they read.
    """
    tasks: dict[str, list[Task]] = {}
    for key, file in files.items():
        tasks[key] = []
        first_line = 2
        for task, part in zip(bars.tasks[key], bars.parts[key], strict=True):
            assert isinstance(task, _Bars)
            if part.counts["bad"]:
                tasks[key].append(_BadLines(file.filesystem, task.part, file.name, first_line))
            first_line += part.counts["lines"]
    return TaskFrame(quarantine_schema(), tasks, executor)


@dataclass(frozen=True, slots=True)
class _Bars:
    """The bars of the lines that begin in a range."""

    filesystem: FileSystem
    part: ByteRange

    @property
    def size(self) -> int:
        """The size of what it reads, in bytes."""
        return self.part.size

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the bars of each block."""
        counts.update(lines=0, bad=0)
        for buffer in _lines_after_header(self.filesystem, self.part):
            block = Block(buffer)
            counts.update(lines=len(block), bad=block.bad)
            yield from block.bars().combine_chunks().to_batches()


@dataclass(frozen=True, slots=True)
class _BadLines:
    """The quarantined ones of the lines that begin in a range, the first of which has a number."""

    filesystem: FileSystem
    part: ByteRange
    name: str
    first_line: int

    @property
    def size(self) -> int:
        """The size of what it reads, in bytes."""
        return self.part.size

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the quarantined lines of each block."""
        import pyarrow as pa

        del counts
        line = self.first_line
        for buffer in _lines_after_header(self.filesystem, self.part):
            block = Block(buffer)
            bad = block.quarantine(line)
            line += len(block)
            names = pa.repeat(self.name, len(bad))
            yield from pa.table([names, *bad.columns], schema=quarantine_schema()).to_batches()


def _lines_after_header(filesystem: FileSystem, part: ByteRange) -> Iterator[pyarrow.Buffer]:
    header = part.start == 0
    for buffer in read_blocks(filesystem, part, BLOCK_BYTES):
        # The whole header is in the first block.
        yield buffer.slice(buffer.to_pybytes().find(b"\n") + 1 or buffer.size) if header else buffer
        header = False


def _some(lines: pyarrow.BinaryArray, wanted: NDArray[np.bool_]) -> pyarrow.BinaryArray:
    import pyarrow as pa

    return lines if wanted.all() else lines.filter(pa.array(wanted))


def _as_text(lines: pyarrow.BinaryArray) -> pyarrow.StringArray:
    """Return lines as text. Bytes that are not UTF-8 are replaced."""
    import pyarrow as pa

    try:
        return lines.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([line.decode("utf-8", "replace") for line in lines.to_pylist()], pa.string())
