"""Backs up a lake and its tables, so that they fit together.

The tables are copied before the lake's refs are read. A table reflects a commit that was published before, so ``main``
of the backup reaches what each table of it reflects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.backup.folder import TABLES, Record, taken, write_record
from lake_assets.lake.contract import MAIN, Copied, Lake
from lake_assets.lake.errors import NotSupported

if TYPE_CHECKING:
    from lake_assets.nosql.contract import NoSQLStore


@dataclass(frozen=True, slots=True)
class Backup:
    """The result of a backup.

    Parameters
    ----------
    record
        What the backup says about itself.
    copied
        What was copied of the lake; None if its server has a backup of its own.
    advice
        How the lake itself is backed up, if its server has a backup of its own.
    """

    record: Record
    copied: Copied | None
    advice: str = ""


def back_up(
    lake: Lake,
    store: NoSQLStore | None,
    target: Path,
    *,
    link: bool = True,
    check: bool = False,
    replace: bool = False,
) -> Backup:
    """Bring the backup in a folder up to date, while runs go on.

    Of a lake on a server, the commit of each branch and tag is recorded, and the tables are copied.

    Parameters
    ----------
    lake
        The lake.
    store
        Its tables, if there are any.
    target
        Folder of the backup. It is created if it is missing.
    link, check, replace
        As of :meth:`~lake_assets.lake.contract.Lake.backup`.

    Raises
    ------
    BackupError
        The folder is in use, or holds other things.
    LakeError
        The lake cannot be copied. The backup is as it was.
    """
    folder = target.absolute()
    used = [*lake.folders, *(store.folders if store is not None else ())]
    with taken(folder, lake.repository, used) as sharing:
        switch: Callable[[], None] | None = None
        tables: dict[str, str | None] = {}
        if store is not None:
            # The names are read before the copy, too: a table that is dropped meanwhile is in none of them.
            switch = store.backup(folder / TABLES)
            tables = {name: store.source_commit(name) for name in store.tables()}
        advice, branches, tags = "", dict[str, str](), dict[str, str]()
        copied: Copied | None = None
        try:
            copied = lake.backup(folder, link=link, check=check, replace=replace)
            main = copied.main
        except NotSupported as reason:
            advice = reason.reason
            branches = {name: lake.head(name).id for name in lake.branches()}
            tags = dict(lake.tags())
            main = branches[MAIN]
        if switch is not None:
            switch()
        now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        record = Record(lake.repository, now, main, tables, branches, tags)
        write_record(folder, record, sharing)
    return Backup(record, copied, advice)
