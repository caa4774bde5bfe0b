"""The sensor of a database: a run is requested when rows have changed, and only then. Real servers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from dagster import RunRequest

from lake_assets.databases.contract import Selection
from lake_assets.databases.opening import open_database
from lake_assets.runs import sinks
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute
from lake_assets_tests.from_database.desk import BY_TIME, URL, Desk
from lake_assets_tests.ui.server import until


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database with three accounts."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite")
    server: DatabaseServer = request.getfixturevalue(request.param)
    monkeypatch.setenv(URL, server.url)
    execute(
        server,
        "DROP TABLE IF EXISTS accounts",
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance DECIMAL(9, 2), changed TIMESTAMP NULL)",
        *(f"INSERT INTO accounts VALUES ({number}, {number}.5, '2026-01-0{number} 00:00:00')" for number in (1, 2, 3)),
    )
    return server


def run_what_is_asked(accounts: Desk) -> int:
    """Run until nothing is asked for; return the number of runs."""
    # MariaDB's times have whole seconds: what it changed in the last ones may have changed since it was read.
    for number in range(30):
        asked = accounts.tick()
        if isinstance(asked, str):
            assert "has not changed since it was read" in asked
            return number
        accounts.execute(asked)
    raise AssertionError("runs are requested without end")


def test_each_change_is_followed_by_a_run_and_nothing_else_is(server: Any, desk: Callable[..., Desk]) -> None:
    accounts = desk(**BY_TIME)
    assert run_what_is_asked(accounts)
    assert sorted(accounts.rows()) == [1, 2, 3]
    assert run_what_is_asked(accounts) == 0
    execute(server, "INSERT INTO accounts VALUES (4, 4.5, '2026-01-04 00:00:00')")
    assert run_what_is_asked(accounts)
    assert sorted(accounts.rows()) == [1, 2, 3, 4]


def test_a_change_that_no_cursor_shows_is_seen(server: Any, desk: Callable[..., Desk]) -> None:
    accounts = desk(table="accounts")
    run_what_is_asked(accounts)
    # PostgreSQL counts seconds later.
    for statement, wanted in (
        ("UPDATE accounts SET balance = 9 WHERE id = 1", [1, 2, 3]),
        ("DELETE FROM accounts WHERE id = 2", [1, 3]),
    ):
        execute(server, statement)
        until("the change is seen", lambda: isinstance(accounts.tick(), RunRequest), 20, 0.1)
        accounts.cursor = None
        run_what_is_asked(accounts)
        assert sorted(accounts.rows()) == wanted
    assert accounts.rows()[1] == 9


def test_a_run_that_failed_is_requested_again_after_a_pause(
    sqlite: str, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = desk(**BY_TIME)
    run_what_is_asked(accounts)
    execute(sqlite, "INSERT INTO accounts VALUES (5, 'much', '2026-01-09 00:00:00')")
    asked = accounts.tick()
    assert isinstance(asked, RunRequest)
    assert not accounts.execute(asked, raises=False).success
    assert "1 run(s) failed since: see why" in str(accounts.tick())
    # Another change meanwhile makes no run before the pause is over.
    execute(sqlite, "UPDATE accounts SET balance = 5 WHERE id = 5")
    assert "failed since" in str(accounts.tick())
    now = sinks.time.time()
    monkeypatch.setattr(sinks.time, "time", lambda: now + 100)
    asked = accounts.tick()
    assert isinstance(asked, RunRequest)
    accounts.execute(asked)
    assert run_what_is_asked(accounts) == 0


def test_all_rows_are_read_once_in_a_while(sqlite: str, desk: Callable[..., Desk]) -> None:
    accounts = desk(**BY_TIME, full_after=timedelta(days=1))
    assert run_what_is_asked(accounts) == 2
    execute(sqlite, "DELETE FROM accounts WHERE id = 2")
    run_what_is_asked(accounts)
    assert sorted(accounts.rows()) == [1, 2, 3]
    often = desk(**BY_TIME, full_after=timedelta(0))
    asked = often.tick()
    assert isinstance(asked, RunRequest)
    often.execute(asked)
    assert sorted(often.rows()) == [1, 3]


def test_a_database_that_does_not_answer_is_named_without_its_password(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("postgresql", "mysql"):
        monkeypatch.setenv(URL, f"{scheme}://me:s3cr3t@127.0.0.1:1/x")
        told = str(desk(**BY_TIME).tick())
        assert "127.0.0.1:1" in told
        assert "The next tick tries again" in told
        assert "s3cr3t" not in told


def test_a_version_changes_with_all_that_changes_rows(postgresql: DatabaseServer) -> None:
    execute(
        postgresql,
        "DROP TABLE IF EXISTS versions",
        "CREATE TABLE versions (id INTEGER) PARTITION BY LIST (id)",
        "CREATE TABLE versions_1 PARTITION OF versions FOR VALUES IN (1)",
        "CREATE TABLE versions_2 PARTITION OF versions FOR VALUES IN (2)",
        "CREATE OR REPLACE VIEW seen AS SELECT 1 AS one",
    )

    def version(selection: Selection) -> str:
        with closing(open_database(postgresql.url)) as database:
            return database.version(selection)

    assert version(Selection("seen")) == version(Selection(query="SELECT 1")) == ""
    known = {version(Selection("versions"))}
    for statement in ("INSERT INTO versions VALUES (2)", "TRUNCATE versions", "ALTER TABLE versions ADD note TEXT"):
        execute(postgresql, statement)
        until("another version", lambda: version(Selection("versions")) not in known, 20, 0.1)
        known.add(version(Selection("versions")))
