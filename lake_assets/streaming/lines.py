"""Lines of text files, read by Spark's workers in bounded memory, whatever the length of a line.

Spark's own reader of text holds a whole line several times over: a small compressed file with one long line ends its
process. Here a line that is longer than a bound is passed over, and named by its file.
"""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from lake_assets.streaming.hadoop_blocks import lz4_blocks, snappy_blocks

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame

BLOCK = 1 << 18
"""Bytes that are read, and decompressed, at a time."""

RANGE = 64 << 20
"""Bytes of a file without compression that one task reads, so that all cores read a large file."""


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


_BOM = b"\xef\xbb\xbf"


def read_files(files: DataFrame, longest: int, filesystem: FileSystem | None = None) -> DataFrame:
    """Return the lines of files: ``value``, or null for a line that is too long, whose file is ``too_long`` then.

    A line ends with a line feed, a carriage return, or both. Workers must see the files.

    Parameters
    ----------
    files
        The columns ``path``, which is a scheme, a colon and the file's path as it is, and ``length`` in bytes.
    longest
        Maximal length of a line in bytes, without its end.
    filesystem
        The file system whose paths are the URIs without their scheme. Without one, the files are local.
    """
    # Not by lower(): its first call in a JVM builds tables of all of Unicode, for a second and more.
    compressed = f"path RLIKE r'(?i)({'|'.join(map(re.escape, _DECOMPRESSED))})\\z'"
    size = f"if({compressed}, 0, greatest(length - 1, 0))"
    ranges = files.selectExpr("path", f"explode(sequence(0, {size}, {RANGE})) AS first")
    spread = ranges.repartition(files.sparkSession.sparkContext.defaultParallelism)
    read = partial(_read_ranges, longest=longest, filesystem=filesystem)
    return spread.mapInArrow(read, "value BINARY, too_long STRING")


def is_compressed(path: str) -> bool:
    """Tell whether a file is decompressed as it is read, by its name.

    Parameters
    ----------
    path
        The file.
    """
    return Path(path).suffix.lower() in _DECOMPRESSED


def _read_ranges(
    batches: Iterable[pyarrow.RecordBatch], longest: int, filesystem: FileSystem | None
) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    for batch in batches:
        for uri, first in zip(batch["path"].to_pylist(), batch["first"].to_pylist(), strict=True):
            name = uri.partition(":")[2].lstrip("/")
            path = f"/{name}" if filesystem is None else name
            try:
                for lines in lines_of(blocks_of(path, first, first + RANGE, longest, filesystem), longest):
                    yield pyarrow.RecordBatch.from_arrays(
                        [column_of(lines), _names(lines, path)], ["value", "too_long"]
                    )
            except (OSError, EOFError, zlib.error, ValueError) as error:
                raise OSError(f"{path} cannot be read: {error}; copy it again, or remove it") from error


def column_of(lines: Sequence[bytes | None]) -> pyarrow.Array:
    """Return lines as a column.

    From a list, pyarrow makes one only after it has loaded pandas, for which a worker needs half a second.

    Parameters
    ----------
    lines
        The lines. None stands for one that is too long.
    """
    import numpy
    import pyarrow

    ends = numpy.zeros(len(lines) + 1, numpy.int32)
    numpy.cumsum([len(line or b"") for line in lines], out=ends[1:])
    known = numpy.packbits(numpy.array([line is not None for line in lines], bool), bitorder="little")
    buffers = [known, ends, b"".join(line or b"" for line in lines)]
    return pyarrow.Array.from_buffers(pyarrow.binary(), len(lines), [pyarrow.py_buffer(buffer) for buffer in buffers])


def _names(lines: Sequence[bytes | None], path: str) -> pyarrow.Array:
    """Return the file of each line that is too long."""
    import pyarrow

    if None not in lines:
        return pyarrow.nulls(len(lines), pyarrow.string())
    return pyarrow.array([path if line is None else None for line in lines], pyarrow.string())


