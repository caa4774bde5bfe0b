"""Lines of byte ranges: whatever the ranges and blocks, each line is in one of them, whole."""

from __future__ import annotations

import io
import tracemalloc
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.compute import lines
from lake_assets.compute.lines import KEPT_BYTES, blocks, ranges_of, read_blocks, split_lines


def found(data: bytes, cuts: list[int], size: int) -> list[bytes]:
    """Return the lines of all ranges between cuts."""
    edges = [0, *cuts, len(data)]
    result: list[bytes] = []
    for start, end in pairwise(edges):
        stream = io.BytesIO(data)
        stream.seek(max(start - 1, 0))
        for block in blocks(stream, start, end, size):
            result += split_lines(block).to_pylist()
    return result


@given(st.text("a\r\0é\n\n", max_size=200), st.lists(st.integers(1, 300)), st.integers(4, 50))
def test_each_line_is_in_one_range_whole(text: str, cuts: list[int], size: int) -> None:
    data = text.encode()
    expected = data.split(b"\n")
    ended = [line + b"\n" for line in expected[:-1]] + [line for line in expected[-1:] if line]
    # A line that fills a block is cut off, without its end.
    whole = [line if len(line) <= size and (len(line) < size or line.endswith(b"\n")) else None for line in ended]
    result = found(data, sorted({cut for cut in cuts if cut < len(data)}), size)
    assert len(result) == len(whole)
    for line, is_whole, original in zip(result, whole, ended, strict=True):
        assert line == original if is_whole is not None else original.startswith(line)


def test_a_line_of_any_length_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        file.write(b"first\n")
        for _ in range(64):
            file.write(b"x" * (1 << 20))
        file.write(b"\nlast")
    filesystem = LocalFileSystem()
    tracemalloc.start()
    parts = ranges_of(filesystem, str(path), 10 << 20)
    result = [
        line
        for part in parts
        for block in read_blocks(filesystem, part, 1 << 20)
        for line in split_lines(block).to_pylist()
    ]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result == [b"first\n", b"x" * KEPT_BYTES, b"last"]
    assert peak < 8 << 20


def test_ranges_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    found = ranges_of(LocalFileSystem(), str(path), 40)
    assert [(part.start, part.end) for part in found] == [(0, 40), (40, 80), (80, 100)]
    path.write_bytes(b"")
    assert [(part.start, part.end) for part in ranges_of(LocalFileSystem(), str(path))] == [(0, 0)]
    assert lines.RANGE_BYTES == 128 << 20
