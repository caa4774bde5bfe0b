"""ETags of S3: the MD5 of an object, or of the MD5s of the parts in which it was uploaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

_ETAG = re.compile(r"([0-9a-f]{32})(?:-([1-9][0-9]*))?")
_MIB = 1 << 20
_SMALLEST = 5 * _MIB
"""S3 allows no smaller part, except the last one."""

USUAL = tuple(size * _MIB for size in (8, 10, 64))
"""Sizes of parts of the usual programs: the AWS tools, PyArrow, and S3A."""
RARE = tuple(size * _MIB for size in (5, 6, 15, 16, 20, 25, 32, 50, 100, 128, 256, 512, 1024))
"""Other sizes that programs choose. To compute them all takes longer than to read the object once more."""


class ETag:
    """The ETag of an object, computed while it is read, as a whole and for each size of parts that is possible.

    Parameters
    ----------
    recorded
        The ETag that is recorded. lakeFS leaves out the number of parts.
    size
        Size of the object in bytes.
    parts
        The sizes of parts to try.
    """

    def __init__(self, recorded: str, size: int, parts: Sequence[int] = USUAL) -> None:
        found = _ETAG.fullmatch(recorded.strip('"').lower())
        self._recorded = found[1] if found else ""
        count = int(found[2] or 0) if found else 0
        self._whole = hashlib.md5(usedforsecurity=False) if found and not count else None
        single = max(size, _SMALLEST)
        sizes = [single, *(part for part in parts if part < single)] if found else []
        self._parts = [_Parts(part) for part in sizes if not count or max(1, -(-size // part)) == count]
        self.may_be_rare = size > _SMALLEST and parts is USUAL

    @property
    def is_known(self) -> bool:
        """Whether it can be computed from the object's bytes."""
        return self._whole is not None or bool(self._parts)

    def update(self, block: bytes) -> None:
        """Take the next bytes of the object.

        Parameters
        ----------
        block
            The bytes.
        """
        if self._whole is not None:
            self._whole.update(block)
        for parts in self._parts:
            parts.update(block)

    def fault(self) -> str:
        """Return how the bytes differ from the recorded ETag. Empty if they do not."""
        found = [parts.hexdigest() for parts in self._parts]
        if self._whole is not None:
            found = [self._whole.hexdigest(), *found]
        if not found or self._recorded in found:
            return ""
        return f"its bytes have the checksum {found[0]}, but {self._recorded} is recorded"


class _Parts:
    """The MD5 of the MD5s of parts of one size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._digests: list[bytes] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._filled = 0

    def update(self, block: bytes) -> None:
        for piece in self._pieces(memoryview(block)):
            self._part.update(piece)
            self._filled += len(piece)
            if self._filled == self._size:
                self._end()

    def _pieces(self, block: memoryview) -> Iterator[memoryview]:
        while block:
            piece = block[: self._size - self._filled]
            yield piece
            block = block[len(piece) :]

    def _end(self) -> None:
        self._digests.append(self._part.digest())
        self._part, self._filled = hashlib.md5(usedforsecurity=False), 0

    def hexdigest(self) -> str:
        if self._filled or not self._digests:
            self._end()
        return hashlib.md5(b"".join(self._digests), usedforsecurity=False).hexdigest()
