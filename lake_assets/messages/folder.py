"""Messages as lines of text files in a folder, for which no server is needed. Files only grow."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader, lost

_END = 4096
"""The last bytes that were read of a file, by which it is known again."""

_BLOCK = 1 << 20


class FolderReader(Reader):
    """Reads the lines of the files of a folder, file by file in the order of their names.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._folder = folder

    def read(self, position: Position, limit: int, *, fail_on_loss: bool = True) -> Batch:
        """Read on; see :meth:`Reader.read`. A line without its end is not read yet."""
        offsets: dict[str, int] = dict(position.get("offsets", {}))
        ends: dict[str, str] = dict(position.get("ends", {}))
        sizes = self._sizes()
        for name, offset in list(offsets.items()):
            what = ""
            if sizes.get(name, 0) < offset:
                what = f"{name} has {sizes.get(name, 0)} bytes, and {offset} were read"
            elif name in ends and self._end(name, offset) != ends[name]:
                what = f"{name} is another file than the one of which {offset} bytes were read"
            if what and fail_on_loss:
                raise lost(self.name, what)
            if what:
                del offsets[name]
                ends.pop(name, None)
        messages: list[Message] = []
        for name in sorted(sizes):
            if len(messages) == limit:
                break
            had = len(messages)
            for offset, line in self._lines(name, offsets.get(name, 0)):
                messages.append(Message(name, str(offset), line))
                offsets[name] = offset + len(line) + 1
                if len(messages) == limit:
                    break
            if len(messages) > had:
                ends[name] = self._end(name, offsets[name])
        return Batch(messages, {"offsets": offsets, "ends": ends})

    def backlog(self, position: Position) -> int:
        """Return 1 if there is an unread line that has its end; see :meth:`Reader.backlog`."""
        offsets: Mapping[str, int] = position.get("offsets", {})
        grown = (name for name, size in self._sizes().items() if size > offsets.get(name, 0))
        return int(any(self._has_line(name, offsets.get(name, 0)) for name in grown))

    def _sizes(self) -> dict[str, int]:
        try:
            found = [entry for entry in os.scandir(self._folder) if entry.is_file() and not entry.name.startswith(".")]
        except OSError as error:
            raise MessagesError(f"{self.name} cannot be read: {error.strerror}") from error
        return {entry.name: entry.stat().st_size for entry in found}

    def _has_line(self, name: str, start: int) -> bool:
        with (self._folder / name).open("rb") as file:
            file.seek(start)
            return any(b"\n" in block for block in iter(lambda: file.read(_BLOCK), b""))

    def _lines(self, name: str, start: int) -> Iterator[tuple[int, bytes]]:
        with (self._folder / name).open("rb") as file:
            file.seek(start)
            offset = start
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield offset, line[:-1]
                offset += len(line)

    def _end(self, name: str, offset: int) -> str:
        """Return the digest of the last bytes of a file before an offset."""
        with (self._folder / name).open("rb") as file:
            file.seek(max(0, offset - _END))
            return hashlib.sha256(file.read(min(_END, offset))).hexdigest()[:16]
