"""SQL from a grammar, hostile and harmless parts mixed: whatever it does, it writes nothing."""

# ruff: noqa: E501

from __future__ import annotations

import hashlib
import logging
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import Bounds, open_parser, run_query
from lake_assets.sql.errors import SqlError
from lake_assets.sql.spark_plan import check_plan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BOUNDS = Bounds(seconds=5, memory="200MB", disk="10MB", result_bytes=5_000_000)
OUTSIDE = "root:"
"""What /etc/passwd begins with."""


class Grammar:
    """Makes statements. ``OUT`` stands for a folder in which nothing may be written."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._depth = 0

    def _one(self, *choices: str | Callable[[], str]) -> str:
        made = self._random.choice(choices)
        return made if isinstance(made, str) else made()

    def statement(self) -> str:
        first = self._one(*[self.query] * 6, self.write, self.write, lambda: f"EXPLAIN {self.query()}", self.noise)
        return first + self._one(
            *[""] * 8, ";", "; ", f"; {self.write()}", f" -- {self.write()}", f" /* {self.noise()} */"
        )

    def query(self) -> str:
        self._depth += 1
        deep = self._depth > 4
        ctes = "" if deep else self._one("", "", "", self.ctes)
        body = f"SELECT {self.columns()} FROM {self.table()}{self.rest()}" if not deep else "SELECT 1 AS a"
        text = ctes + self._one(
            body, body, body, f"FROM {self.table()}" if not deep else body, "VALUES (1)", self.union
        )
        self._depth -= 1
        return text

    def union(self) -> str:
        return f"SELECT 1 {self._one('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT')} {self.query()}"

    def ctes(self) -> str:
        inner = self._one(self.query, self.query, self.write)
        return f"WITH {self._one('', '', 'RECURSIVE ')}x{self._one('', '(a)')} AS {self._one('', 'MATERIALIZED ')}({inner}) "

    def columns(self) -> str:
        return ", ".join(
            self._one("*", self.value, self.value, "COLUMNS(*)") for _ in range(self._random.randint(1, 3))
        )

    def table(self) -> str:
        deep = self._depth > 4
        return self._one(
            "stocks_parquet", "latest", "sales.daily", "x", "notes AS n", "stocks_parquet s AT (VERSION => 'v1')",
            f"stocks_parquet AT (VERSION => {self.value()})", "changes('stocks_parquet', 'v1', 'v2')",
            "'OUT/f.parquet'", "'/etc/passwd'", '"OUT/f.csv"', "duckdb_settings()", "range(3)", "information_schema.tables",
            f"{self._one('read_text', 'read_csv', 'glob', 'query', 'read_parquet', 'unnest', 'query_table')}({self.value()})",
            "stocks_parquet JOIN latest USING (ISIN)", "stocks_parquet, notes",
            *([] if deep else [lambda: f"({self.query()})", lambda: f"({self.write()})", lambda: f"({self.query()}) AS q"]),
        )  # fmt: skip

    def value(self) -> str:
        deep = self._depth > 4
        return self._one(
            "1", "'a'", "NULL", "ISIN", "Price", "a", "$$OUT/f$$", "'OUT/g'", "[1, 2]", "{'a': 1}", "$p", "count(*)", "'v1'",
            f"{self._one('upper', 'getenv', 'current_setting', 'nextval', 'length', 'write_log', 'sum', 'sleep_ms')}(1)",
            *([] if deep else [lambda: f"({self.query()})", lambda: f"({self.write()})", lambda: f"{self.value()} = 1"]),
        )  # fmt: skip

    def rest(self) -> str:
        return self._one(
            "", "", " WHERE 1 = 1", " LIMIT 3", " ORDER BY ALL", " GROUP BY ALL", f" WHERE {self.value()} = 1"
        )

    def write(self) -> str:
        self._depth += 1
        source = f"({self.query()})" if self._depth < 4 else "(SELECT 1)"
        text = self._one(
            f"COPY {source} TO 'OUT/c.csv'", f"COPY {source} TO $$OUT/c$$ (FORMAT parquet)", "COPY stocks_parquet TO 'SNAPSHOT'",
            "COPY latest FROM '/etc/passwd'", "INSERT INTO latest VALUES ('x', 1) RETURNING *", "DELETE FROM latest RETURNING *",
            "INSERT INTO stocks_parquet BY NAME SELECT 'x' AS ISIN", "UPDATE latest SET Price = 0", "DROP VIEW stocks_parquet",
            f"CREATE TABLE t AS {source[1:-1]}", "CREATE OR REPLACE VIEW latest AS SELECT 1", "ATTACH 'OUT/a.db' AS a",
            "EXPORT DATABASE 'OUT/e'", "INSTALL httpfs", "LOAD 'OUT/x.so'", "PRAGMA enable_profiling='json'", "SET threads = 1",
            "SET profiling_output = 'OUT/p.json'", "RESET allowed_paths", "CALL enable_logging()", "CHECKPOINT", "TRUNCATE latest",
        )  # fmt: skip
        self._depth -= 1
        return text

    def noise(self) -> str:
        return "".join(self._random.choices("()'\"$;-/*,.=\\ \n\tSELECTé", k=self._random.randint(1, 30)))


def _state(folder: Path) -> list[tuple[str, str]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def _settings() -> list[tuple[object, ...]]:
    with open_parser() as parser:
        return parser.execute("SELECT name, value FROM duckdb_settings() ORDER BY name").fetchall()


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which nothing may be written."""
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


