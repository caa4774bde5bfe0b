"""Every type of each database comes back with its value, of a table and of a query."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake_assets.databases.contract import DatabaseError, Selection
from lake_assets.databases.opening import open_database
from lake_assets.databases.reading import Reading, is_beyond, read
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
    ("numeric", "'NaN'", "NaN"),
    ("price", "12.345", Decimal("12.345")),
    ("dear", "12.345", Decimal("12.345")),
    ("numbers", "'{1,2}'", [1, 2]),
    ("money", "1234.5", "$1,234.50"),
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
    ("pair", "ROW(1, 'x')", "(1,x)"),
    ("timestamp[]", "'{2020-01-01}'", '{"2020-01-01 00:00:00"}'),
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
    ("time", "'-838:59:59'", "-838:59:59"),
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
        "DROP DOMAIN IF EXISTS price CASCADE",
        "DROP DOMAIN IF EXISTS numbers",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "DROP TYPE IF EXISTS pair",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN price AS numeric(12,3)",
        "CREATE DOMAIN dear AS price CHECK (value > 1)",
        "CREATE DOMAIN numbers AS int[]",
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
        ("DATE", "20200101"),
        ("TIMESTAMP", "1577836800"),
        ("TIMESTAMP", "x'00'"),
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


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("numeric(5,2)", "'NaN'"),
        ("timestamp", "'infinity'"),
        ("timestamptz", "'-infinity'"),
        ("date", "'infinity'"),
        ("date", "'0044-03-15 BC'"),
        ("date[]", "'{2020-01-01,infinity}'"),
        ("timestamp", "'20000-01-01'"),
        ("integer[]", "'{{1,2},{3,4}}'"),
        ("text[]", "'{{a}}'"),
    ],
)
def test_a_value_of_postgresql_that_the_lake_cannot_hold_is_refused_by_name(
    postgresql: DatabaseServer, declared: str, value: str
) -> None:
    execute(
        postgresql,
        "DROP TABLE IF EXISTS odd",
        f"CREATE TABLE odd (n {declared})",
        f"INSERT INTO odd VALUES ({value})",
    )
    with pytest.raises(DatabaseError, match=r"column '?n'?.*cast it in a query"):
        rows(postgresql.url, Selection("odd"))
    assert rows(postgresql.url, Selection(query="SELECT n::text AS n FROM odd"))[0]["n"].lower()


@pytest.mark.parametrize(
    ("declared", "value"),
    [("tinyint(1)", "5"), ("date", "'0000-00-00'"), ("datetime", "'2020-00-00'"), ("timestamp null", "'0000-00-00'")],
)
def test_a_value_of_mariadb_that_the_lake_cannot_hold_is_refused_by_name(
    mariadb: DatabaseServer, declared: str, value: str
) -> None:
    execute(
        mariadb,
        "SET sql_mode = ''",
        "DROP TABLE IF EXISTS odd",
        f"CREATE TABLE odd (n {declared})",
        f"INSERT INTO odd VALUES ({value}), (NULL)",
    )
    with pytest.raises(DatabaseError, match=r"column 'n' of type .*cast it in a query"):
        rows(mariadb.url, Selection("odd"))


def test_instants_of_mariadb_do_not_depend_on_its_zone(mariadb: DatabaseServer) -> None:
    moments = [datetime(2020, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    seconds = ", ".join(f"(FROM_UNIXTIME({moment.timestamp():.0f}))" for moment in moments)
    cursor = Reading(selection=Selection("moments"), cursor="n")
    # Both are 02:30 in Berlin, where the clocks went back.
    execute(mariadb, "SET GLOBAL time_zone = '+05:00'")
    try:
        execute(
            mariadb,
            "DROP TABLE IF EXISTS moments",
            "CREATE TABLE moments (n TIMESTAMP)",
            f"INSERT INTO moments VALUES {seconds}",
        )
        with closing(open_database(mariadb.url)) as database:
            found = read(database, cursor)
            assert [row["n"] for row in found.rows.read_all().to_pylist()] == moments
            assert not is_beyond(database, cursor, found.position)
            again = read(database, cursor, found.position)
            assert [row["n"] for row in again.rows.read_all().to_pylist()] == moments[1:]
    finally:
        execute(mariadb, "SET GLOBAL time_zone = 'SYSTEM'")


def test_no_instant_of_mariadb_is_lost_when_its_clocks_go_back(mariadb: DatabaseServer) -> None:
    program = shutil.which("mariadb-tzinfo-to-sql")
    zone = Path("/usr/share/zoneinfo/Europe/Berlin")
    if program is None or not zone.exists():
        pytest.skip("wants mariadb-tzinfo-to-sql, and the zone Europe/Berlin")
    zones = subprocess.run([program, str(zone), "Europe/Berlin"], check=True, capture_output=True, text=True).stdout
    execute(mariadb, f"USE mysql;{zones}")
    moments = [datetime(2020, 10, 25, hour, minute, tzinfo=UTC) for hour in (0, 1, 2) for minute in (0, 10, 50)]
    cursor = Reading(selection=Selection("moments"), cursor="n")
    execute(mariadb, "SET GLOBAL time_zone = 'Europe/Berlin'")
    try:
        with closing(open_database(mariadb.url)) as database:
            for at, last in enumerate(moments[:-1], 1):
                seconds = ", ".join(f"(FROM_UNIXTIME({one.timestamp():.0f}))" for one in moments[:at])
                execute(mariadb, "DROP TABLE IF EXISTS moments", "CREATE TABLE moments (n TIMESTAMP)")
                execute(mariadb, "SET time_zone = '+00:00'", f"INSERT INTO moments VALUES {seconds}")
                position = read(database, cursor).position
                assert not is_beyond(database, cursor, position)
                later = f"(FROM_UNIXTIME({moments[at].timestamp():.0f}))"
                execute(mariadb, "SET time_zone = '+00:00'", f"INSERT INTO moments VALUES {later}")
                assert is_beyond(database, cursor, position)
                found = read(database, cursor, position).rows.read_all()
                assert [row["n"] for row in found.to_pylist()] == [last, moments[at]]
    finally:
        execute(mariadb, "SET GLOBAL time_zone = 'SYSTEM'")


NAMES = ['we"ird', "tick`s", "sp ace", "ünï", "select", "UPPER", "a'b", "p%s", "b\\s", "x; --"]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite"])
def test_any_name_of_a_table_and_a_column(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: Any = f"sqlite:///{tmp_path}/one.db" if kind == "sqlite" else request.getfixturevalue(kind)
    url = server if kind == "sqlite" else server.url
    mark = "`" if kind == "mariadb" else '"'
    for name in NAMES:
        quoted = mark + name.replace(mark, mark * 2) + mark
        column = "DATETIME" if kind == "mariadb" else "TIMESTAMP"
        execute(
            server,
            f"DROP TABLE IF EXISTS {quoted}",
            f"CREATE TABLE {quoted} (id INTEGER, {quoted} {column}, {mark}a.b{mark} INTEGER)",
            f"INSERT INTO {quoted} VALUES (1, '2020-01-01 00:00:00', 3)",
        )
        selection, wanted = Selection(name), {"id": 1, name: datetime(2020, 1, 1), "a.b": 3}
        assert rows(url, selection, cursor=name, partition_column="id") == [wanted]
        with closing(open_database(url)) as database:
            reading = Reading(selection=selection, cursor=name)
            position = read(database, reading).position
            assert read(database, reading, position).rows.read_all().to_pylist() == [wanted]
            assert not is_beyond(database, reading, position)
            assert database.version(selection)


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
        open_database("db2://me:secret@host/x")
    assert "secret" not in str(unknown.value)


def test_a_password_that_is_not_quoted_is_in_no_error() -> None:
    for scheme in ("postgresql", "postgres", "mysql", "mariadb"):
        for password in ("s3 cret", "s3c/ret", "s3c#ret", "s3c?ret", "s3c@ret"):
            with pytest.raises(DatabaseError, match="write %20 for a space") as refused:
                open_database(f"{scheme}://me:{password}@127.0.0.1:1/x")
            assert "s3" not in str(refused.value) + repr(refused.value)
    for url in ("postgresql://me:s3cret@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x?user=me&password=s3cret"):
        with pytest.raises(DatabaseError, match=r"127\.0\.0\.1") as refused:
            open_database(url)
        assert "s3c" not in str(refused.value) + repr(refused.value)


def test_an_error_while_rows_are_read_is_one_line_that_names_the_database(postgresql: DatabaseServer) -> None:
    late = Selection(query="SELECT 1 / (100000 - n) AS n FROM generate_series(1, 100000) n")
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1.*division by zero") as failed:
        rows(postgresql.url, late)
    assert "\n" not in str(failed.value)


def test_the_sqlite_file_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no such file"):
        open_database(f"sqlite:///{tmp_path}/none.db")
    url = f"sqlite:///{tmp_path}/one.db"
    execute(url, "CREATE TABLE t (id INTEGER)")
    with closing(open_database(url)) as database, pytest.raises(DatabaseError, match="readonly"):
        list(database.batches("DELETE FROM t", []))
    assert sqlite3.connect(tmp_path / "one.db").execute("SELECT count(*) FROM t").fetchone() == (0,)
