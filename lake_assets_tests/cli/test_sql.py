"""`lake-assets sql`: rows in every format, and errors in one line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.lake.contract import Lake
from lake_assets.nosql.contract import NoSQLStore
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.cli.test_process import PROGRAM

Refused = Callable[..., str]

new_python = pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL needs Python 3.11")

QUERY = "SELECT hour, count(*) AS bars, sum(MaxPrice) FROM stocks_parquet GROUP BY 1 ORDER BY 1"


def _output(*arguments: str, text: str = "") -> bytes:
    return subprocess.run([PROGRAM, "sql", *arguments], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout


@new_python
def test_rows_as_table_csv_and_json(command: Command, lake: Lake, store: NoSQLStore) -> None:
    assert command("sql", QUERY).stdout.splitlines() == [
        "hour  bars  sum(MaxPrice)",
        "08      24           36.0",
        "09       1            1.5",
    ]
    rows = list(csv.reader(io.StringIO(command("sql", QUERY, "--format", "csv").stdout)))
    assert rows == [["hour", "bars", "sum(MaxPrice)"], ["08", "24", "36.0"], ["09", "1", "1.5"]]
    assert json.loads(command("sql", f"SELECT sum(bars) AS n FROM ({QUERY})", "--format", "json").stdout) == [{"n": 25}]
    assert command("sql", "SELECT 1 a, 2 a").stdout.splitlines() == ["a  a", "1  2"]
    assert command("sql", "SELECT ISIN FROM latest WHERE ISIN > 'DE1'").stdout.splitlines() == ["ISIN", "DE2"]


@new_python
def test_control_characters_are_escaped_in_a_table(command: Command, lake: Lake) -> None:
    assert command("sql", "SELECT 'a' || chr(27) || '[31m' AS b").stdout.splitlines() == ["b", r"a\x1b[31m"]


@new_python
@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.parametrize("value", ["'infinity'::TIMESTAMP", "'-infinity'::TIMESTAMPTZ", "['infinity'::DATE]"])
def test_a_time_that_python_has_not_is_named_with_its_column(
    command: Command, lake: Lake, value: str, form: str
) -> None:
    result = command("sql", f"SELECT 1 AS a, {value} AS b", "--format", form)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("lake-assets: column 'b' has a value that cannot be shown")
    assert line.endswith("cast it to VARCHAR")


@new_python
def test_the_end_of_a_day_is_not_its_beginning(command: Command, lake: Lake) -> None:
    query = "SELECT unnest([TIME '24:00:00', TIME '00:00:00', NULL]) AS t"
    assert command("sql", query, "--format", "csv").stdout.splitlines() == ["t", "24:00:00", "00:00:00", '""']
    shown = json.loads(command("sql", query, "--format", "json").stdout)
    assert [row["t"] for row in shown] == ["24:00:00", "00:00:00", None]


@new_python
def test_another_ref(refused: Refused, lake: Lake) -> None:
    first = list(lake.first_parents("main"))[-1].id
    line = refused("sql", "SELECT 1 FROM stocks_parquet", "--ref", first)
    assert line.startswith("line 1, column 15: there is no asset or table stocks_parquet at ")


@new_python
def test_rows_as_parquet_and_arrow(lake: Lake) -> None:
    found = pq.read_table(io.BytesIO(_output(QUERY, "--format", "parquet")))
    assert found.column("bars").to_pylist() == [24, 1]
    stream = _output("--format", "arrow", text=QUERY)
    assert pyarrow.ipc.open_stream(stream).read_all().column("hour").to_pylist() == ["08", "09"]


@new_python
def test_errors_are_one_line(command: Command, refused: Refused, lake: Lake) -> None:
    assert refused("sql", "SELECT nix\nFROM stocks_parquet").startswith("line 1, column 8: ")
    assert "only one query is run" in refused("sql", "COPY (SELECT 1) TO 'x'")
    assert refused("sql", "SELECT ISIN::INT FROM stocks_parquet", "--format", "csv")
    assert command("sql", "SELECT 1", "--format", "nix").exit_code == 2
    assert not Path("x").exists()


def test_an_old_python_is_told_in_one_line(refused: Refused, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    assert refused("sql", "SELECT 1").startswith("SQL needs Python 3.11 or newer, since DuckDB 2.0 does")


def test_the_system_bounds_the_memory_while_a_query_runs() -> None:
    import resource

    from lake_assets.cli.sql_limits import limited_process
    from lake_assets.sql.engine import Bounds

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_process(Bounds(result_bytes=1_000_000)):
        limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
        assert 4 << 30 < limit < 64 << 30
        # More than that, in one value, which DuckDB does not count.
        with pytest.raises(MemoryError):
            bytearray(limit)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
