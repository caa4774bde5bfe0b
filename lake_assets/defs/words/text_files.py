"""What sources of text files have in common: which names are read, lines with their time, and what was read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

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
    from pyspark.sql import functions as sf

    frame = frame.withColumn("value", sf.col("value").cast("string"))
    time = sf.regexp_extract("value", _ISO_TIME, 1)
    text = sf.when(time == "", sf.col("value")).otherwise(sf.expr("substring(value, length(time) + 1)"))
    return frame.withColumn("time", time).select(
        "value", sf.try_to_timestamp("time").alias("timestamp"), text.alias("text"), "too_long"
    )


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


def read_by(checkpoint: CheckpointFiles) -> dict[str, int]:
    """Return :func:`files_read` of a checkpoint.

    Parameters
    ----------
    checkpoint
        The checkpoint.
    """
    return files_read(checkpoint.filesystem, f"{checkpoint.root}/sources/0")
