"""Assets that are tables of databases: what a run reads, and that no row is lost, whenever it is committed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, Failure

from lake_assets.frames.increment import read_state
from lake_assets.io_managers.incremental import SOURCE_POSITION
from lake_assets.lake.contract import MAIN
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute
from lake_assets_tests.from_database.desk import BY_TIME, URL, Desk


def test_a_run_reads_what_changed_and_puts_it_in_place_by_key(desk: Callable[..., Desk], sqlite: str) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    assert {key: float(value) for key, value in accounts.rows().items()} == {1: 1.5, 2: 2.5, 3: 3.5}
    execute(
        sqlite,
        # The change of an old row without a new time, which no cursor shows.
        "UPDATE accounts SET balance = 100 WHERE id = 1",
        "UPDATE accounts SET balance = 200, changed = '2026-01-04 00:00:00' WHERE id = 2",
        "INSERT INTO accounts VALUES (4, 4.5, '2026-01-04 00:00:00')",
    )
    told = accounts.run().asset_materializations_for_node("read_accounts")[0].metadata
    assert {key: float(value) for key, value in accounts.rows().items()} == {1: 1.5, 2: 200.0, 3: 3.5, 4: 4.5}
    assert (told["source/rows"].value, told["source/changed"].value) == (3, 2)
    accounts.run(full=True)
    assert accounts.rows()[1] == 100


def test_the_highest_value_is_in_the_metadata_of_the_commit_that_holds_the_rows(
    desk: Callable[..., Desk], sqlite: str
) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    commit = next(accounts.lake.log(MAIN, 1, "accounts"))
    assert '"mark": "2026-01-03 00:00:00.000"' in commit.metadata[SOURCE_POSITION]
    state = read_state(accounts.lake, MAIN, "accounts")
    assert state is not None
    assert state.position["mark"] == "2026-01-03 00:00:00.000"


def test_a_run_that_finds_nothing_new_makes_no_commit(desk: Callable[..., Desk], sqlite: str) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    head = accounts.lake.head(MAIN)
    accounts.run()
    assert accounts.lake.head(MAIN) == head
    everything = desk(table="accounts")
    everything.run()
    everything.run()
    assert everything.rows() == accounts.rows()


def test_a_position_of_another_database_is_not_continued(
    desk: Callable[..., Desk], sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    other = f"sqlite:///{tmp_path}/other.db"
    execute(
        other,
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance DECIMAL(9, 2), changed TIMESTAMP)",
        "INSERT INTO accounts VALUES (7, 7.5, '2020-01-01 00:00:00')",
    )
    monkeypatch.setenv(URL, other)
    accounts.run()
    assert {key: float(value) for key, value in accounts.rows().items()} == {7: 7.5}


def test_deleted_rows_go_away_when_all_rows_are_read(desk: Callable[..., Desk], sqlite: str) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    execute(sqlite, "DELETE FROM accounts WHERE id = 2")
    accounts.run()
    assert 2 in accounts.rows()
    accounts.run(full=True)
    assert sorted(accounts.rows()) == [1, 3]
    execute(sqlite, "DELETE FROM accounts")
    accounts.run(full=True)
    assert accounts.rows() == {}
    execute(sqlite, "INSERT INTO accounts VALUES (9, 1, '2026-02-01 00:00:00')")
    accounts.run()
    assert sorted(accounts.rows()) == [9]


def test_a_new_column_or_another_cursor_makes_a_run_read_all_rows(desk: Callable[..., Desk], sqlite: str) -> None:
    desk(**BY_TIME).run()
    execute(sqlite, "UPDATE accounts SET balance = 7 WHERE id = 1", "ALTER TABLE accounts ADD COLUMN note TEXT")
    accounts = desk(**BY_TIME)
    accounts.run()
    assert accounts.rows()[1] == 7
    execute(sqlite, "UPDATE accounts SET balance = 8 WHERE id = 1")
    by_number = desk(table="accounts", cursor="id", overlap=1)
    by_number.run()
    assert by_number.rows()[1] == 8


def test_a_transaction_held_open_across_a_run_loses_no_row(
    desk: Callable[..., Desk], postgresql: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adbc_driver_postgresql.dbapi as adbc

    monkeypatch.setenv(URL, postgresql.url)
    execute(
        postgresql,
        "DROP TABLE IF EXISTS late",
        "CREATE TABLE late (id BIGINT PRIMARY KEY, balance NUMERIC(9, 2), changed TIMESTAMPTZ)",
        "INSERT INTO late VALUES (1, 1, '2026-01-01')",
    )
    # No overlap: what is committed late is found by PostgreSQL's own horizon.
    accounts = desk(table="late", cursor="changed")
    accounts.run()
    with adbc.connect(postgresql.url) as held, held.cursor() as cursor:
        # Months before the mark, and in two transactions within one.
        cursor.execute("INSERT INTO late VALUES (2, 2, '2025-06-01')")
        cursor.execute("SAVEPOINT inner_one")
        cursor.execute("INSERT INTO late VALUES (3, 3, '2025-06-01')")
        execute(postgresql, "INSERT INTO late VALUES (4, 4, '2026-02-01')")
        accounts.run()
        assert sorted(accounts.rows()) == [1, 4]
        execute(postgresql, "INSERT INTO late VALUES (5, 5, '2026-03-01')")
        accounts.run()
        held.commit()
    told = accounts.run().asset_materializations_for_node("read_accounts")[0].metadata
    assert sorted(accounts.rows()) == [1, 2, 3, 4, 5]
    assert told["source/changed"].value == 2
    head = accounts.lake.head(MAIN)
    accounts.run()
    assert accounts.lake.head(MAIN) == head


def test_the_overlap_finds_what_is_committed_late_elsewhere(
    desk: Callable[..., Desk], mariadb: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, mariadb.url)
    execute(
        mariadb,
        "DROP TABLE IF EXISTS late",
        "CREATE TABLE late (id BIGINT PRIMARY KEY, balance DECIMAL(9, 2), changed DATETIME(6))",
        "INSERT INTO late VALUES (1, 1, '2026-01-01 10:00:00')",
    )
    accounts = desk(table="late", cursor="changed", overlap=timedelta(minutes=30))
    accounts.run()
    execute(mariadb, "INSERT INTO late VALUES (2, 2, '2026-01-01 09:31:00')")
    accounts.run()
    assert sorted(accounts.rows()) == [1, 2]


def test_an_overlap_ends_at_the_first_time_that_there_is(desk: Callable[..., Desk], sqlite: str) -> None:
    execute(sqlite, "DELETE FROM accounts", "INSERT INTO accounts VALUES (1, 1, '0001-01-01 00:30:00')")
    accounts = desk(table="accounts", cursor="changed", overlap=timedelta(days=400))
    accounts.run()
    execute(sqlite, "INSERT INTO accounts VALUES (2, 2, '0001-01-01 00:00:00')")
    accounts.run()
    assert sorted(accounts.rows()) == [1, 2]


def test_what_is_written_when_the_clocks_go_back_is_found(desk: Callable[..., Desk], sqlite: str) -> None:
    execute(sqlite, "DELETE FROM accounts", "INSERT INTO accounts VALUES (1, 1, '2020-10-25 02:59:00')")
    accounts = desk(table="accounts", cursor="changed")
    accounts.run()
    # A minute later, by a clock that has gone back.
    execute(sqlite, "INSERT INTO accounts VALUES (2, 2, '2020-10-25 02:00:00')")
    accounts.run()
    assert sorted(accounts.rows()) == [1, 2]


def test_a_cursor_that_goes_back_makes_a_run_read_all_rows(desk: Callable[..., Desk], sqlite: str) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    # As after a restore: the newest row is gone, and an older one was changed.
    execute(sqlite, "DELETE FROM accounts WHERE id = 3", "UPDATE accounts SET balance = 7 WHERE id = 1")
    accounts.run()
    assert accounts.rows() == {1: 7, 2: 2.5}
    execute(sqlite, "DELETE FROM accounts")
    accounts.run()
    assert accounts.rows() == {}


def test_rows_without_a_cursor_are_read_each_time(desk: Callable[..., Desk], sqlite: str) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    execute(sqlite, "INSERT INTO accounts VALUES (8, 8, NULL), (9, 9, '2026-01-03 00:00:00')")
    accounts.run()
    assert sorted(accounts.rows()) == [1, 2, 3, 8, 9]
    execute(sqlite, "UPDATE accounts SET balance = 80 WHERE id = 8")
    accounts.run()
    assert accounts.rows()[8] == 80


def test_a_cursor_may_be_of_any_year(desk: Callable[..., Desk], sqlite: str) -> None:
    execute(sqlite, "DELETE FROM accounts WHERE id > 1", "UPDATE accounts SET changed = '0001-01-01 00:00:00'")
    accounts = desk(table="accounts", cursor="changed")
    accounts.run()
    execute(sqlite, "INSERT INTO accounts VALUES (2, 2, '0001-01-01 00:00:00'), (3, 3, '0999-12-31 00:00:00')")
    accounts.run()
    execute(sqlite, "UPDATE accounts SET balance = 5 WHERE id = 3")
    accounts.run()
    assert accounts.rows() == {1: 1.5, 2: 2, 3: 5}


def test_a_key_may_be_null(desk: Callable[..., Desk], sqlite: str) -> None:
    execute(sqlite, "CREATE TABLE texts (id TEXT UNIQUE, balance REAL, changed TIMESTAMP)")
    execute(sqlite, "INSERT INTO texts VALUES ('a', 1, '2026-01-01 00:00:00'), (NULL, 2, '2026-01-01 00:00:00')")
    accounts = desk(**BY_TIME | {"table": "texts"})
    accounts.run()
    for value in (3, 4):
        execute(sqlite, f"UPDATE texts SET balance = {value} WHERE id = 'a'")
        told = accounts.run().asset_materializations_for_node("read_accounts")[0].metadata
        assert told["dagster/row_count"].value == 2
        assert accounts.rows() == {"a": value, None: 2}


def test_a_cursor_of_bytes_is_refused(desk: Callable[..., Desk], sqlite: str) -> None:
    execute(sqlite, "CREATE TABLE blobs (id INTEGER, stamp BLOB)")
    with pytest.raises(Failure, match="the cursor 'stamp' is of type BLOB"):
        desk(table="blobs", cursor="stamp").run()


def test_a_column_that_is_dropped_makes_a_run_read_all_rows(desk: Callable[..., Desk], sqlite: str) -> None:
    execute(sqlite, "ALTER TABLE accounts ADD COLUMN note TEXT")
    accounts = desk(**BY_TIME)
    accounts.run()
    execute(sqlite, "ALTER TABLE accounts DROP COLUMN note", "UPDATE accounts SET balance = 7 WHERE id = 1")
    accounts.run()
    assert accounts.rows()[1] == 7


def test_after_a_rollback_a_run_reads_again_what_the_lake_lost(desk: Callable[..., Desk], sqlite: str) -> None:
    from lake_assets.runs.rollback import plan_rollback, roll_back

    accounts = desk(**BY_TIME)
    accounts.run()
    before = accounts.lake.head(MAIN).id
    execute(sqlite, "INSERT INTO accounts VALUES (4, 4.5, '2026-01-09 00:00:00')")
    accounts.run()
    plan = plan_rollback(accounts.lake, before, "accounts")
    graph = accounts.defs.get_repository_def().asset_graph
    roll_back(accounts.lake, accounts.instance, graph, plan, "a test")
    assert sorted(accounts.rows()) == [1, 2, 3]
    accounts.run()
    assert sorted(accounts.rows()) == [1, 2, 3, 4]


def test_no_credentials_in_events_metadata_or_errors(
    desk: Callable[..., Desk], postgresql: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, postgresql.url)
    execute(postgresql, "DROP TABLE IF EXISTS safe", "CREATE TABLE safe (id BIGINT, balance BIGINT)")
    accounts = desk(table="safe")
    good = accounts.run()
    bad = desk(table="no_such_table").run(raises=False)
    told = "".join(str(event) for run in (good, bad) for event in run.all_events)
    told += str(accounts.lake.head(MAIN)) + "".join(str(commit.metadata) for commit in accounts.lake.log(MAIN))
    assert "127.0.0.1" in told
    assert "p%2Fa" not in told
    assert "p/a@s:s" not in told
    monkeypatch.delenv(URL)
    with pytest.raises(Failure, match=f"{URL} is not set"):
        accounts.run()


def test_a_read_that_breaks_off_leaves_the_lake_as_it_was(desk: Callable[..., Desk], sqlite: str) -> None:
    accounts = desk(**BY_TIME)
    accounts.run()
    head = accounts.lake.head(MAIN)
    execute(sqlite, "INSERT INTO accounts VALUES (5, 'much', '2026-01-09 00:00:00')")
    with pytest.raises(Failure, match="column 'balance' is declared"):
        accounts.run()
    assert accounts.lake.head(MAIN) == head


def test_what_does_not_fit_is_refused(sqlite: str, desk: Callable[..., Desk]) -> None:
    accounts = desk(table="accounts", cursor="changed", overlap=5)
    accounts.run()
    with pytest.raises(Failure, match="the overlap 5 does not fit the cursor 'changed'"):
        accounts.run()
    with pytest.raises(Failure, match="there is no column 'when', but id, balance, changed"):
        desk(table="accounts", cursor="when").run()
    with pytest.raises(Failure, match="a partition column has whole numbers"):
        desk(table="accounts", partition_column="changed").run()


def test_the_job_customers_feeds_its_table_and_a_change_costs_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_assets import definitions, environments
    from lake_assets_tests.defs.environments import use_fresh

    use_fresh("embedded", tmp_path, monkeypatch)
    with DagsterInstance.ephemeral() as instance:
        defs = definitions.definitions(environments.resources())

        def run() -> ExecuteInProcessResult:
            return defs.resolve_job_def("customers").execute_in_process(instance=instance)

        assert run().asset_materializations_for_node("customers_table")[0].metadata["put"].value == 1000
        sample = f"sqlite:///{tmp_path / 'home' / 'customers' / 'sample.db'}"
        now = datetime(2027, 1, 1).isoformat(sep=" ")
        execute(sample, f"UPDATE customers SET country = 'XX', updated_at = '{now}' WHERE id = 7")
        assert run().asset_materializations_for_node("customers_table")[0].metadata["put"].value == 1
        with closing(environments.open_nosql(read_only=True)) as store:
            assert (store.get("customers_table", 7) or {})["country"] == "XX"
            assert store.row_count("customers_table") == 1000
