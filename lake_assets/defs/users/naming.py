"""How files of users are named: one for each batch."""

from __future__ import annotations

from collections.abc import Mapping

SUFFIX = ".parquet"


class BatchFiles:
    """Files named by ``{batch}``, which is the key."""

    source = "USERS_SOURCE"
    layout = "{batch}" + SUFFIX
    # Names that begin with "." or "_" are those of hidden files: Spark passes over them in a folder.
    placeholders: Mapping[str, str] = {"batch": "[^/._][^/]*"}

    def values(self, key: str) -> Mapping[str, str]:
        """Return the batch."""
        return {"batch": key}

    def key(self, values: Mapping[str, str]) -> str | None:
        """Return the batch."""
        return values["batch"]


BATCH_FILES = BatchFiles()
