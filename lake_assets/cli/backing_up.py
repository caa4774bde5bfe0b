"""The commands `backup` and `restore`."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lake_assets.backup.folder import TABLES
from lake_assets.cli.code_location import find_nosql, open_lake, stores
from lake_assets.cli.output import Json, amount, cell, emit, note
from lake_assets.lake.contract import MAIN, Copied

Copy = Annotated[
    bool, typer.Option("--copy", help="Copy and hash all bytes. Default: hard links, unread, where possible.")
]


def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new folder, or that of an earlier backup.")],
    copy: Copy = False,
    check: Annotated[
        bool, typer.Option("--check", help="Hash what TARGET holds of the newest commits, and replace what is damaged.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a backup of another history, such as a newer one.")
    ] = False,
    json: Json = False,
) -> None:
    """Back up the lake and its tables to a folder. Runs may be active meanwhile.

    Only what is new is copied. TARGET holds branches and tags as they were at one moment, with all their data, and can
    itself be used as LAKE_HOME. If the command is killed, TARGET stays the earlier backup. Of a lake on lakeFS, the
    tables are copied and the commits of branches and tags are recorded. The exit code is 1 if data are missing.
    """
    from lake_assets.backup.backing_up import back_up

    with ExitStack() as opened:
        lake = opened.enter_context(closing(open_lake()))
        store = find_nosql(read_only=True)
        if store is not None:
            opened.enter_context(closing(store))
        done = back_up(lake, store, target, link=not copy, check=check, replace=replace)
    missing = done.copied.missing if done.copied is not None else ()
    if json:
        copied = asdict(done.copied) if done.copied is not None else None
        emit({"target": str(target), **asdict(done.record), "copied": copied, "advice": done.advice})
    else:
        print(f"Backed up {MAIN} at {done.record.main} to {target}: {_describe(done.copied, len(done.record.tables))}")
        if check and done.copied is not None and not done.copied.missing:
            print("What it holds of the newest commits was hashed, and is sound.")
        if done.advice:
            note(done.advice)
    _fail_if_missing(missing)


def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of a backup, or a copy of a LAKE_HOME.")],
    copy: Copy = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the lake and tables that are there. They are kept beside.")
    ] = False,
    json: Json = False,
) -> None:
    """Restore the lake and its tables from a backup.

    A lake that is there is only replaced with --replace. Stop its runs and the daemon before. Tables and topics that
    are ahead of the restored main are brought back by the next run of their job, or by the sensor sinks_follow_main.
    Of a lake on lakeFS, the tables are restored. The server must have been restored before.
    """
    with stores() as (lake, nosql):
        switch = nosql.restore(source / TABLES, replace=replace) if nosql is not None else tuple[str, ...]
        done = lake.restore(source, link=not copy, replace=replace)
        tables = switch()
    if json:
        emit({"source": str(source), "main": done.main, "tables": tables, "copied": asdict(done)})
    else:
        print(f"Restored {MAIN} at {done.main} from {source}: {_describe(done, len(tables))}")
        note("`lake-assets verify` says what Dagster has materialized and the lake lacks.")
    _fail_if_missing(done.missing)


def _describe(copied: Copied | None, tables: int) -> str:
    files = copied.copied + copied.linked if copied is not None else 0
    if copied is None or not files:
        return f"no new data file; {tables} table(s)"
    how = f", {copied.linked} of them by hard link (not read)" if copied.linked else ""
    return f"{files} new data file(s), {amount(copied.size)}{how}; {tables} table(s)"


def _fail_if_missing(missing: tuple[str, ...]) -> None:
    for name in missing:
        note(cell(f"{name}: missing or damaged at its origin, and not in the copy"))
    if missing:
        raise typer.Exit(1)
