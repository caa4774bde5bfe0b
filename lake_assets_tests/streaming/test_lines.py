"""Lines of files in bounded memory: where they begin and end, and how long they may be."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lake_assets.streaming import lines as module
from lake_assets.streaming.file_list import file_url
from lake_assets.streaming.lines import blocks_of, lines_of

TEXT = st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\r", b"\r\n", b"\xff", b" "]), max_size=30).map(b"".join)


def expected(text: bytes, longest: int) -> list[bytes | None]:
    return [line if len(line) <= longest else None for line in text.splitlines()]


def flat(lines: Iterator[list[bytes | None]]) -> list[bytes | None]:
    return [line for some in lines for line in some]


@given(TEXT, st.integers(1, 4), st.integers(0, 6))
@example(b"aaa\r\nb", 4, 2)
def test_lines_are_those_of_the_text_however_it_is_cut(text: bytes, size: int, longest: int) -> None:
    blocks = (text[place : place + size] for place in range(0, len(text), size))
    assert flat(lines_of(blocks, longest)) == expected(text, longest)


@given(TEXT, st.integers(1, 9), st.integers(0, 6), st.integers(1, 4))
def test_ranges_of_a_file_have_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, width: int, longest: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("words") / "x.txt"
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = [
            line
            for first in range(0, max(len(text), 1), width)
            for line in flat(lines_of(blocks_of(str(path), first, first + width, longest), longest))
        ]
    assert found == expected(text, longest)


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("gz", gzip.compress), ("GZ", gzip.compress), ("bz2", bz2.compress), ("deflate", zlib.compress), ("txt", bytes)],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_a_file_is_decompressed_by_its_name(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes], parts: int
) -> None:
    path = tmp_path / f"x.{suffix}"
    text = b"\xef\xbb\xbfone\ntwo\r\n" + b"three" * 100_000
    path.write_bytes(compress(text) + (compress(b"\nfour") if parts == 2 else b""))
    last = [b"four"] * (parts - 1)
    assert flat(lines_of(blocks_of(str(path), 0, 1 << 30, 1 << 20), 1 << 20)) == [
        b"one",
        b"two",
        b"three" * 100_000,
        *last,
    ]


def printed(program: str, path: Path) -> list[str]:
    """Return the lines that a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("suffix", ["gz", "txt"])
def test_a_line_of_300_mb_needs_no_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    with gzip.open(path, "wb", 1) if suffix == "gz" else path.open("wb") as file:
        for _ in range(300):
            file.write(b"x" * (1 << 20))
        file.write(b"\nafter\n")
    program = (
        "import resource, sys\n"
        "from lake_assets.streaming.lines import blocks_of, lines_of\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for lines in lines_of(blocks_of(sys.argv[1], 0, 1 << 40, 1 << 22), 1 << 22):\n"
        "    print(lines)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    *told, more = printed(program, path)
    assert "".join(told).replace("][", ", ") == "[None, b'after']"
    assert int(more) < 64 * 1024


def test_a_file_that_ends_too_early_is_an_error(tmp_path: Path) -> None:
    for name, data in {
        "x.gz": gzip.compress(b"x" * 100),
        "x.bz2": bz2.compress(b"x"),
        "x.deflate": zlib.compress(b"x"),
    }.items():
        path = tmp_path / name
        path.write_bytes(data[:-3])
        with pytest.raises((EOFError, OSError)):
            flat(lines_of(blocks_of(str(path), 0, 1 << 30, 10), 10))


def test_a_worker_reads_lines_without_loading_pandas(tmp_path: Path) -> None:
    text, ranges = tmp_path / "text", tmp_path / "ranges"
    text.write_bytes(b"one\n\nother\r\n")
    schema = pyarrow.schema({"path": pyarrow.string(), "first": pyarrow.int64()})
    with pyarrow.ipc.new_file(str(ranges), schema) as file:
        file.write(pyarrow.record_batch({"path": [f"file:{text}"], "first": [0]}))
    program = (
        "import sys, pyarrow.ipc\n"
        "from lake_assets.streaming import lines\n"
        "ranges = pyarrow.ipc.open_file(sys.argv[1])\n"
        "print([read.to_pydict() for read in lines._read_ranges([ranges.get_batch(0)], 5, None)])\n"
        "print('pandas' in sys.modules)\n"
    )
    found, pandas = printed(program, ranges)
    assert found == str([{"value": [b"one", b"", b"other"], "too_long": [None] * 3}])
    assert pandas == "False"


@given(st.lists(st.none() | st.binary(max_size=3), min_size=1, max_size=20))
def test_lines_are_a_column_as_they_are(lines: list[bytes | None]) -> None:
    column = module.column_of(lines)
    column.validate(full=True)
    assert column.to_pylist() == lines


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/a b%20.txt", "file:///a%20b%2520.txt"),
        ("/log_08:00,{x}[1]*?#.txt", "file:///log_08:00,%7Bx%7D%5B1%5D*%3F%23.txt"),
        ("/Köln/東京🙂\n\\", "file:///Köln/東京🙂%0A%5C"),
        ("/no\u00a0break\u2028\u0085", "file:///no%C2%A0break%E2%80%A8%C2%85"),
    ],
)
def test_a_url_is_written_as_java_writes_it(path: str, url: str) -> None:
    assert file_url(path) == url