def lines_of(blocks: Iterator[bytes], longest: int) -> Iterator[list[bytes | None]]:
    """Yield the lines of text that comes in blocks. None stands for a line that is too long, of which none is kept.

    Parameters
    ----------
    blocks
        The text.
    longest
        Maximal length of a line in bytes, without its end.
    """
    begun = b""
    too_long = False
    for block in blocks:
        text = begun + block
        # A carriage return at the end may be one half of a line's end.
        end = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
        lines: list[bytes | None] = [*text[:end].splitlines()]
        begun = text[end:]
        if too_long and lines:
            lines.pop(0)
            too_long = False
        lines = [line if line is not None and len(line) <= longest else None for line in lines]
        if len(begun.removesuffix(b"\r")) > longest:
            if not too_long:
                lines.append(None)
            too_long = True
        if too_long:
            begun = begun[-1:] if begun.endswith(b"\r") else b""
        if lines:
            yield lines
    if begun and not too_long:
        yield [begun.removesuffix(b"\r")]


def blocks_of(path: str, first: int, last: int, longest: int, filesystem: FileSystem | None = None) -> Iterator[bytes]:
    """Yield the lines of a file that begin in a range of its bytes, as blocks of text.

    Parameters
    ----------
    path
        The file. If its name ends as that of a compressed one, it is decompressed, and read as a whole.
    first, last
        The range, without ``last``.
    longest
        Length of a line in bytes after which its rest need not be read.
    filesystem
        The path's file system. Without one, the file is local.
    """
    decompressed = _DECOMPRESSED.get(Path(path).suffix.lower())
    with _open(path, filesystem) as file:
        if decompressed is not None:
            yield from _without_mark(decompressed(file))
        elif first == 0:
            yield from _without_mark(_range(file, last, longest))
        elif (begin := _first_line(file, first, last)) is not None:
            file.seek(begin)
            yield from _range(file, last, longest)


def _open(path: str, filesystem: FileSystem | None) -> IO[bytes]:
    return Path(path).open("rb") if filesystem is None else cast("IO[bytes]", filesystem.open_input_file(path))


def _range(file: IO[bytes], last: int, longest: int) -> Iterator[bytes]:
    """Yield the bytes up to a position, and then the rest of the line that is begun there."""
    block = b"\n"
    while (left := last - file.tell()) > 0:
        block = file.read(min(BLOCK, left))
        if not block:
            return
        yield block
    beyond = 0
    while not block.endswith((b"\n", b"\r")) and beyond <= longest:
        block = file.read(min(BLOCK, longest + 1))
        if not block:
            return
        ends = [place for place in (block.find(b"\n"), block.find(b"\r")) if place >= 0]
        block = block[: min(ends) + 1] if ends else block
        beyond += len(block)
        yield block


def _first_line(file: IO[bytes], first: int, last: int) -> int | None:
    """Return where the first line begins that begins in a range; None if there is none."""
    place = first - 1
    file.seek(place)
    while place < last and (block := file.read(BLOCK)):
        ends = [found for found in (block.find(b"\n"), block.find(b"\r")) if found >= 0]
        if ends:
            place += min(ends)
            file.seek(place)
            place += 2 if file.read(2) == b"\r\n" else 1
            return place if place < last else None
        place += len(block)
    return None


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the byte order mark at the beginning."""
    begun = b""
    for block in blocks:
        begun += block
        if len(begun) >= len(_BOM):
            break
    yield begun.removeprefix(_BOM)
    yield from blocks


def _read(file: _Reads) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    begun = file.read(BLOCK)
    while begun:
        if stream.eof:
            stream = zlib.decompressobj()
        yield stream.decompress(begun, BLOCK)
        begun = stream.unconsumed_tail or stream.unused_data or file.read(BLOCK)
        if not begun and not stream.eof:
            yield stream.flush()
            if not stream.eof:
                raise EOFError("its end is missing")


_DECOMPRESSED: dict[str, Callable[[IO[bytes]], Iterator[bytes]]] = {
    ".gz": lambda file: _read(gzip.GzipFile(fileobj=file)),
    ".bz2": lambda file: _read(bz2.BZ2File(file)),
    ".deflate": _inflated,
    ".lz4": lz4_blocks,
    ".snappy": snappy_blocks,
}
"""Suffix in lower case to what decompresses a file. The functions of Spark's Hadoop take them for the same."""
