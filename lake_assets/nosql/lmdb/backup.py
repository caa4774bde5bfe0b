"""Copying the tables of a store, all at one transaction."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

from lake_assets.lake.permissions import sharing_near
from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.disk_errors import remedy
from lake_assets.nosql.lmdb.environment import Environment, sync_folders

DATA, _STATE = "data.mdb", "copied.txt"


def copy_tables(environment: Environment, target: Path) -> Callable[[], None]:
    """Copy an open environment beside its earlier copy; see :meth:`NoSQLStore.backup`.

    A copy that is not put in its place is removed.

    Parameters
    ----------
    environment
        The environment.
    target
        Folder of the copy.
    """
    new = target / "new"
    sharing = sharing_near(environment.folder)

    def switch() -> None:
        (target / _STATE).unlink(missing_ok=True)
        (new / DATA).replace(target / DATA)
        (new / _STATE).replace(target / _STATE)
        shutil.rmtree(new)
        sync_folders([target])

    weakref.finalize(switch, shutil.rmtree, new, ignore_errors=True)
    try:
        sharing.make_folder(target)
        state = f"{environment.folder} {(environment.folder / DATA).stat().st_ino} {environment.last_transaction}\n"
        if _read(target / _STATE) == state and (target / DATA).is_file():
            return lambda: None
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        # The state is that of an earlier moment than the copy, so a later write is never taken for copied.
        environment.copy(new)
        (new / _STATE).write_text(state)
        sharing.adjust(new, *new.iterdir())
        for path in new.iterdir():
            sync_folders([path])  # It syncs files, too.
    except OSError as error:
        raise NoSQLError(
            f"store {environment.folder}: it cannot be copied to {target}: {error}{remedy(error)}"
        ) from error
    return switch


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
