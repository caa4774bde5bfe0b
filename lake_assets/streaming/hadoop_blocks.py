"""Hadoop's block formats of LZ4 and Snappy, which are not what the programs of these names write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO

_LARGEST = 64 << 20
"""Bytes of a chunk. Hadoop writes 256 KiB by default."""


def lz4_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what a file of Hadoop's LZ4 holds, chunk by chunk.

    Parameters
    ----------
    file
        The file.
    """
    return _blocks(file, "lz4_raw", _lz4_length)


def snappy_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what a file of Hadoop's Snappy holds, chunk by chunk.

    Parameters
    ----------
    file
        The file.
    """
    return _blocks(file, "snappy", _snappy_length)


def _blocks(file: IO[bytes], codec: str, length: Callable[[bytes], int]) -> Iterator[bytes]:
    """A block is its length, and chunks up to it; a chunk is its compressed length, and its bytes."""
    import pyarrow

    while head := file.read(4):
        left = int.from_bytes(head, "big")
        while left > 0:
            size = int.from_bytes(_exactly(file, 4), "big")
            chunk = _exactly(file, size)
            found = length(chunk)
            if not 0 < found <= min(left, _LARGEST):
                raise ValueError(f"a chunk of {found} bytes in a block of {left}")
            left -= found
            yield pyarrow.Codec(codec).decompress(chunk, found, asbytes=True)


def _exactly(file: IO[bytes], size: int) -> bytes:
    if size > _LARGEST:
        raise ValueError(f"a chunk of {size} bytes")
    found = file.read(size)
    if len(found) < size:
        raise EOFError("its end is missing")
    return found


def _snappy_length(chunk: bytes) -> int:
    length = 0
    for place, byte in enumerate(chunk[:5]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return length


def _lz4_length(chunk: bytes) -> int:
    """Add up the literals and the matches of an LZ4 block, which does not record its length."""
    length = place = 0
    try:
        while place < len(chunk):
            token = chunk[place]
            place += 1
            literals, matched = token >> 4, token & 15
            if literals == 15:
                literals, place = _more(chunk, literals, place)
            length += literals
            place += literals
            if place >= len(chunk):
                break  # The last sequence has no match.
            place += 2
            if matched == 15:
                matched, place = _more(chunk, matched, place)
            length += matched + 4
    except IndexError:
        raise ValueError("a chunk that is not LZ4") from None
    return length


def _more(chunk: bytes, count: int, place: int) -> tuple[int, int]:
    while True:
        byte = chunk[place]
        place += 1
        count += byte
        if byte < 255:
            return count, place
