"""`tables` and `get`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lake_assets.nosql.contract import NoSQLStore
from lake_assets_tests.cli.conftest import Command

Answer = Callable[..., Any]
Refused = Callable[..., str]


def test_tables_say_what_they_hold_and_reflect(command: Command, answer: Answer, store: NoSQLStore) -> None:
    bars, latest = answer("tables")
    assert latest == {
        "name": "latest",
        "rows": 2,
        "key": ["ISIN"],
        "columns": {"ISIN": "string", "Date": "date32[day]", "Price": "double"},
        "source_commit": "c0ffee" * 6,
    }
    assert (bars["key"], bars["source_commit"]) == (["ISIN", "Minute"], None)
    lines = [line.split() for line in command("tables").stdout.splitlines()]
    assert lines == [
        ["name", "rows", "key", "columns", "source_commit"],
        ["bars", "1", "ISIN,", "Minute", "3", "-"],
        ["latest", "2", "ISIN", "3", "c0ffeec0ffee"],
    ]


def test_a_store_that_is_not_there_yet_is_named(refused: Refused, lake_home: Path) -> None:
    assert f"there are no tables in {lake_home / 'nosql'}" in refused("tables")


def test_get_prints_an_item(command: Command, answer: Answer, store: NoSQLStore) -> None:
    assert answer("get", "latest", "DE1") == {"ISIN": "DE1", "Date": "2017-07-28", "Price": 1.5}
    lines = [line.split() for line in command("get", "latest", "DE1").stdout.splitlines()]
    assert lines == [["column", "value"], ["ISIN", "DE1"], ["Date", "2017-07-28"], ["Price", "1.5"]]


def test_a_number_that_json_does_not_have_is_null(answer: Answer, store: NoSQLStore) -> None:
    assert answer("get", "latest", "DE2")["Price"] is None


def test_sort_keys_are_numbers_where_the_table_says_so(answer: Answer, store: NoSQLStore) -> None:
    assert answer("get", "bars", "DE1", "--sort-key", "480")["N"] == 7


def test_an_unknown_table_is_named_with_those_there_are(refused: Refused, store: NoSQLStore) -> None:
    assert refused("get", "nothing", "DE1") == "no table 'nothing'; there are bars, latest"


def test_a_key_that_is_not_there_is_named(refused: Refused, store: NoSQLStore) -> None:
    assert refused("get", "latest", "DE9") == "table 'latest' has no item with the key DE9"


def test_a_key_that_does_not_fit_the_table_is_explained(refused: Refused, store: NoSQLStore) -> None:
    assert "is ISIN, Minute: give 2 value(s), not 1" in refused("get", "bars", "DE1")
    assert (
        refused("get", "bars", "DE1", "--sort-key", "x")
        == "key column 'Minute' is an integer, but 'x' is not an integer"
    )


def test_the_log_of_a_table_is_printed(command: Command, answer: Answer, refused: Refused, store: NoSQLStore) -> None:
    (written,) = answer("tables", "--history", "latest")
    assert (written["kind"], written["put"], written["source_commit"]) == ("write", 2, "c0ffee" * 6)
    assert written["run"] == "r" * 36
    header, line = (line.split() for line in command("tables", "--history", "latest").stdout.splitlines())
    assert (header[-2:], line[-2:]) == (["source_commit", "run"], ["c0ffeec0ffee", "r" * 12])
    assert "nothing was written" in refused("tables", "--history", "nothing")


def test_a_table_is_removed_by_its_name(command: Command, refused: Refused, store: NoSQLStore) -> None:
    assert "removed table bars" in command("tables", "--drop", "bars").stderr
    assert store.tables() == ("latest",)
    assert refused("tables", "--drop", "bars") == "no table 'bars'; there are latest"
    assert "exclude each other" in refused("tables", "--drop", "latest", "--history", "latest")
