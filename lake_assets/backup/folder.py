"""The folder of a backup: what it holds, and what may become one."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lake_assets.lake.permissions import UMASK, Sharing, sharing_near

TABLES = "nosql"
"""Folder of the tables, beside the lake's ``lake.git``. So a backup can be used as a LAKE_HOME."""

_RECORD, _LOCK = "backup.json", "backup.lock"
_KIND = "backup of lake_assets"


class BackupError(Exception):
    """A folder cannot be used for a backup or a restore. The message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a backup says about itself.

    Parameters
    ----------
    lake
        Name of the lake.
    at
        Time of the backup, in UTC. Empty if the first backup was killed.
    main
        Id of the commit that ``main`` had.
    tables
        The tables, each with the commit that it reflects.
    branches, tags
        Commit ids by name, if the lake is on a server. Otherwise the backup's repository has them.
    """

    lake: str
    at: str = ""
    main: str = ""
    tables: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    branches: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


def read_record(folder: Path) -> Record | None:
    """Return what the backup in a folder says about itself; None if there is no backup.

    Parameters
    ----------
    folder
        The folder.
    """
    try:
        found = json.loads((folder / _RECORD).read_text())
        if found.pop("kind") != _KIND:
            return None
        return Record(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_record(folder: Path, record: Record, sharing: Sharing = UMASK) -> None:
    """Write what a backup says about itself, at once.

    Parameters
    ----------
    folder
        The folder.
    record
        What is written.
    sharing
        Who may use the file.
    """
    new = folder / f"{_RECORD}.new"
    with new.open("w") as file:
        json.dump({"kind": _KIND, **asdict(record)}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    sharing.adjust(new)
    new.replace(folder / _RECORD)


@contextmanager
def taken(folder: Path, lake: str, used: Iterable[Path]) -> Generator[Sharing]:
    """Hold a folder for one backup. A new or empty folder becomes the folder of a backup.

    Parameters
    ----------
    folder
        The folder.
    lake
        Name of the lake.
    used
        Folders of the stores that are backed up.

    Yields
    ------
    Sharing
        Who may use the files of the backup: the users of the lake.

    Raises
    ------
    BackupError
        The folder is in use, or holds other things.
    """
    stores = tuple(used)
    refuse_own(folder, stores)
    sharing = next((found for store in stores if (found := sharing_near(store)) != UMASK), UMASK)
    try:
        there = {path.name for path in folder.iterdir()} if folder.exists() else set[str]()
        if read_record(folder) is None and there - {_LOCK}:
            raise BackupError(f"{folder} holds other things than a backup: name a new or an empty folder")
        sharing.make_folder(folder)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        sharing.adjust(folder / _LOCK)
    except OSError as error:
        raise BackupError(f"{folder} cannot be used for a backup: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(f"another backup to {folder} is running: wait until it ends") from error
        if read_record(folder) is None:
            write_record(folder, Record(lake), sharing)
        yield sharing
    except OSError as error:
        raise BackupError(f"{folder} cannot be written, and what it holds is as it was before: {error}") from error
    finally:
        os.close(lock)


def refuse_own(folder: Path, used: Iterable[Path]) -> None:
    """Raise if a folder of a backup is, contains or lies in the folder of a store.

    Parameters
    ----------
    folder
        The folder.
    used
        The folders of the stores.

    Raises
    ------
    BackupError
        It is one of those.
    """
    place = folder.resolve()
    for other in used:
        own = other.resolve()
        if place == own or place in own.parents or own in place.parents:
            raise BackupError(
                f"{folder} and {other}, where the lake or its tables are, are not apart: name a folder elsewhere"
            )
