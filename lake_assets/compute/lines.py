"""Lines of a byte range, a block at a time: bounded memory, whatever the lines are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray
    from pyarrow.fs import FileSystem

    Places = NDArray[np.integer[Any]]

BLOCK_BYTES = 16 << 20
"""Lines are read in blocks of this size. Each becomes a row group."""
RANGE_BYTES = 128 << 20
"""A file is cut into ranges of this size, whatever the number of threads or workers. Each becomes a file."""
KEPT_BYTES = 1 << 16
"""Of a line that is longer than a block, only the beginning is kept."""


_COMPRESSED = (".bz2", ".gz", ".lz4", ".zst")
"""What Arrow decompresses."""


class Stream(Protocol):
    """A file that is opened for reading."""

    def read(self, nbytes: int, /) -> bytes:
        """Return the next bytes; none at the end of the file."""
        ...


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The lines of a file that begin in a range of its bytes.

    Parameters
    ----------
    path
        Path of the file.
    start, end
        The range; ``end`` is not part of it. In a compressed file they count the bytes of its content.
    size
        The number of bytes that are read for it.
    """

    path: str
    start: int
    end: int
    size: int


def ranges_of(filesystem: FileSystem, path: str, size: int = RANGE_BYTES) -> list[ByteRange]:
    """Cut a file into ranges. A compressed file, by the ending of its name, is one range; so is an empty one.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    size
        The size of a range, in bytes.
    """
    total = int(filesystem.get_file_info(path).size or 0)
    if is_compressed(path):
        return [ByteRange(path, 0, sys.maxsize, total)]
    ends = ((start, min(start + size, total)) for start in range(0, max(total, 1), size))
    return [ByteRange(path, start, end, end - start) for start, end in ends]


def is_compressed(path: str) -> bool:
    """Return whether a file is decompressed when it is read, by the ending of its name.

    Parameters
    ----------
    path
        Path of the file.
    """
    return path.endswith(_COMPRESSED)


def read_blocks(filesystem: FileSystem, part: ByteRange, size: int = BLOCK_BYTES) -> Iterator[pyarrow.Buffer]:
    """Yield the lines that begin in a range, as blocks of whole lines.

    Parameters
    ----------
    filesystem
        File system of the file.
    part
        The range.
    size
        The largest size of a block.
    """
    if is_compressed(part.path):
        with filesystem.open_input_stream(part.path) as stream:
            yield from blocks(stream, 0, part.end, size)
        return
    with filesystem.open_input_file(part.path) as file:
        file.seek(max(part.start - 1, 0))
        yield from blocks(file, part.start, part.end, size)


def blocks(stream: Stream, start: int, end: int, size: int = BLOCK_BYTES) -> Iterator[pyarrow.Buffer]:
    r"""Yield the lines that begin at ``start`` or after it, and before ``end``, as blocks of whole lines.

    Only ``\n`` ends a line. A line longer than a block is cut off after :data:`KEPT_BYTES`, without its line end, and
    is alone in its block: the rest of it is read, and not kept.

    Parameters
    ----------
    stream
        The file, at ``start`` or, if a line may have begun before it, at the byte before ``start``.
    start, end
        The range.
    size
        The largest size of a block.
    """
    import pyarrow as pa

    at, data = max(start - 1, 0), b""
    inside = start > 0
    while at < end:
        more = stream.read(size - len(data))
        data = data + more if data else more
        if inside:
            # In a line of the range before, or in the rest of one that was cut off.
            begin = data.find(b"\n") + 1
            at += begin or len(data)
            data = data[begin:] if begin else b""
            inside = not begin
            if inside and not more:
                return
            continue
        # The last line of the range is the one that its last byte is in.
        last = end - 1 - at
        stop = data.find(b"\n", last) + 1 if len(data) > last else 0
        stop = stop or data.rfind(b"\n") + 1
        if not stop and not more:
            stop = len(data)
        if stop:
            yield pa.py_buffer(data).slice(0, stop)
            at, data = at + stop, data[stop:]
        elif len(data) >= size:
            yield pa.py_buffer(data[: _character(data, KEPT_BYTES)])
            at, data, inside = at + len(data), b"", True
        if not more and not data:
            return


def _character(data: bytes, at: int) -> int:
    """Return where a character of UTF-8 begins, at a place or just before it."""
    while at > KEPT_BYTES - 4 and data[at : at + 1] and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


def split_lines(block: pyarrow.Buffer) -> pyarrow.BinaryArray:
    """Return the lines of a block with their line ends. Nothing is copied.

    Parameters
    ----------
    block
        Whole lines.
    """
    import numpy as np
    import pyarrow as pa

    size = block.size
    if not size:
        return pa.array([], pa.binary())
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
    last: Any = [] if len(ends) and ends[-1] == size else [size]
    offsets = np.concatenate([[0], ends, last]).astype(np.int32)
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), block])


def bytes_of(lines: pyarrow.BinaryArray) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the bytes that the lines of an array follow each other in, and the place of each line and of the end.

    Parameters
    ----------
    lines
        The lines, without nulls.
    """
    import numpy as np

    if not len(lines):
        return np.empty(0, np.uint8), np.zeros(1, np.int32)
    _, offsets, data = lines.buffers()
    places = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    first, last = int(places[0]), int(places[-1])
    found = np.frombuffer(data, np.uint8)[first:last] if data is not None else np.empty(0, np.uint8)
    return found, places - first


def cut(data: NDArray[np.uint8], starts: Places, stops: Places) -> pyarrow.BinaryArray:
    """Return slices of bytes as every second value of an array; the others are what is between. Nothing is copied.

    Parameters
    ----------
    data
        The bytes.
    starts, stops
        The slices, in their order.
    """
    import numpy as np
    import pyarrow as pa

    places = np.empty(2 * len(starts) + 1, np.int32)
    places[:-1:2], places[1::2] = starts, stops
    places[-1] = stops[-1] if len(stops) else 0
    return pa.BinaryArray.from_buffers(pa.binary(), len(places) - 1, [None, pa.py_buffer(places), pa.py_buffer(data)])
