"""The files of user batches: their names, and whether they hold what users hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.compute.row_groups import row_groups_of
from lake_assets.defs.users.batches import as_users
from lake_assets.defs.users.naming import SUFFIX
from lake_assets.defs.users.schema import COLUMNS
from lake_assets.text.masking import mask
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from lake_assets.compute.parts import Task


class UsersSourceError(Exception):
    """A source or a batch cannot be read. The message contains the remedy.

    Parameters
    ----------
    reason
        The message. Secrets in it are masked, and control characters escaped.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(printable(mask(reason)))


def tasks_of(path: Path, name: str) -> Sequence[Task]:
    """Return the tasks that read the rows of a batch. Its schema is checked here.

    Parameters
    ----------
    path
        The batch's file.
    name
        Name of the file in messages.

    Raises
    ------
    UsersSourceError
        The file is missing, is not a Parquet file, or has other columns.
    """
    from pyarrow.fs import LocalFileSystem

    _check_schema(path, name)
    return row_groups_of(LocalFileSystem(), str(path), [column.name for column in COLUMNS], as_users)


def check_name(batch: str) -> None:
    """Refuse a name that no batch can have.

    Parameters
    ----------
    batch
        Name of the batch.

    Raises
    ------
    UsersSourceError
        The name is not valid.
    """
    if not batch or "/" in batch or fault(batch):
        raise UsersSourceError(
            f"batch {batch!r} is not a valid file name: it must not be empty, contain '/' or a control character, or "
            "begin with '.' or '_'"
        )


def fault(name: str) -> str | None:
    """Return why a file's name cannot be that of a batch, which becomes the key of a partition. None if it can.

    Parameters
    ----------
    name
        The file's name, or the batch's.
    """
    if name.startswith((".", "_")):
        return "engines ignore such names"
    return None if printable(name) == name else "it has control characters"


def is_batch(name: str) -> bool:
    """Return whether a file of this name is a batch.

    Parameters
    ----------
    name
        The file's name.
    """
    return name.endswith(SUFFIX) and not fault(name)


def _check_schema(path: Path, name: str) -> None:
    """Compare the columns in a file's footer with the schema.

    Parameters
    ----------
    path
        The file.
    name
        Name of the file in messages.

    Raises
    ------
    UsersSourceError
        The file is missing, cannot be opened, is not a Parquet file, or has other columns.
    """
    import pyarrow
    import pyarrow.parquet as pq

    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "there is no such file"
            raise UsersSourceError(f"{name}: {what}; a batch is the file of its name in USERS_SOURCE")
        with pq.ParquetFile(path) as file:
            schema: Any = file.schema
            stored = [schema.column(index) for index in range(len(schema))]
    except (pyarrow.ArrowException, OSError) as error:
        # For a footer that it cannot decode, Arrow raises an OSError without errno.
        refused = isinstance(error, OSError) and error.errno is not None
        what = "cannot be read" if refused else "is not a complete Parquet file"
        raise UsersSourceError(f"{name} {what}: {error}") from error
    found = {column.path: _type(column) for column in stored}
    expected = {column.name: column.type for column in COLUMNS}
    differences = [f"{name} ({kind}) is missing" for name, kind in expected.items() if name not in found]
    differences += [f"{name} ({kind}) is not expected" for name, kind in found.items() if name not in expected]
    differences += [
        f"{name} is {found[name]}, not {kind}"
        for name, kind in expected.items()
        if name in found and found[name] != kind
    ]
    if differences:
        raise UsersSourceError(f"{name} does not have the columns of users: {'; '.join(differences)}")


def _type(column: Any) -> str:
    """Return the Spark type of a stored column, or its Parquet type if there is no matching Spark type."""
    kind = json.loads(column.logical_type.to_json())
    stored = (column.physical_type, kind["Type"])
    if stored == ("INT64", "Timestamp") and kind["timeUnit"] == "nanoseconds":
        # pandas writes this unless `coerce_timestamps="us"` is given.
        return "timestamp in nanoseconds, which Spark cannot read"
    simple = {
        ("INT96", "None"): "timestamp",
        ("INT64", "Timestamp"): "timestamp",
        ("INT32", "None"): "int",
        ("DOUBLE", "None"): "double",
        ("BYTE_ARRAY", "String"): "string",
    }
    return simple.get(stored, " ".join(word for word in stored if word != "None"))
