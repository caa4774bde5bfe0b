from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lake_assets.defs.stocks.source import open_source
from lake_assets.sources import RetryLimits

from .conftest import HOUR, NAME
from .servers import FaultyServer, endless_lines

MEGABYTE = 1 << 20
LINES = b"a line of sixteen\n" * 1000
LARGE = 200 * MEGABYTE // len(LINES)


def assert_flat(fetch: Callable[[], Any]) -> None:
    """200 MB pass through a few of them."""
    tracemalloc.start()
    try:
        fetched = fetch()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fetched.size == LARGE * len(LINES)
    assert fetched.rows == LARGE * 1000 - 1
    assert peak < 8 * MEGABYTE


def test_a_large_local_file_is_copied_in_constant_memory(tmp_path: Path, into: Path) -> None:
    file = tmp_path / NAME
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        for _ in range(LARGE):
            out.write(LINES)
    assert_flat(lambda: open_source(str(tmp_path)).fetch(HOUR, into))


def test_a_large_http_file_is_fetched_in_constant_memory(http: FaultyServer, into: Path) -> None:
    open_source(http.address).fetch(HOUR, into)  # imports and TLS settings are not what is measured
    http.faults.append(endless_lines(LINES, LARGE))
    assert_flat(lambda: open_source(http.address).fetch(HOUR, into))


def test_a_large_object_is_fetched_in_constant_memory(
    s3_server: FaultyServer, s3_client: Callable[[], Any], into: Path
) -> None:
    source = open_source("s3://exchange/stocks", s3=s3_client, limits=RetryLimits(tries=1))
    source.fetch(HOUR, into)
    s3_server.faults.append(endless_lines(LINES, LARGE))
    assert_flat(lambda: source.fetch(HOUR, into))


def test_a_full_disk_is_named_and_nothing_stays(into: Path) -> None:
    """A limit on the size of files stands for the full disk: the kernel refuses the write just so."""
    code = f"""
import resource
from datetime import datetime, timezone
from pathlib import Path
from lake_assets.defs.stocks.source import open_source
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    open_source("").fetch(datetime(2017, 7, 28, 8, tzinfo=timezone.utc), Path({str(into)!r}))
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True)
    assert "cannot save the file from generated:2017-07-28" in done.stdout
    assert "2017-07-28_BINS_XETR08.csv" in done.stdout
    assert list(into.iterdir()) == []


def test_a_file_fetched_again_replaces_the_one_before(into: Path) -> None:
    open_source("", generator_rows=10).fetch(HOUR, into)
    open_source("", generator_rows=20).fetch(HOUR, into)
    (only,) = into.iterdir()
    assert only.read_bytes().count(b"\n") == 21
