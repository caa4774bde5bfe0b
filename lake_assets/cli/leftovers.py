"""What a trial leaves behind: what may be deleted, and what is kept and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from lake_assets.cli.runs import Runs
    from lake_assets.lake.contract import Lake
    from lake_assets.nosql.contract import NoSQLStore


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that may be deleted.

    Parameters
    ----------
    kind, name, detail
        What it is.
    remove
        Deletes it.
    frees
        Bytes of disk space that deleting it frees; None where the store does not tell.
    """

    kind: str
    name: str
    detail: str
    remove: Callable[[], None]
    frees: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is not deleted, and why."""

    kind: str
    name: str
    reason: str


def find_tables(store: NoSQLStore, runs: Runs) -> Iterator[Leftover | Kept]:
    """Yield every table; all are kept while a run goes on, which may be about to write one."""
    for name in store.tables():
        if runs.unknown or runs.going_on:
            reason = runs.unknown or f"run {min(runs.going_on)} is still going on, and may write it"
            yield Kept("table", name, reason)
        else:
            yield Leftover("table", name, f"{store.row_count(name)} rows", partial(store.drop, name))


def find_branches(lake: Lake, runs: Runs) -> Iterator[Leftover | Kept]:
    """Yield every run branch; kept are those of runs that go on, and of the runs they were re-executed from."""
    for run_id, name in runs.branches.items():
        if runs.unknown:
            yield Kept("branch", name, runs.unknown)
        elif run_id in runs.going_on:
            reason = f"its run is {runs.status(run_id)}; was its process killed, terminate it in Dagster's UI"
            yield Kept("branch", name, reason)
        elif run_id in runs.needed:
            yield Kept("branch", name, "a run that is still going on was re-executed from it")
        else:
            changed = len(lake.diff(MAIN, name).paths)
            detail = f"run {runs.status(run_id)}, {changed} path(s) differ from {MAIN}"
            yield Leftover("branch", name, detail, partial(lake.delete_branch, name), 0)


def find_caches(home: Path) -> Iterator[Leftover | Kept]:
    """Yield the snapshots that no live reader keeps and the folders of writers that died, a line a kind."""
    from lake_assets.lake.embedded import EmbeddedLake

    lake = EmbeddedLake(home)
    stale = lake.stale()
    for folder in ("snapshots", "staging"):
        unused = {path.name: size for path, size in stale if path.parent.name == folder}
        if unused:
            detail = f"{len(unused)} folder(s) that nobody uses"
            yield Leftover("cache", folder, detail, lake.clean, sum(unused.values()))
        held = sum(path.name not in unused for path in (home / folder).glob("[!.]*"))
        if held:
            yield Kept("cache", folder, f"{held} folder(s) that a live process uses")


def find_spools(nosql_home: Path) -> Iterator[Leftover | Kept]:
    """Yield what writers of the NoSQL store spooled before they were killed, as one; a live writer's is kept."""
    from lake_assets.lake.embedded.housekeeping import freed_by_removing
    from lake_assets.lake.embedded.scratch import Scratch
    from lake_assets.nosql.lmdb.runs import spool

    root = nosql_home / "spool"

    def sweep() -> None:
        with spool(root):
            pass

    frees = {path: freed_by_removing(path) for path in Scratch(root).abandoned()}
    if frees:
        yield Leftover("cache", "spool", f"{len(frees)} folder(s) of killed writers", sweep, sum(frees.values()))
    held = sum(path not in frees for path in root.glob("*"))
    if held:
        yield Kept("cache", "spool", f"{held} folder(s) that a live process uses")
