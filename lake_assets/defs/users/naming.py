"""The names of files of users. There is one file for each batch."""

from __future__ import annotations

from collections.abc import Mapping

SUFFIX = ".parquet"


class BatchFiles:
    """Files named by ``{batch}``, the key."""

    source = "USERS_SOURCE"
    layout = "{batch}" + SUFFIX
    # Spark ignores hidden files, whose names begin with "." or "_".
    placeholders: Mapping[str, str] = {"batch": "[^/._][^/]*"}

    def values(self, key: str) -> Mapping[str, str]:
        """Return the batch."""
        return {"batch": key}

    def key(self, values: Mapping[str, str]) -> str | None:
        """Return the batch."""
        return values["batch"]


BATCH_FILES = BatchFiles()
