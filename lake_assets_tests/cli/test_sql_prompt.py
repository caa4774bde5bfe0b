# ruff: noqa: E501

"""The prompt of `lake-assets sql`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.nosql.contract import NoSQLStore

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL needs Python 3.11")


def talk(text: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Type a text at the prompt."""
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    from lake_assets.cli.query_output import print_result
    from lake_assets.cli.sql import open_catalog
    from lake_assets.cli.sql_prompt import prompt
    from lake_assets.sql.engine import run_query

    monkeypatch.setenv("HOME", str(home))
    with open_catalog("main") as catalog, create_pipe_input() as typed:
        typed.send_text(text)
        with create_app_session(input=typed, output=DummyOutput()):
            prompt(catalog, run_query, lambda result: print_result(result, "table"))


def test_queries_end_with_a_semicolon_and_errors_do_not_end_the_prompt(
    lake: Lake, store: NoSQLStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk("SELECT hour, count(*) AS n\nFROM stocks_parquet GROUP BY 1 ORDER BY 1;\n"
         "SELECT nix;\nDROP TABLE latest;\n\\d\n\\d latest\n;\nSELECT 7 AS seven;\nexit\n", monkeypatch, tmp_path)  # fmt: skip
    said = capsys.readouterr()
    lines = said.out.splitlines()[1:]
    assert lines[:3] == ["hour   n", "08    24", "09     1"]
    assert {"stocks_parquet", "latest", "ISIN"} <= set(lines)
    assert lines[-2:] == ["seven", "    7"]
    assert [line.partition(":")[0] for line in said.err.splitlines()] == [
        "line 1, column 8",
        "only one query is run, and it only reads",
    ]
    history = tmp_path / ".lake_assets_sql_history"
    assert "SELECT nix;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_the_end_of_the_input_ends_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk("SELECT 1 AS a\n\x03SELECT 2 AS b;\n\x04", monkeypatch, tmp_path)
    assert capsys.readouterr().out.splitlines()[1:] == ["b", "2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT * FROM sto", {"stocks_parquet"}),
        ("SELECT * FROM ", {"stocks_parquet", "latest"}),
        ("FROM stocks_parquet WHERE IS", {"ISIN", "IS"}),
        ("SELECT s.Max", set()),
        ("SELECT * FROM stocks_parquet s WHERE s.max", {"MaxPrice", "max"}),
        ("SELECT * FROM stocks_parquet AT (VERSION => 'ma", {"main"}),
        ("SEL", {"SELECT"}),
        ("", set()),
    ],
)
def test_names_are_completed(lake: Lake, store: NoSQLStore, text: str, words: set[str]) -> None:
    from lake_assets.cli.sql import open_catalog
    from lake_assets.cli.sql_prompt import Names

    with open_catalog("main") as catalog:
        found = list(Names(catalog).after(text))
    assert words <= {word for word, _ in found}
    assert words or not found or text.endswith("Max")
    assert all(text.lower().endswith(word[:replaced].lower()) for word, replaced in found)
