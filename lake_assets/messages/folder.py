"""Messages as lines of text files in a folder, for which no server is needed. Files only grow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader, lost


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
        sizes = self._sizes()
        for name, offset in offsets.items():
            if sizes.get(name, 0) < offset and fail_on_loss:
                raise lost(self.name, f"{name} has {sizes.get(name, 0)} bytes, and {offset} were read")
        messages: list[Message] = []
        for name in sorted(sizes):
            start = offsets.get(name, 0)
            # A file that is shorter than what was read of it is another one.
            start = start if start <= sizes[name] else 0
            for offset, line in self._lines(name, start):
                if len(messages) == limit:
                    return Batch(messages, {"offsets": offsets})
                messages.append(Message(name, str(offset), line))
                offsets[name] = offset + len(line) + 1
        return Batch(messages, {"offsets": offsets})

    def backlog(self, position: Position) -> int:
        """Return 1 if there are unread bytes; see :meth:`Reader.backlog`."""
        offsets: Mapping[str, int] = position.get("offsets", {})
        return int(any(size > offsets.get(name, 0) for name, size in self._sizes().items()))

    def _sizes(self) -> dict[str, int]:
        try:
            found = [entry for entry in os.scandir(self._folder) if entry.is_file() and not entry.name.startswith(".")]
        except OSError as error:
            raise MessagesError(f"{self.name} cannot be read: {error.strerror}") from error
        return {entry.name: entry.stat().st_size for entry in found}

    def _lines(self, name: str, start: int) -> Iterator[tuple[int, bytes]]:
        with (self._folder / name).open("rb") as file:
            file.seek(start)
            offset = start
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield offset, line[:-1]
                offset += len(line)
