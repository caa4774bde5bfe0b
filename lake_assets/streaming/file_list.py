"""A list of files for Spark's stream of files, so that it reads these and no others.

Spark takes a folder for the output of another stream if it holds ``_spark_metadata``, the log of that output. Then it
does not look into folders: it reads the files of the log, by the paths that stand there.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SAFE = "/-_.!~*'()@:&=+$,;"
_SCHEMA = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"


def write_list(folder: Path, files: Mapping[str, os.stat_result]) -> None:
    """Write the list of files, in one step. A stream that goes on reads it before each micro-batch.

    Parameters
    ----------
    folder
        A local folder that holds only this list.
    files
        Path of each file to its status.
    """
    entries = (
        {
            "path": file_url(path),
            "size": status.st_size,
            "isDir": False,
            "modificationTime": status.st_mtime_ns // 1_000_000,
            "blockReplication": 1,
            "blockSize": 1 << 25,
            "action": "add",
        }
        for path, status in sorted(files.items())
    )
    log = folder / "_spark_metadata"
    log.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["v1", *map(json.dumps, entries)])
    if (log / "0").is_file() and (log / "0").read_text() == text:
        return
    # Spark does not read names that are not numbers.
    new = log / ".new"
    new.write_text(text)
    new.replace(log / "0")


def stream_files(session: SparkSession, folder: Path) -> DataFrame:
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
    return reader.option("maxFileAge", "36500d").load(f"file://{folder}").select("path", "length")


def file_url(path: str) -> str:
    """Return the URL of a file exactly as Java writes it, since the checkpoint knows files by it.

    Parameters
    ----------
    path
        The path.
    """
    return "file://" + "".join(
        character
        if character >= "\x80" and unicodedata.category(character) not in ("Zs", "Zl", "Zp", "Cc")
        else quote(character, safe=_SAFE)
        for character in path
    )
