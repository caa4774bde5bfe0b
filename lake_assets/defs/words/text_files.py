"""What sources of text files have in common: which names are read, lines with their time, and what was read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lake_assets.streaming.lines import is_compressed
from lake_assets.streaming.query import FEW_BYTES

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame

    from lake_assets.streaming.checkpoint_files import CheckpointFiles


def unread(name: str) -> str | None:
    """Return why Spark ignores a file or folder of a name, and the remedy. None if Spark reads it.

    Parameters
    ----------
    name
        The name, without its folder.
    """
    if name.startswith(".") or (name.startswith("_") and "=" not in name):
        return f"Spark passes over names that begin with {name[0]!r}; rename it"
    if name.endswith("._COPYING_"):
        return "Spark takes it for a copy that has not ended; rename it"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    return None


def dated(frame: DataFrame) -> DataFrame:
    """Add the time at the beginning of a line, or null, and the rest of the line as text.

    Parameters
    ----------
    frame
        The columns ``value`` and ``too_long``.
    """
    texts = frame.selectExpr("CAST(value AS STRING) AS value", "too_long")
    timed = texts.selectExpr("value", f"regexp_extract(value, r'{_ISO_TIME}', 1) AS time", "too_long")
    text = "if(time = '', value, substring(value, length(time) + 1)) AS text"
    return timed.selectExpr("value", "try_to_timestamp(time) AS timestamp", text, "too_long")


_ISO_TIME = r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)(?: |$)"


def files_read(filesystem: FileSystem, log: str) -> dict[str, int]:
    """Return the files that a stream has read: path to the modification time (ms since 1970) at that moment.

    The path of an object in S3 begins with its bucket.

    Parameters
    ----------
    filesystem, log
        Place of the checkpoint's folder ``sources/0``, which may not exist yet.
    """
    from pyarrow.fs import FileSelector

    batches: dict[int, str] = {}
    newest = -1
    for file in filesystem.get_file_info(FileSelector(log, allow_not_found=True)):
        number, _, suffix = file.base_name.partition(".")
        # Every tenth file of the log contains all entries before it.
        if number.isdigit() and suffix in ("", "compact"):
            batches[int(number)] = file.path
            newest = max(newest, int(number)) if suffix else newest
    found: dict[str, int] = {}
    for number in sorted(number for number in batches if number >= newest):
        with filesystem.open_input_stream(batches[number]) as stream:
            entries = stream.read().decode().splitlines()[1:]
        for line in entries:
            entry = json.loads(line)
            url = urlsplit(entry["path"])
            found[f"{url.netloc}{unquote(url.path)}"] = entry["timestamp"]
    return found


def little_is_new(sizes: Mapping[str, int], checkpoint: CheckpointFiles) -> bool:
    """Tell whether the files that were not read yet are small, and none of them is compressed.

    Parameters
    ----------
    sizes
        All files: path to bytes.
    checkpoint
        The checkpoint.
    """
    read = read_by(checkpoint)
    new = [path for path in sizes if path not in read]
    return sum(sizes[path] for path in new) <= FEW_BYTES and not any(map(is_compressed, new))


def read_by(checkpoint: CheckpointFiles) -> dict[str, int]:
    """Return :func:`files_read` of a checkpoint.

    Parameters
    ----------
    checkpoint
        The checkpoint.
    """
    return files_read(checkpoint.filesystem, f"{checkpoint.root}/sources/0")
