"""Putting a copy of tables in the place of a store."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from lake_assets.lake.permissions import sharing_near
from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.disk_errors import remedy
from lake_assets.nosql.lmdb.backup import DATA
from lake_assets.nosql.lmdb.environment import sync_folders
from lake_assets.nosql.lmdb.store import LMDBStore


def restore_tables(source: Path, folder: Path, *, replace: bool = False) -> Callable[[], tuple[str, ...]]:
    """Copy the tables of a backup beside a store, and return what puts them in its place.

    Tables that are replaced are kept in a folder beside it. If the tables are equal, nothing is done. A copy
    that is not put in place is removed.

    Parameters
    ----------
    source
        Folder of the copy.
    folder
        Folder of the store.
    replace
        Replace tables that are there.

    Returns
    -------
    Callable
        Puts the tables in place, and returns their names.

    Raises
    ------
    NoSQLError
        There are other tables, or a folder cannot be read or written.
    """
    found = _tables(source)
    there = _tables(folder)
    if found == there:
        return lambda: tuple(found)
    if there and not replace:
        raise NoSQLError(
            f"store {folder}: it has tables already ({', '.join(there)}): stop what writes them, and give --replace, "
            f"which keeps them as {folder.name}.replaced-…"
        )
    new = folder.with_name(f".{folder.name}.new")
    # As for the lake that the backup holds, which may not be beside the store yet.
    sharing = sharing_near(source)

    def switch() -> tuple[str, ...]:
        with _translated(source, folder):
            if folder.is_dir():
                old = folder.with_name(f"{folder.name}.replaced-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}")
                folder.rename(old)
                if not there:
                    shutil.rmtree(old)
            new.rename(folder)
            sync_folders([folder.parent])
        return tuple(found)

    weakref.finalize(switch, shutil.rmtree, new, ignore_errors=True)
    with _translated(source, folder):
        sharing.make_folder(folder.parent)
        shutil.rmtree(new, ignore_errors=True)
        sharing.make_folder(new)
        if found:
            shutil.copyfile(source / DATA, new / DATA)
            sharing.adjust(new / DATA)
            sync_folders([new / DATA, new])
    return switch


@contextmanager
def _translated(source: Path, folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise NoSQLError(f"store {folder}: the copy in {source} cannot be restored: {error}{remedy(error)}") from error


def _tables(folder: Path) -> dict[str, tuple[str | None, int]]:
    """Return the tables of a folder, each with the commit that it reflects and the number of its items."""
    if not (folder / DATA).is_file():
        return {}
    with closing(LMDBStore(folder, read_only=True)) as store:
        return {name: (store.source_commit(name), store.row_count(name)) for name in store.tables()}
