"""Oracle and SQL Server, which no test can start: the SQL for them is theirs, and values as they write them are read.

connectorx answers from tables that are written here after their manuals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import connectorx
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from lake_assets.databases.contract import Database, DatabaseError, Selection
from lake_assets.databases.opening import open_database
from lake_assets.databases.reading import Reading, is_beyond, read

UTC = timezone.utc
MOMENT = datetime(2020, 1, 1, 10, 34, 56, 123456)

# Declared type, the text or number that the expression gives, and the value that is read.
SQL_SERVER: list[tuple[str, Any, Any]] = [
    ("bit", 1, True),
    ("tinyint", 255, 255),
    ("bigint", -(2**63), -(2**63)),
    ("decimal(38,10)", "1234567890.0123456789", Decimal("1234567890.0123456789")),
    ("numeric(5,0)", "-12345", Decimal(-12345)),
    ("money", "-12.3456", Decimal("-12.3456")),
    ("smallmoney", "1.0000", Decimal("1.0000")),
    ("float", 0.1, 0.1),
    ("real", 1.5, 1.5),
    ("date", "2020-02-29", date(2020, 2, 29)),
    ("datetime", "2020-01-01 10:34:56.123", MOMENT.replace(microsecond=123000)),
    ("smalldatetime", "2020-01-01 10:34:00", datetime(2020, 1, 1, 10, 34)),
    ("datetime2(7)", "2020-01-01 10:34:56.1234560", MOMENT),
    ("datetimeoffset(7)", "2020-01-01 10:34:56.1234560", MOMENT.replace(tzinfo=UTC)),
    ("time(7)", "10:34:56.1234567", "10:34:56.1234567"),
    ("char(3)", "c  ", "c  "),
    ("nvarchar(max)", "täxt 'x'", "täxt 'x'"),
    ("varbinary(max)", "DEAD00", b"\xde\xad\x00"),
    ("uniqueidentifier", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
    ("xml", "<a/>", "<a/>"),
]
# The same, with the precision and the scale of a number behind the type.
ORACLE: list[tuple[str, Any, Any]] = [
    ("NUMBER 10 0", "-5", -5),
    ("NUMBER 20 4", ".5", Decimal("0.5000")),
    ("NUMBER 3 -2", "12300", 12300),
    ("NUMBER 2 5", ".00012", Decimal("0.00012")),
    ("NUMBER - 0", "9" * 38, Decimal("9" * 38)),
    ("NUMBER - -", "1.123456789012345678901234567890", "1.123456789012345678901234567890"),
    ("FLOAT 126 -", "1.5", "1.5"),
    ("BINARY_DOUBLE", 0.1, 0.1),
    ("DATE", "2020-01-01 10:34:56", MOMENT.replace(microsecond=0)),
    ("TIMESTAMP(6)", "2020-01-01 10:34:56.123456000", MOMENT),
    ("TIMESTAMP(0)", "2020-01-01 10:34:56.000000000", MOMENT.replace(microsecond=0)),
    ("TIMESTAMP(6) WITH TIME ZONE", "2020-01-01 10:34:56.123456000", MOMENT.replace(tzinfo=UTC)),
    ("TIMESTAMP(6) WITH LOCAL TIME ZONE", "2020-01-01 10:34:56.123456000", MOMENT.replace(tzinfo=UTC)),
    ("INTERVAL DAY(2) TO SECOND(6)", "+01 02:00:00.000000", "+01 02:00:00.000000"),
    ("VARCHAR2", "täxt 'x'", "täxt 'x'"),
    ("NCLOB", "long", "long"),
    ("RAW", "DEAD00", b"\xde\xad\x00"),
]
CASES = {"mssql": SQL_SERVER, "oracle": ORACLE}
DIALECTS = {"mssql": "tsql", "oracle": "oracle"}


class Server:
    """What connectorx gives, and the queries that it was given."""

    def __init__(self, scheme: str, columns: Sequence[tuple[str, str]], row: Mapping[str, Any]) -> None:
        self.scheme, self.columns, self.row = scheme, columns, row
        self.queries: list[str] = []
        self.answers: dict[str, Sequence[str]] = {}

    def read_sql(self, url: str, sql: str, *, return_type: str, batch_size: int = 0) -> Any:
        self.queries.append(sql)
        if return_type == "arrow_stream":
            return iter(pa.table({name: [value] for name, value in self.row.items()}).to_batches())
        for part, values in self.answers.items():
            if part in sql:
                return pa.table({str(number): [value] for number, value in enumerate(values)})
        if self.scheme == "mssql":
            rows = [(number, name, kind, None) for number, (name, kind) in enumerate(self.columns, 1)]
            return _table(rows, "column_ordinal", "name", "system_type_name", "error_message")
        numbers = [(name, *[None if part == "-" else part for part in _parts(kind)]) for name, kind in self.columns]
        return _table(numbers, "NAME", "DECLARED", "DIGITS", "SCALE")


def _parts(kind: str) -> Sequence[str | None]:
    return kind.split() if kind.startswith(("NUMBER", "FLOAT")) else [kind, None, None]


def _table(rows: Sequence[Sequence[Any]], *names: str) -> pa.Table:
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(names)})


@pytest.fixture(params=CASES)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with a column of each type, whose SQL is checked at the end: it is one query of this database."""
    cases = CASES[request.param]
    columns = [(f"c {number}", kind) for number, (kind, _, _) in enumerate(cases)]
    server = Server(request.param, columns, {f"c {number}": told for number, (_, told, _) in enumerate(cases)})
    monkeypatch.setattr(connectorx, "read_sql", server.read_sql)
    yield server
    assert server.queries
    for sql in server.queries:
        tree = sqlglot.parse_one(sql, dialect=DIALECTS[request.param])
        assert isinstance(tree, exp.Select)
        assert not list(tree.find_all(exp.Limit)) or "TOP 1" in sql


