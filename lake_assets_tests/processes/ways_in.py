"""The jobs `customers` and `ticks` on a home of their own: what was sent, and what must come of it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.dataset

from lake_assets.frames.increment import read_state
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import PathNotFound
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute
from lake_assets_tests.processes.state import check_no_lock_is_held

START = datetime(2017, 7, 28, 22, tzinfo=timezone.utc)
ISINS = [f"DE000000000{number}" for number in range(4)]


def rows_of(lake: Lake, ref: str, prefix: str) -> list[dict[str, Any]]:
    """Return the rows of an asset."""
    try:
        snapshot = lake.path(ref, prefix)
    except PathNotFound:
        return []
    return pyarrow.dataset.dataset(snapshot.root, format="parquet").to_table().to_pylist()


class WayIn(ABC):
    """A job that reads a source, and its home.

    Parameters
    ----------
    home
        Where its lake and its table are.
    settings
        The source.
    """

    job: str
    table: str

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self.home = home
        self.settings = settings

    @abstractmethod
    def send(self) -> None:
        """Put something new into the source: new rows, and others for the same keys."""

    @abstractmethod
    def check_lake(self, lake: Lake, *, whole: bool) -> None:
        """Check that position and rows of `main` agree, and, if whole, that they are all that was sent."""

    @abstractmethod
    def shown(self, lake: Lake, commit: str) -> dict[Any, Any]:
        """Return what the table must hold at a commit."""

    @abstractmethod
    def item(self, row: dict[str, Any]) -> tuple[Any, Any]:
        """Return key and value of an item of the table."""

    def check(self, *, whole: bool) -> None:
        """Check the lake, and that the table holds what the commit that it reflects says."""
        with closing(GitLake(self.home)) as lake:
            assert list(lake.verify(MAIN)) == []
            self.check_lake(lake, whole=whole)
            items, commit = self._table()
            assert items == (self.shown(lake, commit) if commit else {})
            if whole:
                assert items == self.shown(lake, MAIN)
        check_no_lock_is_held(self.home)

    def _table(self) -> tuple[dict[Any, Any], str | None]:
        if not (self.home / "nosql").exists():
            return {}, None
        with closing(LMDBStore(self.home / "nosql", read_only=True)) as store:
            if self.table not in store.tables():
                return {}, None
            rows = [row for batch in store.scan(self.table) for row in batch.to_pylist()]
            found = dict(map(self.item, rows))
            assert len(found) == len(rows)
            return found, store.source_commit(self.table)


class Customers(WayIn):
    """The table of PostgreSQL, of which each round changes some rows and adds others."""

    job, table = "customers", "customers_table"

    def __init__(self, home: Path, server: DatabaseServer) -> None:
        super().__init__(home, {"CUSTOMERS_DATABASE": server.url, "CUSTOMERS_OVERLAP_MINUTES": "0"})
        self._server = server
        self._states: list[dict[int, str]] = [{}]
        execute(
            server,
            "DROP TABLE IF EXISTS customers",
            "CREATE TABLE customers (id BIGINT PRIMARY KEY, name TEXT, updated_at TIMESTAMPTZ)",
        )

    def send(self) -> None:
        number = len(self._states)
        last = self._states[-1]
        fresh = {id_: f"{number}/{id_}" for id_ in (*range(1, 4), *range(10 * number, 10 * number + 5))}
        values = ", ".join(f"({id_}, '{name}', clock_timestamp())" for id_, name in fresh.items())
        execute(
            self._server,
            f"INSERT INTO customers VALUES {values} "
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at",
        )
        self._states.append({**last, **fresh})

    def check_lake(self, lake: Lake, *, whole: bool) -> None:
        rows = rows_of(lake, MAIN, "customers")
        found = self.shown(lake, MAIN)
        assert len(found) == len(rows)
        assert found in (self._states[-1:] if whole else self._states[-2:])
        state = read_state(lake, MAIN, "customers")
        if state is not None:
            mark = datetime.fromisoformat(state.position["mark"].replace("+00", "+00:00"))
            assert mark == max(row["updated_at"] for row in rows)

    def shown(self, lake: Lake, commit: str) -> dict[Any, Any]:
        return {row["id"]: row["name"] for row in rows_of(lake, commit, "customers")}

    def item(self, row: dict[str, Any]) -> tuple[Any, Any]:
        return row["id"], row["name"]


class Ticks(WayIn):
    """A stream, of which each message has a time of its own, and some are no ticks.

    Parameters
    ----------
    send
        Sends messages, and returns when they are there.
    """

    job, table = "ticks", "ticks_table"

    def __init__(self, home: Path, settings: dict[str, str], send: Callable[[Sequence[bytes]], None]) -> None:
        super().__init__(home, settings)
        self._send = send
        self._sent: list[tuple[str, datetime, float]] = []
        self._bad = 0
        self._before = (0, 0)

    def send(self) -> None:
        self._before = (len(self._sent), self._bad)
        first = len(self._sent)
        ticks = [
            (ISINS[number % len(ISINS)], START + timedelta(minutes=number), number + 1.0)
            for number in range(first, first + 25)
        ]
        bodies = [
            json.dumps({"isin": isin, "currency": "EUR", "time": time.isoformat(), "price": price, "volume": 1})
            for isin, time, price in ticks
        ]
        self._send([*(body.encode() for body in bodies), b"no tick"])
        self._sent += ticks
        self._bad += 1

    def check_lake(self, lake: Lake, *, whole: bool) -> None:
        ticks, rejected = rows_of(lake, MAIN, "ticks"), rows_of(lake, MAIN, "ticks_rejected")
        found = [(row["isin"], row["time"], row["price"]) for row in ticks]
        numbers = (len(found), len(rejected))
        now = (len(self._sent), self._bad)
        assert numbers in ([now] if whole else [self._before, now])
        assert sorted(found) == sorted(self._sent[: len(found)])
        series = [(row["isin"], row["time"], row["price"]) for row in rows_of(lake, MAIN, "stock_series")]
        assert sorted(series) == sorted(found)
        state = read_state(lake, MAIN, "ticks")
        if state is not None:
            read = Counter(row["partition"] for row in (*ticks, *rejected))
            offsets = {partition: end for partition, end in state.position["offsets"].items() if end}
            if "id" in state.position or "rabbitmq" in self.settings["TICKS_SOURCE"]:
                assert read == offsets
            else:
                # Of a folder, an offset is a place in bytes.
                assert read.keys() == offsets.keys()

    def shown(self, lake: Lake, commit: str) -> dict[Any, Any]:
        rows = sorted(rows_of(lake, commit, "ticks"), key=lambda row: row["time"])
        return {row["isin"]: row["price"] for row in rows}

    def item(self, row: dict[str, Any]) -> tuple[Any, Any]:
        return row["isin"], row["price"]
