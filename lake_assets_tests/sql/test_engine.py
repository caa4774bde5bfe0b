"""Names, refs, times, changes and bounds of queries."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.layout.asset_folders import folder_of
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.resources.working_branch import apart
from lake_assets.sql import clock
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import Bounds, run_query
from lake_assets.sql.errors import SqlError
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put
from lake_assets_tests.sql.conftest import Ask, asking


def test_assets_and_tables_by_name(ask: Ask) -> None:
    assert ask("SELECT count(*) FROM stocks_parquet") == [(5,)]
    assert ask("SELECT count(*) FROM Stocks_Parquet") == [(5,)]
    assert ask("SELECT count(*) FROM latest") == [(500,)]
    assert ask("SELECT sales.daily.ISIN, daily.Price FROM sales.daily ORDER BY 1 LIMIT 1") == [("DE0", 1.5)]
    assert ask("FROM notes ORDER BY id") == [("1", "one"), ("2", "")]
    assert ask("SELECT DISTINCT day, hour FROM stocks_parquet") == [("2017-07-28", "08")]


def test_two_refs_in_one_query(ask: Ask) -> None:
    joined = (
        "SELECT ISIN, a.Price, b.Price FROM stocks_parquet a AT (VERSION => 'v1') "
        "JOIN stocks_parquet b AT (VERSION => 'main') USING (ISIN) WHERE a.Price <> b.Price"
    )
    assert ask(joined) == [("DE0", 0.5, 1.5)]
    assert ask(
        "WITH old AS (FROM stocks_parquet AT (VERSION => 'v1')) SELECT ISIN FROM stocks_parquet n "
        "WHERE NOT EXISTS (SELECT 1 FROM old WHERE old.ISIN = n.ISIN) ORDER BY ALL"
    ) == [("DE3",), ("DE4",)]
    assert ask("SELECT count(*) FROM stocks_parquet AT (VERSION => 'v' || 1)") == [(3,)]


def test_ref_of_the_whole_query(catalog: LakeCatalog) -> None:
    old = LakeCatalog(lake=catalog.lake, ref="v1", folder_of=catalog.folder_of)
    with run_query("SELECT count(*) FROM stocks_parquet", old) as result:
        assert pyarrow.Table.from_batches(list(result)).to_pylist() == [{"count_star()": 3}]


def test_a_table_is_not_shown_as_of_another_ref(catalog: LakeCatalog) -> None:
    for ref, shown in (("main", True), ("v2", True), ("v1", False)):
        asked = asking(replace(catalog, ref=ref, _commits={}))
        if shown:
            assert asked("SELECT count(*) FROM latest") == [(500,)]
        else:
            with pytest.raises(SqlError, match="leave out --ref"):
                asked("SELECT count(*) FROM latest")


def test_time_in_the_history_of_main(ask: Ask) -> None:
    assert ask("SELECT count(*) FROM stocks_parquet AT (TIMESTAMP => now())") == [(5,)]
    assert ask("SELECT count(*) FROM stocks_parquet AT (TIMESTAMP => '2999-01-01')") == [(5,)]
    with pytest.raises(SqlError, match="main had no commit yet at 2001-02-03 04:05:06Z"):
        ask("FROM stocks_parquet AT (TIMESTAMP => TIMESTAMP '2001-02-03 04:05:06')")
    assert ask("SELECT count(*) FROM stocks_parquet AT (TIMESTAMP => DATE '2999-01-01')") == [(5,)]


@pytest.mark.parametrize("ref", ["''", "NULL"])
def test_no_ref_is_told(ask: Ask, ref: str) -> None:
    with pytest.raises(SqlError, match=r"AT \(VERSION => …\) needs a branch, a tag or a commit id"):
        ask(f"FROM stocks_parquet AT (VERSION => {ref})")


def test_table_has_only_the_commit_that_it_reflects(ask: Ask) -> None:
    assert ask("SELECT count(*) FROM latest AT (VERSION => 'v2')") == [(500,)]
    with pytest.raises(SqlError, match="table latest has only the state of the commit that it reflects"):
        ask("FROM latest AT (VERSION => 'v1')")


def test_working_branch_has_its_own_tables(tmp_path: Path) -> None:
    lake = GitLake(tmp_path / "lake")
    lake.create_branch("team", "main", protected=True)
    store = LMDBStore(tmp_path / "tables")
    for name, price in (("latest", 1), ("latest--team", 2), ("other", 3)):
        store.write(name, pyarrow.table({"ISIN": ["a"], "Price": [price]}), key=["ISIN"], source_commit="c")

    def answer(text: str, ref: str = "main") -> list[dict[str, object]]:
        catalog = LakeCatalog(lake=lake, tables=store, ref=ref, folder_of=folder_of, table_of=apart)
        with run_query(text, catalog) as result:
            return pyarrow.Table.from_batches(list(result), result.schema).to_pylist()

    assert answer("SELECT Price FROM latest") == [{"Price": 1}]
    assert answer("SELECT Price FROM latest", "team") == [{"Price": 2}]
    with pytest.raises(SqlError, match=r"there is no asset or table other at team; there are latest$"):
        answer("FROM other", "team")
    with pytest.raises(SqlError, match=r"nix at main; there are latest, other$"):
        answer("FROM nix")
    store.close()
    lake.close()


def test_changes_as_whole_rows_and_by_key(ask: Ask) -> None:
    assert ask("SELECT change, rows, ISIN, Price FROM changes('stocks_parquet', 'v1', 'main') ORDER BY 1, 3") == [
        ("added", 1, "DE0", 1.5),
        ("added", 1, "DE3", 3.5),
        ("added", 1, "DE4", 4.5),
        ("removed", 1, "DE0", 0.5),
    ]
    by_key = "SELECT change, ISIN, before.Price, after.Price FROM changes('sales.daily', 'v1', 'v2', key := 'ISIN')"
    assert ask(f"{by_key} ORDER BY ISIN") == [
        ("changed", "DE0", 0.5, 1.5),
        ("added", "DE3", None, 3.5),
        ("added", "DE4", None, 4.5),
    ]
    assert ask("FROM changes('stocks_parquet', 'v2', 'main')") == []


def test_changes_of_columns_whose_names_changed_their_case_and_whose_types_changed(tmp_path: Path) -> None:
    lake = GitLake(tmp_path / "lake")
    rows = {
        "v1": pyarrow.table({"ISIN": ["a", "b"], "Price": [1, 2], "after": [7, 8]}),
        "v2": pyarrow.table({"isin": ["a", "b"], "Price": ["1", "3"], "after": [7, 8]}),
    }
    for version, table in rows.items():
        lake.create_branch(f"run-{version}", "main")
        sink = pyarrow.BufferOutputStream()
        pq.write_table(table, sink)
        put(lake, f"run-{version}", "trades", {"part-0.parquet": sink.getvalue().to_pybytes()})
        lake.merge(f"run-{version}", "main", "Publish", {}, audit=TESTS)
        lake.tag(version, "main")
    ask = asking(LakeCatalog(lake=lake, folder_of=folder_of))
    changes = "FROM changes('trades', 'v1', 'v2'"
    assert ask(f"SELECT change, isin, Price {changes}) ORDER BY 1") == [("added", "b", "3"), ("removed", "b", "2")]
    assert ask(f"SELECT change, ISIN, before.Price, after.Price {changes}, key := 'Isin')") == [
        ("changed", "b", 2, "3")
    ]
    assert ask(f"SELECT change, Price, before.isin {changes}, key := 'Price') ORDER BY 1 DESC") == [
        ("removed", "2", "b"),
        ("added", "3", None),
    ]
    assert ask(f"SELECT change, after, before.Price {changes}, key := 'after')") == [("changed", 8, 2)]
    lake.close()


def test_all_rows_are_added_at_the_first_ref_that_has_them(ask: Ask, catalog: LakeCatalog) -> None:
    before = list(catalog.lake.first_parents("main"))[-1].id
    for key, columns in (("", "Price"), (", key := 'ISIN'", "after.Price")):
        added = f"SELECT change, {columns} FROM changes('stocks_parquet', '{before}', 'v1'{key}) ORDER BY 2"
        assert ask(added) == [("added", 0.5), ("added", 1.5), ("added", 2.5)]
    assert ask(f"SELECT DISTINCT change FROM changes('stocks_parquet', 'v1', '{before}')") == [("removed",)]
    for missing in (f"'nix', '{before}', 'v1'", "'stocks_parquet', 'nix', 'v1'"):
        with pytest.raises(SqlError, match=r"there is no (asset or table|branch, tag or commit)"):
            ask(f"FROM changes({missing})")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("TIME_NS '12:00:00.123456789'", "12:00:00.123456789"),
        ("TIMETZ '12:00:00+02'", "12:00:00+02"),
        ("BIT '10101'", "10101"),
        ("INTERVAL '1 month 2 days 3 seconds'", "1 month 2 days 00:00:03"),
        ("123456789012345678901234567890::BIGNUM", "123456789012345678901234567890"),
        (f"{2**128 - 1}::UHUGEINT", str(2**128 - 1)),
        ("union_value(a := INTERVAL 1 day)", "1 day"),
        ("[INTERVAL 1 day]", "[1 day]"),
        ("{'bit': 1}", {"bit": 1}),
    ],
)
def test_what_arrow_has_not_exactly_is_text(ask: Ask, value: str, text: object) -> None:
    assert ask(f"SELECT 1 AS a, {value} AS a, {value} ORDER BY 1", exact=True) == [(1, text, text)]


class Deaf:
    """A connection in a function that does not return."""

    interrupted = 0

    def interrupt(self) -> None:
        self.interrupted += 1


def test_a_query_that_does_not_stop_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "GRACE", 0.01)
    deaf, abandoned = Deaf(), threading.Event()
    with clock.Clock(deaf, 0, abandoned.set):  # pyright: ignore[reportArgumentType]
        assert abandoned.wait(10)
    assert deaf.interrupted == 1


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("ISIN = 'DE007'", 1),
        ("'DE007' = ISIN", 1),
        ("ISIN BETWEEN 'DE007' AND 'DE009'", 3),
        ("ISIN > 'DE007' AND ISIN <= 'DE009' AND Price > 0", 2),
        ("ISIN >= 'DE498'", 2),
        ("ISIN < 'DE002'", 2),
        ("ISIN IN ('DE007', 'DE400')", 2),
        ("ISIN = 'DE007' OR ISIN = 'DE400'", 2),
        ("NOT ISIN = 'DE007'", 499),
        ("ISIN = 'DE007' AND ISIN = 'DE008'", 0),
        ("latest.ISIN = 'DE007'", 1),
        ("ISIN LIKE 'DE00%'", 10),
    ],
)
def test_keys_of_a_table(ask: Ask, where: str, count: int) -> None:
    assert ask(f"SELECT count(*) FROM latest WHERE {where}") == [(count,)]


KEYS = {
    "id": [-(1 << 63), -1, 0, 1, 7, (1 << 63) - 1],
    "name": ["", "a", "a\0", "é", "x" * 200, "x" * 200 + "y"],
}
CONSTANTS = {
    "id": [*KEYS["id"], 5, 1 << 63, -(1 << 63) - 1, 10**20, -(10**20)],
    "name": [f"'{text}'" for text in ("a", "b", "é", "x" * 200, "x" * 600, "", "\U0010ffff")],
}


@pytest.mark.parametrize("key", ["id", pytest.param("name", marks=pytest.mark.soak)])
def test_a_condition_on_the_key_of_a_table_finds_what_duckdb_finds(
    catalog: LakeCatalog, tmp_path: Path, key: str
) -> None:
    import duckdb

    rows = pyarrow.table({key: [value for value in KEYS[key] if value != ""]})
    with closing(LMDBStore(tmp_path / "tables")) as store, duckdb.connect() as plain:
        store.write("held", rows, key=[key])
        plain.register("held", rows)
        ask = asking(replace(catalog, tables=store, _commits={}))
        for constant, operator in product(CONSTANTS[key], ("=", "<", "<=", ">", ">=", "<>")):
            for text in (f"{key} {operator} {constant}", f"{constant} {operator} {key}"):
                query = f"SELECT {key} FROM held WHERE {text} ORDER BY ALL"
                assert ask(query) == plain.execute(query).fetchall(), query


def test_names_and_order_of_columns_and_rows_are_the_querys_own(catalog: LakeCatalog) -> None:
    text = "SELECT 1 AS a, 2 AS a, 3 AS a_1, ISIN, upper(ISIN) FROM stocks_parquet ORDER BY Price DESC"
    with run_query(text, catalog) as result:
        rows = pyarrow.Table.from_batches(list(result), result.schema)
    assert rows.column_names == ["a", "a", "a_1", "ISIN", "upper(ISIN)"]
    assert rows.column(3).to_pylist()[:3] == ["DE4", "DE3", "DE2"]
    assert len(set(result.unique_names)) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1,\n nix FROM stocks_parquet AT (VERSION => 'v1')", "line 2, column 2: .*nix"),
        ("SELECT 'é', nix FROM stocks_parquet", "line 1, column 13: .*nix"),
        ("SELECT * FROM nix", "line 1, column 15: there is no asset or table nix at main; there are latest, notes"),
        ("SELECT * FROM stocks_parquet AT (VERSION => 'nix')", "column 15: there is no branch, tag or commit 'nix'"),
        ("SELECT 1 FROM", "line 1, column 10: syntax error"),
        ("SELECT getenv('x')", "line 1, column 8: the function getenv is not allowed"),
        ("SELECT 'x'::INT", "Could not convert string 'x'"),
        ("FROM changes('stocks_parquet', 'v1')", r"column 6: write changes\("),
        ("FROM changes('stocks_parquet', 'v1', 'v2', key := 'nix')", "column 6: the key column nix is missing"),
        ("SELECT $nix", "nix"),
    ],
)
def test_error_is_one_line_with_its_place(ask: Ask, text: str, message: str) -> None:
    with pytest.raises(SqlError, match=message) as refused:
        ask(text)
    assert "\n" not in str(refused.value)


def test_values_for_names(ask: Ask) -> None:
    assert ask("SELECT $a || $b", parameters={"a": "';", "b": "--"}) == [("';--",)]
    numbers = {"a": numpy.int64(7), "b": numpy.float64(0.5), "c": True}
    assert ask("SELECT $a + 1, $b, $c", parameters=numbers) == [(8, 0.5, True)]
    assert ask("SELECT $a, $b", parameters={"a": numpy.float32(0.5), "b": numpy.bool_(True)}) == [(0.5, True)]
    with pytest.raises(SqlError, match="timedelta64"):  # It is no number, though NumPy says so.
        ask("SELECT $a", parameters={"a": numpy.timedelta64(1, "D")})


def test_values_for_refs(ask: Ask) -> None:
    old = {"old": "v1", "key": "ISIN"}
    assert ask("SELECT count(*) FROM stocks_parquet AT (VERSION => $old)", parameters=old) == [(3,)]
    changed = "SELECT count(*) FROM changes('stocks_parquet', $old, 'v2', key := $key)"
    assert ask(changed, parameters=old) == [(3,)]
    with pytest.raises(SqlError, match=r"line 1, column 43: there is no value for \$new"):
        ask("FROM stocks_parquet AT (VERSION => 'v' || $new)", parameters=old)


def test_description_and_summary(ask: Ask) -> None:
    assert [row[:2] for row in ask("DESCRIBE sales.daily")] == [("ISIN", "VARCHAR"), ("Price", "DOUBLE")]
    assert ask("SUMMARIZE stocks_parquet")[0][:4] == ("ISIN", "VARCHAR", "DE0", "DE4")


@pytest.mark.parametrize(
    "text",
    ["SELECT count(*) FROM range(1000000000) a, range(1000) b", "SELECT a.range FROM range(100000) a, range(100000) b"],
)
def test_time_is_bounded(ask: Ask, text: str) -> None:
    began = time.process_time()
    with pytest.raises(SqlError, match=r"took longer than 0.3 s|result has more than"):
        ask(text, bounds=Bounds(seconds=0.3, result_bytes=10_000_000))
    assert time.process_time() - began < 10


def test_time_to_find_a_ref_is_bounded(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_assets.sql.views._VALUE_SECONDS", 0.2)
    with pytest.raises(SqlError, match="not a constant"):
        ask("FROM stocks_parquet AT (VERSION => (SELECT count(*) FROM range(1000000000) a, range(1000) b))")


def test_memory_and_result_are_bounded(ask: Ask) -> None:
    with pytest.raises(SqlError, match="result has more than 1 MB"):
        ask("FROM range(1000000)", bounds=Bounds(result_bytes=1_000_000))
    with pytest.raises(SqlError, match=r"memory|Memory"):
        ask("SELECT list(range) FROM range(30000000)", bounds=Bounds(memory="50MB", disk="1MB"))


IN_A_ZONE = """
import pyarrow as pa
from lake_assets.nosql.expression import Expression
from lake_assets.sql.engine import open_parser
from lake_assets.sql.syntax import parse
from lake_assets.sql.views import state_of

parser = open_parser()
asked = ["'2026-11-28 08:00'", "TIMESTAMP '2026-11-28 08:00'", "DATE '2026-11-28'", "TIMESTAMPTZ '2026-11-28 08:00'"]
for text in asked:
    tree = parse(parser, f"SELECT {text}")["statements"][0]["node"]["select_list"][0]
    print(state_of(parser, "TIMESTAMP", tree, text).time.timestamp())
rows = pa.table({"a": [1]})
for _ in range(2):
    print(Expression("t", "epoch(TIMESTAMPTZ '2026-11-28 08:00') + a", rows.schema).values(rows).to_pylist())
"""


def test_a_time_without_a_zone_is_in_utc_wherever_the_machine_is() -> None:
    """A cursor of DuckDB has the machine's zone, unless the database has another one."""
    said = {
        subprocess.run(
            [sys.executable, "-c", IN_A_ZONE],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("UTC", "Asia/Tokyo", "America/New_York")
    }
    assert len(said) == 1
    assert said.pop().startswith("1795852800.0\n1795852800.0\n1795824000.0\n1795852800.0\n")
