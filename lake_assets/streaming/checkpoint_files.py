"""The files of a streaming checkpoint: on the local disk, on a branch, or in a commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The folder of a checkpoint, which may not exist yet.

    Parameters
    ----------
    uri
        The folder, for Spark's option ``checkpointLocation``.
    filesystem, root
        The same folder, for PyArrow.
    """

    uri: str
    filesystem: FileSystem
    root: str

    @classmethod
    def local(cls, folder: Path) -> CheckpointFiles:
        """Return those of a local folder.

        Parameters
        ----------
        folder
            The folder.
        """
        from pyarrow.fs import LocalFileSystem

        return cls(f"file://{folder}", LocalFileSystem(), str(folder))

    def names(self, folder: str) -> dict[str, str]:
        """Return the files of a folder below: name to path. Empty if there is no such folder.

        Parameters
        ----------
        folder
            The folder, such as ``commits``.
        """
        from pyarrow.fs import FileSelector

        found = self.filesystem.get_file_info(FileSelector(f"{self.root}/{folder}", allow_not_found=True))
        return {info.base_name: info.path for info in found if info.is_file}

    def read(self, path: str) -> str:
        """Return the text of a file.

        Parameters
        ----------
        path
            The path, as of :meth:`names`.
        """
        with self.filesystem.open_input_stream(path) as stream:
            return stream.read().decode()


def last_batch(checkpoint: CheckpointFiles) -> int:
    """Return the number of the last committed micro-batch, or -1.

    Parameters
    ----------
    checkpoint
        The checkpoint.
    """
    return max((int(name) for name in checkpoint.names("commits") if name.isdigit()), default=-1)


def offsets(checkpoint: CheckpointFiles) -> Mapping[str, int]:
    """Return the next offset to read by partition of a topic. Empty for a folder.

    Parameters
    ----------
    checkpoint
        The checkpoint.
    """
    number = last_batch(checkpoint)
    if number < 0:
        return {}
    text = checkpoint.read(f"{checkpoint.root}/offsets/{number}")
    return topic_offsets(json.loads(text.splitlines()[2]))


def topic_offsets(place: Any) -> Mapping[str, int]:
    """Return the offsets by partition in Spark's JSON of a position, which has a single topic.

    It is empty for a folder, whose position is only the number of a listing.
    """
    topics = [parts for parts in place.values() if isinstance(parts, dict)] if isinstance(place, dict) else []
    return topics[0] if topics else {}
