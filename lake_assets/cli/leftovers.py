"""What a trial leaves behind: what may be deleted, and what is kept and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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


def find_caches(store: Lake | NoSQLStore) -> Iterator[Leftover | Kept]:
    """Yield the folders that a store keeps beside its data, a line a kind; a live process's are kept."""
    for cache in store.caches():
        if cache.unused:
            detail = f"{cache.unused} folder(s) that nobody uses"
            yield Leftover("cache", cache.kind, detail, store.clean, cache.frees)
        if cache.in_use:
            yield Kept("cache", cache.kind, f"{cache.in_use} folder(s) that a live process uses")
