"""Every type of each database comes back with its value, of a table and of a query."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake_assets.databases.contract import DatabaseError, Selection, open_database
from lake_assets.databases.reading import Reading, read
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute

UTC = timezone.utc
TEN = datetime(2020, 1, 1, 10, 34, 56, 123456)

# Declared type, the value in SQL, and the value that is read.
POSTGRESQL: list[tuple[str, str, Any]] = [
    ("boolean", "true", True),
    ("smallint", "-32768", -32768),
    ("integer", "2147483647", 2147483647),
    ("bigint", "9223372036854775807", 2**63 - 1),
    ("real", "1.5", 1.5),
    ("double precision", "0.1", 0.1),
    ("double precision", "'Infinity'", float("inf")),
    ("numeric(20,4)", "1234567890123456.7891", Decimal("1234567890123456.7891")),
    ("numeric(38,0)", "9" * 38, Decimal("9" * 38)),
    ("numeric(5,-2)", "12300", "12300"),
    ("numeric", "1.123456789012345678901234567890", "1.123456789012345678901234567890"),
    ("price", "12.345", Decimal("12.345")),
    ("text", "'täxt ''x'''", "täxt 'x'"),
    ("varchar(10)", "'v'", "v"),
    ("char(3)", "'c'", "c  "),
    ("bytea", r"'\xdead00'", b"\xde\xad\x00"),
    ("date", "'2020-02-29'", date(2020, 2, 29)),
    ("time", "'12:34:56.789'", "12:34:56.789"),
    ("timestamp", "'2020-01-01 10:34:56.123456'", TEN),
    ("timestamp(3)", "'2020-01-01 10:34:56.123'", TEN.replace(microsecond=123000)),
    ("timestamptz", "'2020-01-01 12:34:56.123456+02'", TEN.replace(tzinfo=UTC)),
    ("interval", "'1 day 02:00'", "P1DT2H"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", """'{"a": 1}'""", '{"a": 1}'),
    ("jsonb", """'{"a": 1}'""", '{"a": 1}'),
    ("integer[]", "'{1,NULL,3}'", [1, None, 3]),
    ("text[]", "'{a,b}'", ["a", "b"]),
    ("numeric(5,2)[]", "'{1.25}'", "{1.25}"),
    ("mood", "'ok'", "ok"),
    ("inet", "'10.0.0.1'", "10.0.0.1/32"),
    ("bit(3)", "B'101'", "101"),
    ("int4range", "'[1,5)'", "[1,5)"),
]
MARIADB: list[tuple[str, str, Any]] = [
    ("boolean", "true", True),
    ("tinyint", "-5", -5),
    ("int unsigned", "4294967295", 2**32 - 1),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("bigint unsigned", "18446744073709551615", Decimal(2**64 - 1)),
    ("float", "1.5", 1.5),
    ("double", "0.1", 0.1),
    ("decimal(38,4)", "1234567890123456789012.7891", Decimal("1234567890123456789012.7891")),
    ("decimal(65,2)", "9" * 50, "9" * 50 + ".00"),
    ("varchar(20)", "'täxt ''x'''", "täxt 'x'"),
    ("longtext", "'x'", "x"),
    ("enum('a','b')", "'a'", "a"),
    ("set('x','y')", "'x,y'", "x,y"),
    ("json", """'{"a":1}'""", '{"a":1}'),
    ("date", "'2020-02-29'", date(2020, 2, 29)),
    ("time(3)", "'12:34:56.789'", "12:34:56.789"),
    ("datetime", "'0001-01-01 00:00:00'", datetime(1, 1, 1)),
    ("datetime(6)", "'2020-01-01 10:34:56.123456'", TEN),
    (
        "timestamp(6) null",
        "CONVERT_TZ('2020-01-01 10:34:56.123456', '+00:00', @@session.time_zone)",
        TEN.replace(tzinfo=UTC),
    ),
    ("year", "2020", 2020),
    ("bit(1)", "b'1'", True),
    ("bit(3)", "b'101'", 5),
    ("varbinary(10)", "x'dead00'", b"\xde\xad\x00"),
    ("blob", "'bl'", b"bl"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
]
SQLITE: list[tuple[str, str, Any]] = [
    ("INTEGER", "9223372036854775807", 2**63 - 1),
    ("BOOLEAN", "1", True),
    ("REAL", "0.1", 0.1),
    ("DOUBLE", "3", 3.0),
    ("DECIMAL(12, 2)", "1234567890.12", Decimal("1234567890.12")),
    ("NUMERIC(5)", "42", Decimal(42)),
    ("TEXT", "'täxt ''x'''", "täxt 'x'"),
    ("VARCHAR(5)", "'v'", "v"),
    ("BLOB", "x'dead00'", b"\xde\xad\x00"),
    ("DATE", "'2020-02-29'", date(2020, 2, 29)),
    ("TIMESTAMP", "'2020-01-01 10:34:56.123456'", TEN),
    ("DATETIME", "'2020-01-01T10:34:56.123456'", TEN),
    ("TIMESTAMP WITH TIME ZONE", "'2020-01-01 12:34:56.123456+02:00'", TEN.replace(tzinfo=UTC)),
]


def rows(url: str, selection: Selection, **options: Any) -> list[dict[str, Any]]:
    with closing(open_database(url)) as database:
        return read(database, Reading(selection=selection, **options)).rows.read_all().to_pylist()


def make(server: Any, types: list[tuple[str, str, Any]]) -> None:
    columns = ", ".join(f"c{number} {kind}" for number, (kind, _, _) in enumerate(types))
    values = ", ".join(value for _, value, _ in types)
    nulls = ", ".join("NULL" for _ in types)
    execute(
        server,
        "DROP TABLE IF EXISTS all_types",
        f"CREATE TABLE all_types (id INTEGER PRIMARY KEY, {columns})",
        f"INSERT INTO all_types VALUES (1, {nulls})",
        f"INSERT INTO all_types VALUES (2, {values})",
    )


def make_postgresql(server: DatabaseServer) -> None:
    """Make the table of all types of PostgreSQL."""
    execute(
        server,
        "DROP TABLE IF EXISTS all_types",
        "DROP TYPE IF EXISTS mood",
        "DROP DOMAIN IF EXISTS price",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE DOMAIN price AS numeric(12,3)",
    )
    make(server, POSTGRESQL)


def check(found: list[dict[str, Any]], types: list[tuple[str, str, Any]]) -> None:
    nulls, row = sorted(found, key=lambda one: one["id"])
    assert {name: value for name, value in nulls.items() if value is not None} == {"id": 1}
    wanted = {f"c{number}": value for number, (_, _, value) in enumerate(types)}
    assert {name: row[name] for name in wanted} == wanted
    assert {name: type(row[name]) for name in wanted} == {name: type(value) for name, value in wanted.items()}


@pytest.mark.parametrize("selection", [Selection("all_types"), Selection(query="SELECT * FROM all_types;")], ids=str)
def test_every_type_of_postgresql_keeps_its_value(postgresql: DatabaseServer, selection: Selection) -> None:
    make_postgresql(postgresql)
    check(rows(postgresql.url, selection), POSTGRESQL)


def test_every_type_of_mariadb_keeps_its_value(mariadb: DatabaseServer) -> None:
    make(mariadb, MARIADB)
    check(rows(mariadb.url, Selection("all_types")), MARIADB)


@pytest.mark.parametrize("selection", [Selection("all_types"), Selection(query="SELECT * FROM all_types;")], ids=str)
def test_every_type_of_sqlite_keeps_its_value(tmp_path: Path, selection: Selection) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    make(url, SQLITE)
    check(rows(url, selection), SQLITE)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("INTEGER", "'abc'"),
        ("BOOLEAN", "7"),
        ("REAL", "'abc'"),
        ("DATE", "'yesterday'"),
        ("TEXT", "x'00'"),
        ("DECIMAL(4, 2)", "123456"),
        ("BLOB", "'text'"),
    ],
)
def test_a_value_of_sqlite_that_its_column_does_not_declare_is_refused_by_name(
    tmp_path: Path, declared: str, value: str
) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    execute(url, f"CREATE TABLE t (id INTEGER, wrong {declared})", f"INSERT INTO t VALUES (1, {value})")
    with pytest.raises(DatabaseError, match=r"column 'wrong' is declared .* mend it, or cast"):
        rows(url, Selection("t"))


def test_a_number_of_postgresql_that_is_none_is_refused_by_name(postgresql: DatabaseServer) -> None:
    execute(
        postgresql, "DROP TABLE IF EXISTS odd", "CREATE TABLE odd (n numeric(5,2))", "INSERT INTO odd VALUES ('NaN')"
    )
    with pytest.raises(DatabaseError, match="column 'n' of type numeric"):
        rows(postgresql.url, Selection("odd"))


def test_ranges_of_a_partition_column_read_each_row_once(
    postgresql: DatabaseServer, mariadb: DatabaseServer, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    for server, address in ((postgresql, postgresql.url), (mariadb, mariadb.url), (url, url)):
        numbers = ", ".join(f"({number})" for number in [-7, 0, 1, 1, 5, 99, 100])
        execute(
            server,
            "DROP TABLE IF EXISTS parts",
            "CREATE TABLE parts (n INTEGER)",
            f"INSERT INTO parts VALUES {numbers}, (NULL)",
        )
        found = [row["n"] for row in rows(address, Selection("parts"), partition_column="n")]
        assert sorted(found, key=str) == sorted([-7, 0, 1, 1, 5, 99, 100, None], key=str)


def test_errors_name_the_database_without_its_password(postgresql: DatabaseServer, mariadb: DatabaseServer) -> None:
    for url in (postgresql.url, mariadb.url):
        with pytest.raises(DatabaseError) as missing:
            rows(url, Selection("no_such_table"))
        assert "no_such_table" in str(missing.value)
        assert "127.0.0.1" in str(missing.value)
        assert "p%2Fa" not in str(missing.value)
        assert "p/a@s" not in str(missing.value)
        assert missing.value.__cause__ is None
    with pytest.raises(DatabaseError, match="is of no known database") as unknown:
        open_database("oracle://me:secret@host/x")
    assert "secret" not in str(unknown.value)


def test_the_sqlite_file_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no such file"):
        open_database(f"sqlite:///{tmp_path}/none.db")
    url = f"sqlite:///{tmp_path}/one.db"
    execute(url, "CREATE TABLE t (id INTEGER)")
    with closing(open_database(url)) as database, pytest.raises(DatabaseError, match="readonly"):
        list(database.batches("DELETE FROM t", []))
    assert sqlite3.connect(tmp_path / "one.db").execute("SELECT count(*) FROM t").fetchone() == (0,)
