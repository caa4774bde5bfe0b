"""The leftovers of a trial: what may be deleted, and what is kept and why."""

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
        Description.
    remove
        Deletes it.
    frees
        Disk space in bytes that is freed by deleting it. None if this is not known.
    """

    kind: str
    name: str
    detail: str
    remove: Callable[[], None]
    frees: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is kept, and why."""

    kind: str
    name: str
    reason: str


def find_tables(store: NoSQLStore, runs: Runs) -> Iterator[Leftover | Kept]:
    """Yield every table. All are kept while a run is active or may be, since it may write one."""
    for name in store.tables():
        if reason := _why_tables_stay(runs):
            yield Kept("table", name, reason)
        else:
            yield Leftover("table", name, f"{store.row_count(name)} rows", partial(store.drop, name))


def _why_tables_stay(runs: Runs) -> str | None:
    if runs.unknown:
        return runs.unknown
    if runs.going_on:
        return f"run {min(runs.going_on)} is still active, and may write it"
    if runs.of_others:
        return f"another Dagster's run may still be active, and may write it: see branch {runs.of_others[0]}"
    return None


def find_branches(lake: Lake, runs: Runs) -> Iterator[Leftover | Kept]:
    """Yield every run branch. Those of runs that are or may be active, and of runs that these re-execute, are kept."""
    from lake_assets.runs.sweeping import UNKNOWN

    for run_id, name in runs.branches.items():
        if runs.unknown:
            yield Kept("branch", name, runs.unknown)
        elif name in runs.of_others:
            yield Kept("branch", name, UNKNOWN)
        elif run_id in runs.going_on:
            reason = f"its run is {runs.status(run_id)}; if its process was killed, terminate it in Dagster's UI"
            yield Kept("branch", name, reason)
        elif run_id in runs.needed:
            yield Kept("branch", name, "a run that is still active re-executes it")
        else:
            changed = len(lake.diff(MAIN, name).paths)
            detail = f"run {runs.status(run_id)}, {changed} path(s) differ from {MAIN}"
            yield Leftover("branch", name, detail, partial(lake.delete_branch, name), 0)


def find_caches(store: Lake | NoSQLStore) -> Iterator[Leftover | Kept]:
    """Yield the temporary folders of a store, by kind. Those that a running process uses are kept."""
    for cache in store.caches():
        if cache.unused:
            detail = f"{cache.unused} unused folder(s)"
            yield Leftover("cache", cache.kind, detail, store.clean, cache.frees)
        if cache.in_use:
            yield Kept("cache", cache.kind, f"{cache.in_use} folder(s) that a running process uses")