def opened(server: Server) -> Database:
    return open_database(f"{server.scheme}://me:s3cret@127.0.0.1/x")


def test_each_type_gets_its_value(server: Server) -> None:
    found = read(opened(server), Reading(selection=Selection("sales.Bars"))).rows.read_all().to_pylist()
    assert list(found[0].values()) == [value for _, _, value in CASES[server.scheme]]


@pytest.mark.parametrize("zone", [None, UTC])
def test_a_run_continues_from_the_highest_time(server: Server, zone: timezone | None) -> None:
    kinds = {"mssql": ("datetime2(7)", "datetimeoffset(7)"), "oracle": ("TIMESTAMP(9)", "TIMESTAMP(9) WITH TIME ZONE")}
    server.columns = [
        ("id", "bigint" if server.scheme == "mssql" else "NUMBER 10 0"),
        ("at", kinds[server.scheme][bool(zone)]),
    ]
    server.row = {"id": "1", "at": "2020-01-01 10:34:56.123456"}
    server.answers = {"max(": ["2020-01-01 10:34:56.123456"], "count(*)": ["0"]}
    database = opened(server)
    reading = Reading(selection=Selection("bars"), cursor="at", overlap=timedelta(hours=1))
    first = read(database, reading)
    assert first.whole
    assert first.position["mark"] == "2020-01-01 10:34:56.123456"
    assert not is_beyond(database, reading, first.position)
    assert "10:34:56.123457" in server.queries[-1]
    then = read(database, reading, first.position)
    assert not then.whole
    then.rows.read_all()
    assert "09:34:56.123456" in server.queries[-1] or "08:34:56.123456" in server.queries[-1]
    server.answers["count(*)"] = ["1"]
    assert is_beyond(database, reading, first.position)
    # A time that stands for no end has none beyond it.
    assert is_beyond(database, reading, {**first.position, "mark": "9999-12-31 23:59:59.999999"})
    assert "9999-12-31" in server.queries[-1]


def test_ranges_of_a_partition_column_are_queries_of_their_own(server: Server) -> None:
    server.columns = [("id", "int" if server.scheme == "mssql" else "NUMBER 9 0")]
    server.row = {"id": "1"}
    server.answers = {"min(": ["1", "32"]}
    read(opened(server), Reading(selection=Selection("bars"), partition_column="id")).rows.read_all()
    assert sum("WHERE" in sql and "ALL_TAB" not in sql for sql in server.queries) == 17


def test_a_value_that_the_lake_cannot_hold_is_an_error_that_names_the_column(server: Server) -> None:
    server.columns = [("at", "datetime2(7)" if server.scheme == "mssql" else "TIMESTAMP(9)")]
    server.row = {"at": "2020-01-01 10:34:56.1234567"}
    with pytest.raises(DatabaseError, match=r"column 'at'.*parts of a microsecond.*cast it in a query"):
        read(opened(server), Reading(selection=Selection("bars"))).rows.read_all()


def test_a_type_that_is_not_known_is_refused(server: Server) -> None:
    server.columns = [("place", "geography" if server.scheme == "mssql" else "SDO_GEOMETRY")]
    with pytest.raises(DatabaseError, match=r"'place' is of type .*: cast it in a query"):
        opened(server).columns(Selection("bars"))


def test_what_is_not_there_is_named_without_the_password(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    if server.scheme == "oracle":
        server.columns = []
        with pytest.raises(DatabaseError, match="no table bars: give its name as ALL_TAB_COLUMNS has it"):
            opened(server).columns(Selection("bars"))
    server.queries.append("SELECT 1")

    def away(url: str, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"Timed out in bb8 {url}")

    monkeypatch.setattr(connectorx, "read_sql", away)
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1") as refused:
        opened(server).columns(Selection("bars"))
    assert "s3cret" not in str(refused.value)


def test_columns_of_a_query_of_oracle_are_those_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("oracle", [], {})
    empty = pa.table({"N": pa.array([], pa.float64()), "AT": pa.array([], pa.date64()), "T": pa.array([], pa.string())})
    monkeypatch.setattr(connectorx, "read_sql", lambda *_, **__: empty)
    found = {column.name: column.type for column in opened(server).columns(Selection(query="SELECT * FROM bars"))}
    assert found == {"N": pa.string(), "AT": pa.timestamp("us"), "T": pa.string()}
