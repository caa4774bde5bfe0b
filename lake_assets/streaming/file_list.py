"""A list of files for Spark's stream of files, so that it reads these and no others.

Spark takes a folder for the output of another stream if it holds ``_spark_metadata``, the log of that output. Then it
does not look into folders: it reads the files of the log, by the paths that stand there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import unicodedata
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from lake_assets.streaming.checkpoint_files import CheckpointFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SAFE = "/-_.!~*'()@:&=+$,;"
_SCHEMA = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"


class Listed(NamedTuple):
    """A file of the list.

    Parameters
    ----------
    size
        Its size in bytes.
    modified
        When it was modified, in milliseconds since 1970.
    """

    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Listed:
        """Return that of a local file.

        Parameters
        ----------
        status
            The file's status.
        """
        return cls(status.st_size, status.st_mtime_ns // 1_000_000)


class Notes:
    """The folder of a list: a temporary one, which is removed after the session, or one that is given."""

    _given: CheckpointFiles | None = None
    sizes: Mapping[str, int] = {}
    """The files of the list: path to bytes."""

    @property
    def place(self) -> CheckpointFiles:
        """The folder."""
        return self._given or CheckpointFiles.local(self._temporary)

    def use(self, session: SparkSession, given: CheckpointFiles | None) -> None:
        """Take the folder that is given, or else keep the temporary one as long as a session.

        Parameters
        ----------
        session
            The session.
        given
            A folder that nobody else uses.
        """
        self._given = given
        if given is None:
            weakref.finalize(session, shutil.rmtree, self._temporary, ignore_errors=True)

    @cached_property
    def _temporary(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="lake-assets-"))


def write_list(folder: CheckpointFiles, files: Mapping[str, Listed]) -> None:
    """Write the list of files, in one step. A stream that goes on reads it before each micro-batch.

    Parameters
    ----------
    folder
        A folder that holds only this list.
    files
        The files by their URLs, which are as Java writes them.
    """
    entries = (
        {
            "path": url,
            "size": file.size,
            "isDir": False,
            "modificationTime": file.modified,
            "blockReplication": 1,
            "blockSize": 1 << 25,
            "action": "add",
        }
        for url, file in sorted(files.items())
    )
    log = f"{folder.root}/_spark_metadata"
    text = "\n".join(["v1", *map(json.dumps, entries)])
    if "0" in folder.names("_spark_metadata") and folder.read(f"{log}/0") == text:
        return
    folder.filesystem.create_dir(log, recursive=True)
    # Spark does not read names that are not numbers.
    with folder.filesystem.open_output_stream(f"{log}/.new") as stream:
        stream.write(text.encode())
    folder.filesystem.move(f"{log}/.new", f"{log}/0")


def stream_files(session: SparkSession, folder: CheckpointFiles) -> DataFrame:
    """Return the stream of the listed files: their ``path`` and ``length``. No file is read.

    Parameters
    ----------
    session
        The Spark session.
    folder
        The folder of the list.
    """
    reader = session.readStream.format("binaryFile").schema(_SCHEMA).option("recursiveFileLookup", "true")
    # A file that was never read is new, even if its modification time is old.
    return reader.option("maxFileAge", "36500d").load(folder.uri).select("path", "length")


def file_url(path: str, root: str = "file://") -> str:
    """Return the URL of a file exactly as Java writes it, since the checkpoint knows files by it.

    Parameters
    ----------
    path
        The path.
    root
        What the URL begins with.
    """
    return root + "".join(
        character
        if character >= "\x80" and unicodedata.category(character) not in ("Zs", "Zl", "Zp", "Cc")
        else quote(character, safe=_SAFE)
        for character in path
    )
