"""What a query reads of tables, ORC and CSV: only the keys, columns and folders that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import numpy
import pyarrow
import pyarrow.orc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.frames import csv as csv_frames
from lake_assets.frames import orc as orc_frames
from lake_assets.frames import parquet as parquet_frames
from lake_assets.lake.embedded import GitLake
from lake_assets.layout.asset_folders import folder_of
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import Bounds
from lake_assets.sql.errors import SqlError
from lake_assets_tests.audits import TESTS
from lake_assets_tests.depth import examples
from lake_assets_tests.lake.backends import put
from lake_assets_tests.sql.conftest import Ask, asking


@dataclass
class Counted:
    """The rows and columns that the store gave, and how often it was asked."""

    rows: int = 0
    calls: int = 0
    columns: set[str] = field(default_factory=set[str])

    def add(self, batch: pyarrow.RecordBatch | pyarrow.Table) -> None:
        self.rows += batch.num_rows
        self.columns |= set(batch.column_names)


@contextmanager
def counting() -> Generator[Counted]:
    """Count what LMDB gives."""
    counted, scan, get_many = Counted(), LMDBStore.scan, LMDBStore.get_many

    def scanned(*given: Any, **options: Any) -> Iterator[pyarrow.RecordBatch]:
        counted.calls += 1
        for batch in scan(*given, **options):
            counted.add(batch)
            yield batch

    def got(*given: Any) -> pyarrow.Table:
        counted.calls += 1
        counted.add(table := get_many(*given))
        return table

    with patch.object(LMDBStore, "scan", scanned), patch.object(LMDBStore, "get_many", got):
        yield counted


@pytest.mark.parametrize(
    ("text", "rows", "parameters"),
    [
        ("FROM latest WHERE ISIN = 'DE007'", 1, {}),
        ("FROM latest WHERE ISIN = $isin", 1, {"isin": "DE007"}),
        ("FROM latest WHERE ISIN IN ('DE007', 'DE400', 'nix')", 2, {}),
        ("FROM latest WHERE ISIN = 'DE007' OR ISIN = 'DE400'", 2, {}),
        ("FROM latest WHERE ISIN IN ($a, $b) AND Price > 0", 2, {"a": "DE007", "b": "DE400"}),
        ("FROM latest l WHERE 'DE100' <= l.isin AND ISIN < 'DE200' AND ISIN < 'DE300'", 100, {}),
        ("FROM latest WHERE ISIN BETWEEN $a AND 'DE200' LIMIT 1", 101, {"a": "DE100"}),
        ("FROM latest WHERE ISIN LIKE 'DE00%'", 10, {}),
        ("FROM latest WHERE ISIN LIKE $begin AND Price > 0", 10, {"begin": "DE00%7"}),
        ("FROM latest l WHERE starts_with(l.ISIN, 'DE00')", 10, {}),
        ("FROM latest WHERE ISIN = $isin OR Price = $price", 500, {"isin": "DE007", "price": numpy.float64(1)}),
        ("FROM latest WHERE ISIN LIKE $begin", 0, {"begin": "(" * 2_000_000}),
        ("SELECT count(*) FROM latest l JOIN notes n ON l.Price = n.id::DOUBLE WHERE l.ISIN ^@ 'DE00'", 10, {}),
        ("WITH l AS (SELECT * FROM latest) SELECT * FROM l WHERE ISIN = 'DE007'", 1, {}),
        ("SELECT a.Price FROM latest a JOIN latest b USING (ISIN) WHERE b.ISIN = 'DE007'", 2, {}),
        (
            "SELECT count(*) FROM latest l JOIN stocks_parquet s ON l.ISIN = s.ISIN || '07' WHERE l.ISIN > 'DE498'",
            1,
            {},
        ),
        ("FROM latest WHERE ISIN IN ('DE007', 'DE008') AND ISIN > 'DE008'", 0, {}),
        ("FROM latest l(Price, ISIN) WHERE ISIN = 0.25", 500, {}),
        ("FROM latest l(other, Price) WHERE other = 'DE007'", 1, {}),
        ("FROM latest WHERE ISIN = 'DE007' OR Price = 1", 500, {}),
        ("FROM latest a POSITIONAL JOIN latest b WHERE a.ISIN = 'DE001'", 1000, {}),
        ("SELECT count(*) FROM latest TABLESAMPLE 100% WHERE ISIN = 'DE007'", 500, {}),
    ],
)
def test_store_gives_only_the_keys_that_a_query_names(
    ask: Ask, text: str, rows: int, parameters: Mapping[str, str]
) -> None:
    with counting() as counted:
        ask(text, parameters=parameters)
    assert counted.rows == rows


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT Price FROM latest", {"Price"}),
        ("SELECT Price FROM latest WHERE ISIN > 'DE100'", {"ISIN", "Price"}),
        ("SELECT count(*) FROM latest", {"ISIN"}),
        ("SELECT ISIN FROM latest WHERE Price = 0.25", {"ISIN", "Price"}),
    ],
)
def test_store_gives_only_the_columns_that_a_query_needs(ask: Ask, text: str, columns: set[str]) -> None:
    with counting() as counted:
        ask(text)
    assert counted.columns == columns


def test_one_range_is_read_by_one_call(ask: Ask) -> None:
    """Then all of it is of one state of the table."""
    with counting() as counted:
        assert ask("SELECT count(*) FROM latest WHERE ISIN < 'DE100' OR ISIN = 'DE300' OR ISIN > 'DE498'") == [(102,)]
    assert counted.calls == 1


TEXTS = ("a", "ab", "b", "B", "a\0", "é", "a%", "x" * 600, "", "\U0010ffff", "5")
NUMBERS = (-(1 << 63), -1, 0, 1, 2, 5, 7, (1 << 63) - 1, 1 << 63)
PRICES = ("price > 3", "price < 3", "price IS NULL", "price = 5", "price <> 0.25", "price = 'nan'", "price >= 'nan'")
PATTERNS = ("'a%'", "'a_'", "'%a'", "'x%'", "'\U0010ffff%'", "'5'", "''")
KINDS = {"text": TEXTS, "long": NUMBERS, "short": NUMBERS}
KEYS = (["text"], ["long"], ["short"], ["text", "long"], ["long", "text"], ["short", "long", "text"])


def rows() -> pyarrow.Table:
    """Return some rows, of which each key is there once."""
    texts = [text for text in TEXTS if 0 < len(text) < 500]
    longs = [number for number in NUMBERS if number < 1 << 63]
    count = len(texts) * len(longs)
    return pyarrow.table(
        {
            "text": texts * len(longs),
            "long": [number for number in longs for _ in texts],
            "short": pyarrow.array([at % 9 - 2 for at in range(count)], pyarrow.int32()),
            "price": [None if at % 5 == 0 else float("nan") if at % 7 == 0 else at / 4 for at in range(count)],
        }
    )


@dataclass(frozen=True)
class Held:
    """The tables, by their key columns, and the same rows in plain DuckDB."""

    ask: Callable[..., Any]
    plain: duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def held(catalog: LakeCatalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    with closing(LMDBStore(tmp_path_factory.mktemp("tables"))) as store, duckdb.connect() as plain:
        for key in KEYS:
            name, once = "_".join(key), rows().select(key).to_pandas().drop_duplicates().index
            store.write(name, table := rows().take(once.to_numpy()), key=key)
            plain.register(name, table.select([*key, *(column for column in table.column_names if column not in key)]))
        yield Held(asking(replace(catalog, tables=store, _commits={})), plain)


@st.composite
def conditions(draw: st.DrawFn, called: str = "", depth: int = 2) -> str:
    """Return a WHERE over the columns of :func:`rows`."""
    if depth and draw(st.booleans()):
        left, right = draw(conditions(called, depth - 1)), draw(conditions(called, depth - 1))
        return draw(st.sampled_from((f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})")))
    column = draw(st.sampled_from(("text", "text", "long", "short", "price")))
    if column == "price":
        return called + draw(st.sampled_from(PRICES))
    several = draw(st.lists(st.sampled_from(KINDS[column]), min_size=1, max_size=4))
    constants = [f"'{text}'" if isinstance(text, str) and "\0" not in text else str(text) for text in several]
    constants = ["$nul" if text == "a\0" else text for text in constants]
    name, first, last = called + column, constants[0], constants[-1]
    sign = draw(st.sampled_from(("=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")))
    shapes = [
        f"{name} {sign} {first}",
        f"{first} {sign} {name}",
        f"{name} IN ({', '.join(constants)})",
        f"{name} NOT IN ({', '.join(constants)})",
        f"{name} BETWEEN {first} AND {last}",
        f"{name} IS NULL",
    ]
    if column == "text":
        shapes += [
            f"{name} LIKE {first} || '%'",
            f"{name} LIKE {draw(st.sampled_from(PATTERNS))}",
            f"{name} LIKE $pattern",
            f"{name} ILIKE 'A%'",
            f"starts_with({name}, {first})",
            f"{name} ^@ {first}",
            f"lower({name}) = {first}",
            f"{name} COLLATE NOCASE >= {first}",
        ]
    return draw(st.sampled_from(shapes))


@st.composite
def queries(draw: st.DrawFn) -> str:
    table, other = (("_").join(draw(st.sampled_from(KEYS))) for _ in range(2))
    columns = ", ".join(draw(st.lists(st.sampled_from(("text", "long", "short", "price")), min_size=1, unique=True)))
    join = draw(st.sampled_from(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN")))
    shapes = [
        f"SELECT {columns} FROM {table} WHERE {draw(conditions())}",
        f"SELECT count(*) FROM {table} WHERE {draw(conditions())}",
        f"SELECT {columns} FROM {table} t WHERE {draw(conditions('t.'))}",
        f"WITH c AS (SELECT {columns}, text AS text, long AS long, short AS short, price AS price FROM {table} "
        f"WHERE {draw(conditions())}) SELECT {columns} FROM c WHERE {draw(conditions())}",
        f"SELECT a.text, a.price FROM {table} a {join} {other} b ON a.short = b.short WHERE {draw(conditions('a.'))}",
        f"SELECT b.text, b.price FROM {table} a LEFT JOIN {other} b ON a.short = b.short "
        f"AND {draw(conditions('b.'))} WHERE {draw(conditions('b.'))}",
        f"SELECT {columns} FROM {table} WHERE short IN (SELECT short FROM {other} WHERE {draw(conditions())})",
        f"SELECT text, (SELECT count(*) FROM {other} b WHERE b.text = a.text AND {draw(conditions('b.'))}) "
        f"FROM {table} a WHERE {draw(conditions('a.'))}",
    ]
    return draw(st.sampled_from(shapes)) + " ORDER BY ALL"


@settings(max_examples=examples(80))
@given(queries(), st.sampled_from(("a%", "ab", "a_%", "%", "é%", "a\0%")))
def test_a_table_has_the_rows_that_duckdb_finds(held: Held, text: str, pattern: str) -> None:
    parameters = {"nul": "a\0", "pattern": pattern}
    used = {name: value for name, value in parameters.items() if f"${name}" in text}
    # As texts, since NaN does not equal itself.
    assert repr(held.ask(text, parameters=parameters)) == repr(held.plain.execute(text, used or None).fetchall())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeCatalog]:
    """A lake with three days of bars in ORC and in CSV."""
    lake = GitLake(tmp_path_factory.mktemp("lake"))
    lake.create_branch("run-1", "main")
    days = (1, 2, 3)
    with lake.write("run-1", "orc_bars") as write:
        for day in days:
            bars = {"ISIN": [f"DE{day}", "DE9"], "Price": [day / 2, None], "Bar.Size": [day, 5]}
            write.filesystem.create_dir(f"{write.root}/day={day}", recursive=True)
            with write.filesystem.open_output_stream(f"{write.root}/day={day}/part-0.orc") as stream:
                pyarrow.orc.write_table(pyarrow.table(bars), stream)
    texts = {f"day={day}/bars.csv": f"ISIN,Price\nDE{day},{day / 2}\nDE9,\n" for day in days}
    put(lake, "run-1", "csv_bars", texts)
    lake.merge("run-1", "main", "Publish", {}, audit=TESTS)
    yield LakeCatalog(lake=lake, folder_of=folder_of)
    lake.close()


@pytest.mark.parametrize("asset", ["orc_bars", "csv_bars"])
@pytest.mark.parametrize(
    ("columns", "where", "days", "found"),
    [
        ("ISIN", "day = '2'", "2", [("DE2",), ("DE9",)]),
        ("day, ISIN", "day IN ('1', '3') AND ISIN <> 'DE9'", "13", [("1", "DE1"), ("3", "DE3")]),
        ("day", "ISIN = 'DE3'", "123", [("3",)]),
        ("count(*)", "day > $day", "23", [(4,)]),
        ("count(*)", "day > '3'", "", [(0,)]),
        ("day", "true", "123", [("1",), ("1",), ("2",), ("2",), ("3",), ("3",)]),
    ],
)
def test_only_the_folders_that_a_query_names_are_read(
    files: LakeCatalog, asset: str, columns: str, where: str, days: str, found: list[tuple[Any, ...]]
) -> None:
    read: list[str] = []
    batches, tables = orc_frames.orc_batches, csv_frames.csv_tables

    def of_orc(filesystem: Any, path: str, *more: Any) -> Any:
        read.append(path.partition("day=")[2][0])
        return batches(filesystem, path, *more)

    def of_csv(stream: Any, file: Any, *more: Any) -> Any:
        read.append(file.partition["day"])
        return tables(stream, file, *more)

    with patch.object(parquet_frames, "orc_batches", of_orc), patch.object(csv_frames, "csv_tables", of_csv):
        text = f"SELECT {columns} FROM {asset} WHERE {where} ORDER BY ALL"
        assert asking(files)(text, parameters={"day": "1"}) == found
    assert "".join(read) == days


@pytest.mark.parametrize(
    ("columns", "decoded"),
    [
        ("Price", {"Price"}),
        ("day", {"ISIN"}),
        ("count(*)", {"ISIN"}),
        ("max(day), count(Price)", {"Price"}),
        ('"Bar.Size"', {"ISIN", "Price", "Bar.Size"}),
    ],
)
def test_only_the_columns_that_a_query_needs_are_decoded(files: LakeCatalog, columns: str, decoded: set[str]) -> None:
    read: set[str] = set()
    stripe = pyarrow.orc.ORCFile.read_stripe

    def counted(file: Any, number: int, *wanted: Any) -> Any:
        batch = stripe(file, number, *wanted)
        read.update(batch.schema.names)
        return batch

    with patch.object(pyarrow.orc.ORCFile, "read_stripe", counted):
        asking(files)(f"SELECT {columns} FROM orc_bars")
    assert read == decoded


def test_only_the_columns_of_csv_that_a_query_needs_are_converted(files: LakeCatalog) -> None:
    converted: list[int] = []
    conform = csv_frames.conform

    def counted(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
        converted.append(table.num_columns)
        return conform(table, schema)

    with patch.object(csv_frames, "conform", counted):
        assert asking(files)("SELECT count(*), max(Price) FROM csv_bars") == [(6, "1.5")]
    assert converted == [1, 1, 1]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("ISIN = 'DE2'", 100),
        ("ISIN = 'DE2' AND minute = 7", 1),
        ("ISIN = 'DE2' AND minute IN (7, $minute)", 2),
        ("ISIN = 'DE2' AND minute >= 90", 10),
        ("ISIN = 'DE2' AND minute < 10", 10),
        ("ISIN = 'DE2' AND minute BETWEEN 10 AND 19 AND Price > 0", 10),
        ("ISIN >= 'DE3' AND minute = 7", 200),
        ("minute = 7", 500),
    ],
)
def test_each_column_of_a_key_narrows_what_is_read(catalog: LakeCatalog, tmp_path: Path, where: str, rows: int) -> None:
    isins, minutes = [f"DE{at}" for at in range(5) for _ in range(100)], list(range(100)) * 5
    bars = pyarrow.table({"ISIN": isins, "minute": minutes, "Price": [0.5] * 500})
    with closing(LMDBStore(tmp_path)) as store, duckdb.connect() as plain:
        store.write("bars", bars, key=["ISIN", "minute"])
        text, parameters = f"SELECT * FROM bars WHERE {where} ORDER BY ALL", {"minute": numpy.int64(70)}
        with counting() as counted:
            found = asking(replace(catalog, tables=store, _commits={}))(text, parameters=parameters)
        assert counted.rows == rows
        assert found == plain.execute(text, {"minute": 70} if "$" in text else None).fetchall()


@contextmanager
def endless(seconds: float) -> Generator[list[int]]:
    """Let each table have no end. Note the batches that it gives."""
    given: list[int] = []

    def scan(_: object, table: str, *bounds: Any, columns: list[str], **options: Any) -> Iterator[pyarrow.RecordBatch]:
        for at in range(200):
            given.append(at)
            time.sleep(seconds)
            yield pyarrow.record_batch({name: ["DE"] if name == "ISIN" else [0.5] for name in columns})

    with patch.object(LMDBStore, "scan", scan):
        yield given


@pytest.mark.parametrize("text", ["FROM latest WHERE Price = -1", "SELECT count(*) FROM latest"])
def test_time_is_bounded_while_a_table_is_read(ask: Ask, text: str) -> None:
    with endless(0.05) as given, pytest.raises(SqlError, match=r"^the query took longer than 0.3 s$"):
        ask(text, bounds=Bounds(seconds=0.3))
    assert len(given) < 100


def test_a_table_is_read_no_further_than_a_query_needs(ask: Ask) -> None:
    with endless(0.01) as given:
        assert len(ask("FROM latest LIMIT 2")) == 2
        read = len(given)
        time.sleep(0.2)
    # Arrow's own scanner goes on in the background, and ends the process with an abort if that ends meanwhile.
    assert len(given) == read < 10


@pytest.mark.parametrize(
    ("where", "scans", "found"),
    [
        ("ISIN = 'DE2'", 0, 5),
        ("ISIN = 'DE2' AND minute > 2", 0, 2),
        ("ISIN = 'DE2' AND minute IN (1, 4)", 0, 2),
        ("ISIN > 'DE2'", 1, 10),
    ],
)
def test_dynamodb_is_queried_where_the_partition_is_known(
    catalog: LakeCatalog, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, where: str, scans: int, found: int
) -> None:
    scanned: list[str] = []
    scan = Client.scan
    monkeypatch.setattr(
        Client, "scan", lambda self, name, *more, **how: scanned.append(name) or scan(self, name, *more, **how)
    )
    bars = {"ISIN": [f"DE{at}" for at in range(5) for _ in range(5)], "minute": [*range(5)] * 5, "Price": [0.5] * 25}
    with closing(DynamoDBStore(**dynamodb.options())) as store:
        store.write("bars", pyarrow.table(bars), key=["ISIN", "minute"])
        scanned.clear()
        ask = asking(replace(catalog, tables=store, _commits={}))
        assert ask(f"SELECT count(*) FROM bars WHERE {where}") == [(found,)]
    assert len(scanned) == scans
