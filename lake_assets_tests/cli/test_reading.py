"""`path` and `cat`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.cli.content import folder_columns, open_content
from lake_assets.lake.contract import Commit
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.cli.conftest import Command

Answer = Callable[..., Any]
Refused = Callable[..., str]


def test_path_prints_a_folder_that_outlives_the_command(command: Command, lake: GitLake) -> None:
    folder = Path(command("path", "main:stocks_parquet").stdout.rstrip("\n"))
    assert pq.read_table(folder).num_rows == 25


def test_path_says_in_json_which_commit_it_is(answer: Answer, head: Commit) -> None:
    found = answer("path", f"lake://{head.id}/blob/noise.bin")
    assert found["commit"] == head.id
    assert found["prefix"] == "blob/noise.bin"
    assert found["uri"] == f"file://{found['root']}"
    assert Path(found["root"]).read_bytes() == bytes(range(256))


def test_cat_shows_the_first_rows_with_the_columns_of_their_folders(command: Command, lake: GitLake) -> None:
    result = command("cat", "main:stocks_parquet")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["ISIN", "MaxPrice", "date", "hour"]
    assert lines[1] == ["DE0000000000", "1.5", "2017-07-28", "08"]
    assert len(lines) == 21
    assert result.stderr == "The first 20 are shown; --limit 0 shows all.\n"


def test_cat_shows_all_rows_where_asked_to(answer: Answer, lake: GitLake) -> None:
    rows = answer("cat", "main:stocks_parquet", "--limit", "0")
    assert [row["hour"] for row in rows] == ["08"] * 24 + ["09"]
    assert len(answer("cat", "main:stocks_parquet", "--limit", "25")) == 25


def test_a_prefix_within_the_partitions_has_their_columns_too(answer: Answer, lake: GitLake) -> None:
    (row,) = answer("cat", "main:stocks_parquet/date=2017-07-28/hour=09")
    assert row == {"ISIN": "DE0000000000", "MaxPrice": 1.5, "date": "2017-07-28", "hour": "09"}
    assert [row] == answer("cat", "main:stocks_parquet/date=2017-07-28/hour=09/part-0.parquet")


def test_json_on_stdout_is_one_document_even_where_rows_are_left_out(command: Command, lake: GitLake) -> None:
    result = command("cat", "main:stocks_parquet", "--limit", "1", "--json")
    assert len(json.loads(result.stdout)) == 1
    assert "The first 1 are shown" in result.stderr


def test_a_table_without_rows_shows_its_columns(command: Command, answer: Answer, lake: GitLake) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "empty") as write:
        pq.write_table(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())}), Path(write.root, "p.parquet"))
    assert command("cat", "trial:empty").stdout == "a\n"
    assert answer("cat", "trial:empty") == []


def test_cat_with_a_limit_opens_only_the_files_it_needs(lake: GitLake) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "two") as write:
        pq.write_table(pyarrow.table({"a": [1, 2]}), Path(write.root, "a.parquet"))
        Path(write.root, "b.parquet").write_text("this is no Parquet, and would fail")
    assert list(open_content(lake, "trial", "two").rows(2)) == [{"a": 1}, {"a": 2}]


def test_a_broken_parquet_file_is_named(refused: Refused, lake: GitLake) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "broken") as write:
        Path(write.root, "b.parquet").write_text("this is no Parquet")
    assert refused("cat", "trial:broken").startswith("'broken/b.parquet' cannot be read as Parquet: ")


def test_cat_prints_the_lines_of_the_one_file_of_a_folder(command: Command, answer: Answer, lake: GitLake) -> None:
    lines = ["ISIN,Name", "DE1,Köln", "DE2,K\\xf6ln"]
    assert command("cat", "main:stocks_csv").stdout_bytes == "ISIN,Name\nDE1,Köln\n".encode() + b"DE2,K\xf6ln\n"
    assert answer("cat", "main:stocks_csv/hour=08/bars.csv") == lines
    assert command("cat", "main:stocks_csv", "--limit", "1").stdout == "ISIN,Name\n"


def test_a_file_that_is_no_data_is_shown_where_it_is_named(command: Command, lake: GitLake) -> None:
    assert command("cat", "main:stocks_csv/hour=08/_manifest.json").stdout == "{}\n"


def test_a_binary_file_is_refused(refused: Refused, lake: GitLake) -> None:
    assert refused("cat", "main:blob").startswith("'blob/noise.bin' is a binary file")


def test_of_several_files_one_must_be_named(refused: Refused, lake: GitLake) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "many") as write:
        for name in ("a.txt", "b.txt"):
            Path(write.root, name).write_text(name)
    assert refused("cat", "trial:many").endswith("name one of them (many/a.txt, many/b.txt)")


def test_what_would_break_a_line_is_escaped_in_a_table(command: Command, lake: GitLake) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "odd") as write:
        values = {"text": ["a\nb\x1b[31m"], "bytes": [b"\x00"], "nested": [[{"a": 1}]], "null": [None]}
        pq.write_table(pyarrow.table(values), Path(write.root, "p.parquet"))
    assert command("cat", "trial:odd").stdout.splitlines()[1].split("  ") == [
        "a\\nb\\x1b[31m",
        '"AA=="',
        '[{"a": 1}]',
        "-",
    ]


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("a/b.parquet", {}),
        ("date=2017-07-28/hour=08/p.parquet", {"date": "2017-07-28", "hour": "08"}),
        ("name=a%20b/p=1.parquet", {"name": "a b"}),
        ("x=__HIVE_DEFAULT_PARTITION__/p.parquet", {"x": None}),
    ],
)
def test_folders_name_columns_in_hives_manner(path: str, columns: dict[str, str | None]) -> None:
    assert folder_columns(path) == columns