LONG = pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])


@pytest.mark.parametrize("tries", [100, LONG])
def test_nothing_is_written(catalog: LakeCatalog, out: Path, tries: int) -> None:
    snapshot = Path(catalog.lake.path("main", "stocks_parquet").root)
    file = next(snapshot.rglob("*.parquet"))
    assert catalog.tables is not None
    kept, items, settings = _state(snapshot), list(catalog.tables.scan("latest")), _settings()
    answered = 0
    for seed in range(tries):
        text = Grammar(seed).statement().replace("OUT", str(out)).replace("SNAPSHOT", str(file))
        try:
            with run_query(text, catalog, bounds=BOUNDS, parameters={"p": 1} if "$p" in text else None) as result:
                assert OUTSIDE not in str([batch.to_pylist() for batch in result]), text
            answered += 1
        except SqlError:
            pass
        assert os.listdir(out) == [], text  # noqa: PTH208
    assert _state(snapshot) == kept
    assert list(catalog.tables.scan("latest")) == items
    assert _settings() == settings
    assert tries / 20 < answered < tries  # Both kinds are tried.


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_spark_writes_nothing_by_its_own_list(
    spark: SparkSession, catalog: LakeCatalog, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB's list is passed over: each text, as it is and transpiled, is run if Spark's list lets it through."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    monkeypatch.setattr(logging.getLogger("sqlglot"), "disabled", True)
    file = next(Path(catalog.lake.path("main", "stocks_parquet").root).rglob("*.parquet"))
    kept = _state(file.parent)
    own = spark.newSession()
    for view in ("stocks_parquet", "latest", "notes"):
        own.read.parquet(str(file)).createOrReplaceTempView(view)
    views = [table.name for table in own.catalog.listTables()]
    settings = own.conf.getAll
    answered = 0
    for seed in range(10_000):
        text = Grammar(seed).statement().replace("OUT", str(out)).replace("SNAPSHOT", str(file))
        for said in dict.fromkeys([text, _said_to_spark(text)]):
            try:
                check_plan(own, said, views)
                assert OUTSIDE not in str(own.sql(said).limit(100).collect()), said
                answered += 1
            except (SqlError, PySparkException, Py4JJavaError):  # Each is an answer: what it wrote is looked at below.
                pass
            assert os.listdir(out) == [], said  # noqa: PTH208
    assert [table.name for table in own.catalog.listTables()] == views
    assert own.conf.getAll == settings
    assert _state(file.parent) == kept
    assert answered > 100


def _said_to_spark(text: str) -> str:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return ";".join(sqlglot.transpile(text, "duckdb", "spark"))
    except (SqlglotError, RecursionError):
        return text
