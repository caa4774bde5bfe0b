"""Writers that tests start as processes and kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from lake_assets.nosql.contract import NoSQLStore, Options
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.lmdb.store import LMDBStore

spawn = multiprocessing.get_context("spawn")
DEADLINE = 120.0

Place = Path | dict[str, Any]
"""Folder of an LMDB store, or the options of a DynamoDB store."""


def open_at(place: Place) -> NoSQLStore:
    """Open the store of a place."""
    return DynamoDBStore(**place) if isinstance(place, dict) else LMDBStore(place)


def started(work: Callable[..., None], *arguments: Any) -> Any:
    """Start a process."""
    process = spawn.Process(target=work, args=arguments)
    process.start()
    return process


def kill(process: Any) -> None:
    """Kill a process, and wait for its end."""
    os.kill(process.pid, signal.SIGKILL)
    process.join(DEADLINE)


def counts(rows: int) -> pd.DataFrame:
    """Return increments by one."""
    return pd.DataFrame({"k": [f"key {at}" for at in range(rows)], "n": 1})


def count(place: Place, batches: int, rows: int, begun: Any) -> None:
    """Write batches of increments, as often as it takes."""
    store = open_at(place)
    for batch in range(batches):
        store.write("t", counts(rows), key=["k"], options=Options(counter=["n"], batch=str(batch)))
        if begun is not None:
            begun.set()


def versions(version: int, rows: int) -> pd.DataFrame:
    """Return items of one version."""
    return pd.DataFrame({"k": [f"key {at}" for at in range(rows)], "version": version, "text": "x" * 50})


def feed(place: Place, rows: int, begun: Any) -> None:
    """Bring a table from commit to commit, for ever."""
    store = open_at(place)
    version = 1
    while True:
        begun.set()
        store.write("t", versions(version, rows), key=["k"], mode="overwrite", source_commit=str(version))
        version += 1


def add_own(place: Place, name: str, rounds: int) -> None:
    """Put items of one's own into a shared table."""
    store = open_at(place)
    for at in range(rounds):
        store.write("t", pd.DataFrame({"k": [f"{name} {at}"], "n": [at]}), key=["k"])


def race(place: Place, number: int, rounds: int) -> None:
    """Write the same items with other times than another writer, if they are later."""
    store = open_at(place)
    keys = [f"key {at}" for at in range(150)]
    for at in range(rounds):
        items = pd.DataFrame({"k": keys, "Time": at * 2 + (number + at) % 2, "by": str(number)})
        store.write("t", items, key=["k"], options=Options(condition="new.Time > old.Time"))
