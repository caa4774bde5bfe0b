"""Which files Spark decompresses, by the suffixes of their names, and whether it can.

Of a file whose bytes are not what its name says, Spark fails, or silently reads no line.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_BLOCK = 1 << 16


def cannot_decompress(path: str, size: int, filesystem: FileSystem | None = None) -> str | None:
    """Return why Spark cannot read a file as what its name says, and the remedy; None where it can.

    Only the beginning of the file is read.

    Parameters
    ----------
    path
        A file. What is not there any more can be read.
    size
        Its size in bytes.
    filesystem
        The path's file system. Without one, the file is local.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".zst":
        return "Spark cannot decompress zstd; decompress it"
    known = _FORMATS.get(suffix)
    if known is None:
        return None
    try:
        with Path(path).open("rb") if filesystem is None else filesystem.open_input_file(path) as file:
            beginning = bytes(file.read(_BLOCK))
    except OSError:
        return None
    name, is_good = known
    # Spark opens no empty file.
    if not beginning or is_good(beginning, size):
        return None
    return f"by its name it is {name}, and its bytes are not, or end too early; rename it, or copy it again"


def _is_zlib(window: int) -> Callable[[bytes, int], bool]:
    def is_good(beginning: bytes, size: int) -> bool:
        left = beginning
        while left:
            stream = zlib.decompressobj(window)
            try:
                stream.decompress(left)
            except zlib.error:
                return False
            if not stream.eof:
                return size > len(beginning)
            # Another one may follow.
            left = stream.unused_data
        return True

    return is_good


def _is_bzip2(beginning: bytes, size: int) -> bool:
    stream = bz2.BZ2Decompressor()
    try:
        stream.decompress(beginning)
    except OSError:
        return False
    return stream.eof or size > len(beginning)


def _is_hadoop_block(beginning: bytes, size: int) -> bool:
    """Tell whether a file begins with a block of Hadoop's, which is not what the programs of these names write."""
    length, compressed = int.from_bytes(beginning[:4], "big"), int.from_bytes(beginning[4:8], "big")
    return length == 0 or 8 + compressed <= size


_FORMATS: dict[str, tuple[str, Callable[[bytes, int], bool]]] = {
    ".gz": ("gzip", _is_zlib(31)),
    ".deflate": ("zlib", _is_zlib(15)),
    ".bz2": ("bzip2", _is_bzip2),
    ".lz4": ("Hadoop's LZ4", _is_hadoop_block),
    ".snappy": ("Hadoop's Snappy", _is_hadoop_block),
}
