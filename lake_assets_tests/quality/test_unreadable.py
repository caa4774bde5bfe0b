"""Files whose rows cannot be read: the error names the file and the remedy, whatever the format and the reader."""

from __future__ import annotations

import gzip
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from lake_assets.quality.profiling import profile_files
from lake_assets.quality.typed import read_typed

LOCAL = LocalFileSystem()
ROWS = pa.table({"a": list(range(10_000)), "b": ["x"] * 10_000})


def damaged(content: bytes) -> bytes:
    return content[:200] + b"\xff" * 300 + content[500:]


def stored(write: Callable[[Any, Any], None]) -> bytes:
    sink = pa.BufferOutputStream()
    write(ROWS, sink)
    return sink.getvalue().to_pybytes()


PARQUET, ORC = stored(pq.write_table), stored(pyarrow.orc.write_table)
CSV, JSON = gzip.compress(b"a\n" + b"1\n" * 99_999)[:-50], gzip.compress(b'{"a": 1}\n' * 99_999)[:-50]


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("cut.parquet", PARQUET[:-50], "write it again"),
        ("damaged.parquet", damaged(PARQUET), "write it again"),
        ("empty.parquet", b"", "write it again"),
        ("cut.orc", ORC[:-50], "write it again"),
        ("damaged.orc", damaged(ORC), "write it again"),
        ("cut.csv.gz", CSV, "write it again"),
        ("plain.csv.gz", b"a\n1\n", "write it again"),
        ("cut.json.gz", JSON, "write it again"),
        ("empty.csv", b"", "give it a header"),
    ],
)
@pytest.mark.parametrize("read", [profile_files, read_typed])
def test_the_file_and_the_remedy_are_named(
    tmp_path: Path, read: Callable[..., Any], name: str, content: bytes, remedy: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read: .*; {remedy}"):
        read(LOCAL, [str(path)])


@pytest.mark.parametrize("line", ["Jane Doe,1,2,3", "1,Jane 'J: Doe,3"])
def test_an_error_shows_no_value_of_a_file(tmp_path: Path, line: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text("a,b,c\n" + f"1,2,{'y' * 1000}\n" * (18 << 10) + line + "\n")
    with pytest.raises(ValueError, match=r"people.csv cannot be read: .*CSV") as told:
        profile_files(LOCAL, [str(path)])
    shown = "".join(traceback.format_exception(told.value))
    assert "Jane" not in shown
    assert "Doe" not in shown


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n"),
        ("late.csv", b"a,b\n" + (b"1," + b"y" * 1000 + b"\n") * (18 << 10) + b"x,y\n"),
        ("mixed.json", b'{"a": 1}\n{"a": "x"}\n'),
        ("literal.jsonl", b"{'a': 1}\n"),
        ("empty.jsonl", b""),
    ],
)
def test_lines_that_are_no_rows_can_be_quarantined(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read: .*; .* or read it by `asset_of_files`"):
        profile_files(LOCAL, [str(path)])
    read_typed(LOCAL, [str(path)])


def test_a_file_that_is_not_there_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        profile_files(LOCAL, [str(tmp_path / "gone.csv")])


@pytest.mark.parametrize("read", [profile_files, read_typed])
def test_a_file_of_other_columns_is_named(tmp_path: Path, read: Callable[..., Any]) -> None:
    paths = [str(tmp_path / name) for name in ("1.csv", "2.csv")]
    for path, header in zip(paths, ("a,b", "a,c"), strict=True):
        Path(path).write_text(f"{header}\n1,2\n")
    with pytest.raises(ValueError, match=r"2\.csv has other columns than .*1\.csv: b is gone, c is new"):
        read(LOCAL, paths)


@pytest.mark.parametrize("read", [profile_files, read_typed])
def test_a_file_of_another_type_is_named(tmp_path: Path, read: Callable[..., Any]) -> None:
    paths = [str(tmp_path / name) for name in ("1.parquet", "2.parquet")]
    for path, value in zip(paths, (1, "x"), strict=True):
        pq.write_table(pa.table({"a": [value]}), path)
    with pytest.raises(ValueError, match=r"2\.parquet cannot be read: .*x.*; write it again"):
        read(LOCAL, paths)
