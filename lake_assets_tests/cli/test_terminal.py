"""What commands show on a terminal: no text of the data controls it, and wide characters are aligned."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.lake.contract import Lake
from lake_assets.nosql.contract import NoSQLStore
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.cli.terminals import COLOUR, on_terminal

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\x7f\r\x00🍣"


def controls(text: str) -> list[str]:
    """Return the characters of a screen that control it, except newlines, tabs and colours."""
    text = COLOUR.sub("", text)
    return [c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@pytest.fixture
def hostile(lake: Lake, store: NoSQLStore) -> Lake:
    """A lake and a store in which whatever may be hostile is: values, columns, file names, messages, metadata."""
    _write_hostile(lake, HOSTILE)
    name = HOSTILE.replace("\0", "")
    store.write("hostile", pandas.DataFrame({"id": ["a"], name: [HOSTILE]}), key=["id"])
    return lake


def _write_hostile(lake: Lake, text: str) -> None:
    for branch, value in (("before", "x"), ("after", text)):
        lake.create_branch(branch, "main" if branch == "before" else "before")
        metadata = {"asset": text, "run_id": text, "partition": text, "code_version": text}
        with lake.write(branch, "rows", message=f"Materialize {text}", metadata=metadata) as write:
            table = pyarrow.table({"id": ["a", "a\x1b[2J"], text: [value, text]})
            pq.write_table(table, Path(write.root, "part-0.parquet"))
        with lake.write(branch, "lines", message="Write lines") as write:
            Path(write.root, "a.txt").write_bytes(
                f"{text}\n".encode("utf-8", "replace").replace(b"\0", b"") + b"\x9b\n"
            )


COMMANDS = [
    ("ls", "after"),
    ("log", "after", "--limit", "0"),
    ("log", "after", "--json"),
    ("branches",),
    ("diff", "main", "after"),
    ("diff", "before", "after", "--rows", "rows", "--key", "id"),
    ("diff", "before", "after", "--rows", "rows", "--key", "\x1b[31mred"),
    ("cat", "after:rows"),
    ("cat", "after:rows", "--json"),
    ("cat", "after:lines"),
    ("cat", "after:lines", "--json"),
    ("lineage", "rows@after"),
    ("lineage", "\x1b[2J@after"),
    ("tables",),
    ("tables", "--json"),
    ("get", "hostile", "a"),
    ("get", "hostile", "\x1b[2J"),
    ("get", "\x1b[2J", "a"),
    ("ls", "\x1b]0;x\x07"),
    ("ls", "after:\x1b[2J"),
    ("log", "--limit", "\x1b[2J"),
    ("\x1b[2J",),
    ("--module", "\x1b[2J", "ls"),
]


@pytest.mark.parametrize("columns", [40, 400])
def test_nothing_that_is_printed_controls_the_terminal(hostile: Lake, columns: int) -> None:
    for arguments in COMMANDS:
        screen = on_terminal(*arguments, columns=columns)
        assert screen.text, arguments
        assert controls(screen.text) == [], arguments


@settings(max_examples=8)
@example(text=HOSTILE)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_no_text_of_the_data_controls_the_terminal(text: str, lake: Lake) -> None:
    for branch in ("before", "after"):
        if branch in lake.branches():
            lake.delete_branch(branch)
    _write_hostile(lake, text.replace("\0", "") or "x")
    for arguments in COMMANDS[:12]:
        assert controls(on_terminal(*arguments, columns=60).text) == [], arguments


def test_a_pipe_gets_the_bytes_of_a_text_file(hostile: Lake, command: Command) -> None:
    (item,) = hostile.list("after", "lines")
    assert (
        command("cat", "after:lines", "--limit", "0").stdout_bytes
        == Path(item.physical_address.removeprefix("file://")).read_bytes()
    )
    assert command("cat", "after:lines", "--limit", "1").stdout_bytes.count(b"\n") == 1


WIDE = {
    "name": ["株式会社東京証券取引所グループ", "Köln", "e\u0301te\u0301", "🍣🍣🍣", "-"],
    "kind": ["株", "b", "c", "d", "e"],
}


@pytest.mark.parametrize("columns", [20, 36, 200])
def test_wide_characters_are_aligned_and_never_cut(lake: Lake, columns: int) -> None:
    from rich.cells import cell_len

    lake.create_branch("wide", "main")
    with lake.write("wide", "rows") as write:
        pq.write_table(pyarrow.table(WIDE), Path(write.root, "part-0.parquet"))
    lines = COLOUR.sub("", on_terminal("cat", "wide:rows", columns=columns).text).splitlines()
    shown = "".join(lines)
    assert all(name in shown for name in WIDE["name"])
    if columns >= 36:
        assert {cell_len(line[: line.rindex(kind)]) for line, kind in zip(lines[1:], WIDE["kind"], strict=True)} == {32}
        assert cell_len(lines[0][: lines[0].index("kind")]) == 32


def test_wide_characters_are_aligned_in_a_pipe(lake: Lake, command: Command) -> None:
    lake.create_branch("wide", "main")
    with lake.write("wide", "rows") as write:
        pq.write_table(pyarrow.table(WIDE), Path(write.root, "part-0.parquet"))
    lines = command("cat", "wide:rows").stdout.splitlines()
    assert lines[1] == "株式会社東京証券取引所グループ  株"
    assert lines[2] == f"Köln{' ' * 28}b"


def test_a_terminal_has_colours_unless_no_color_is_set(lake: Lake) -> None:
    for arguments in (("ls",), ("lineage", "stocks_parquet")):
        assert COLOUR.search(on_terminal(*arguments).text)
        for value, coloured in (("1", False), ("", True)):
            screen = on_terminal(*arguments, variables={"NO_COLOR": value})
            assert bool(COLOUR.search(screen.text)) == coloured
        assert "\x1b" not in on_terminal(*arguments, variables={"NO_COLOR": "1", "FORCE_COLOR": "1"}).text


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"])
def test_a_pipe_has_no_colours(lake: Lake, command: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    for arguments in (("ls",), ("lineage", "stocks_parquet"), ("doctor",), ("log",)):
        assert "\x1b" not in command(*arguments).output
