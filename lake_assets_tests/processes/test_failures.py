"""Bad files, failing sources, full and read-only disks, wrong set-ups: what the user sees, and nothing is harmed."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult, RetryPolicy

from lake_assets import definitions, environments
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.state import DAY, check_hour, generated, key_of, latest, rows_of, table_of
from lake_assets_tests.sources.servers import Handler, running, truncated

MakeGraph = Callable[..., Graph]
HEADER, *ROWS = generated("09", 200).splitlines(keepends=True)
LAKE_FULL = "the disk of the lake is full: free space (`lake-assets clean`), then run again"


@pytest.fixture(autouse=True)
def _retries_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "calculate_delay", lambda self, attempt_num: 0)
    monkeypatch.setattr(random, "uniform", lambda low, high: low)


def file_name(hour: str) -> str:
    return f"{DAY}_BINS_XETR{hour}.csv"


def put(source: Path, hour: str, content: bytes) -> None:
    (source / DAY).mkdir(parents=True, exist_ok=True)
    (source / DAY / file_name(hour)).write_bytes(content)


def failure(result: ExecuteInProcessResult) -> tuple[str, str]:
    """Return the step that failed and what the user is told."""
    assert not result.success
    event = next(event for event in result.all_events if event.is_step_failure)
    return str(event.step_key), event.step_failure_data.error_display_string


def line_with(text: str, part: str) -> str:
    """Return the one line that says it: nobody has to put it together from several."""
    found = [line for line in text.splitlines() if part in line]
    assert found, f"no line says {part!r}:\n{text}"
    return found[0]


class Before:
    """What `main` and the table held before a failure."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._state = self._read()

    def _read(self) -> tuple[object, ...]:
        lake, store = GitLake(self._home), LMDBStore(self._home / "nosql")
        try:
            assert list(lake.verify(MAIN)) == []
            return lake.head(MAIN), table_of(store), store.source_commit("stocks_table")
        finally:
            lake.close()
            store.close()

    def check(self) -> None:
        assert self._read() == self._state


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of stock files; hour 08 is good."""
    put(tmp_path / "source", "08", generated("08", 200))
    return tmp_path / "source"


@pytest.fixture
def graph(make_graph: MakeGraph, source: Path) -> Graph:
    """A graph whose hour 08 is published."""
    graph = make_graph(source)
    assert graph.run(key_of("08")).success
    return graph


def test_a_file_that_is_not_the_exchanges_fails_the_step_with_the_difference_named(graph: Graph, source: Path) -> None:
    content = HEADER + b"".join(ROWS)
    bad = {
        "it is empty (0 bytes), without even a header": b"",
        "it is gzip data, not text": gzip.compress(content),
        "it is binary data, not text": bytes(range(256)) * 64,
        "the header's delimiter is ';' where ',' is expected": content.replace(b",", b";"),
        "its header lacks MaxPrice and has 'Highest' instead or besides": content.replace(b"MaxPrice", b"Highest"),
        "its header is cut off after": HEADER[:60],
        "it is a web page or XML document": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    }
    before = Before(graph.home)
    for difference, file in bad.items():
        put(source, "09", file)
        step, text = failure(graph.run(key_of("09")))
        assert step == "parse_stocks"
        said = line_with(text, difference)
        assert f"{key_of('09')}: {file_name('09')} is not a file of the exchange" in said
        assert "Check the source, and fetch it again" in said
    before.check()


def test_bad_rows_of_every_kind_are_quarantined_with_their_reason_and_line_and_the_rest_is_published(
    graph: Graph, source: Path
) -> None:
    row = ROWS[0].decode()
    isin = row[1:13]
    wrong_digit = isin[:11] + str((int(isin[11]) + 1) % 10)
    huge = b"x" * 10_000_000
    bad: dict[int, tuple[bytes, str]] = {
        # Line numbers are those of the file, whose header is line 1.
        5: (ROWS[0].replace(b",", b",\0", 1), "the line has a NUL byte"),
        6: (ROWS[0].replace(isin.encode(), isin.encode() + b"\xe9\xfc", 1), "the line is not UTF-8 text"),
        7: (huge + b"\n", "the line is longer than 4096 bytes"),
        8: (row.replace(isin, wrong_digit, 1).encode(), "ISIN fails its check digit"),
        9: (row.replace(isin, "", 1).encode(), "ISIN is empty"),
        10: (b",".join(ROWS[0].split(b",")[:9]) + b"\n", "the line has not 14 fields"),
        11: (b"\n", "the line is blank"),
    }
    lines = [HEADER, *ROWS]
    for number, (line, _) in sorted(bad.items()):
        lines.insert(number - 1, line)
    put(source, "09", b"".join(lines))
    result = graph.run(key_of("09"))
    assert result.success, failure(result)
    lake = GitLake(graph.home)
    place = f"day={DAY}/hour=09"
    quarantine = rows_of(lake, MAIN, f"stocks_quarantine/{place}")
    assert [
        (item["file"], item["line"], item["reason"]) for item in sorted(quarantine, key=lambda row: row["line"])
    ] == [(file_name("09"), number, reason) for number, (_, reason) in sorted(bad.items())]
    assert next(item["raw"] for item in quarantine if item["line"] == 7) == huge.decode()
    assert len(rows_of(lake, MAIN, f"stocks_parquet/{place}")) == len(ROWS)
    assert table_of(graph.store) == latest(lake, MAIN)
    counted = next(
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path == ["stocks_quarantine"]
    )
    assert counted["dagster/row_count"].value == len(bad)
    lake.close()


def test_a_file_that_is_not_there_fails_at_once_and_is_named(graph: Graph, source: Path) -> None:
    before = Before(graph.home)
    result = graph.run(key_of("10"))
    step, text = failure(result)
    assert step == "stocks_csv"
    assert line_with(text, "there is no such file").endswith(f"{source / DAY / file_name('10')}: there is no such file")
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    before.check()


def test_a_truncated_download_and_a_server_that_is_down_are_tried_again_and_then_named(
    make_graph: MakeGraph, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    content = HEADER + b"".join(ROWS)
    with running(Handler) as server:
        server.files = {f"/{DAY}/{file_name(hour)}": content for hour in ("08", "09")}
        graph = make_graph(server.address, home)
        assert graph.run(key_of("08")).success
        before = Before(home)
        asked = len(server.requests)
        server.faults.extend([truncated(1000)] * 100)
        step, text = failure(graph.run(key_of("09")))
        assert step == "stocks_csv"
        said = line_with(text, "truncated")
        assert f"{server.address}/{DAY}/{file_name('09')}: truncated" in said
        assert f"expected {len(content)} bytes, got 1000 bytes" in said
        assert len(server.requests) - asked >= 3
        before.check()
    step, text = failure(graph.run(key_of("09")))
    assert step == "stocks_csv"
    assert f"{server.address}/{DAY}/{file_name('09')}: no answer (" in line_with(text, "no answer")
    before.check()


# Disks


@contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    """Mount a small disk of its own; where this user may not, skip."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk (tmpfs)")
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small disk (tmpfs) cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        # Lazily: LMDB may have its file open until the graph is closed.
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk but for so many bytes."""
    ballast = disk / "ballast"
    ballast.touch()
    status = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(status.f_bavail * status.f_frsize - leave, 1))
    return ballast


@pytest.mark.parametrize(
    ("disk", "leave", "step", "said"),
    [
        pytest.param("", 0, "stocks_csv", LAKE_FULL, id="the-scratch's", marks=pytest.mark.soak),
        pytest.param("", 20 << 10, "stocks_csv", LAKE_FULL, id="the-fetch's", marks=pytest.mark.soak),
        pytest.param("", 100 << 10, "parse_stocks", LAKE_FULL, id="the-parts-into-the-lake"),
        pytest.param("nosql", 0, "stocks_table", "free some disk space and write again", id="the-table's"),
    ],
)
def test_a_full_disk_is_named_and_with_room_again_the_next_run_succeeds(
    make_graph: MakeGraph, tmp_path: Path, disk: str, leave: int, step: str, said: str
) -> None:
    home = tmp_path / "disk" / "home"
    # As large as the table's disk is small: LMDB writes a page anew before it gives the old one back.
    with mounted(tmp_path / "disk", "32m"), mounted(home / "nosql", "4m"):
        graph = make_graph("generated", home, STOCKS_ROWS="200")
        assert graph.run(key_of("08")).success
        before = Before(home)
        ballast = fill(home / disk, leave)
        result = graph.run(key_of("09"))
        failed, text = failure(result)
        assert failed == step
        assert str(home) in line_with(text, said)
        if disk:
            # Published all the same: the table is behind, and says so by the commit that it reflects.
            assert table_of(graph.store) == latest(GitLake(home), graph.store.source_commit("stocks_table") or "")
            assert graph.lake.head(MAIN).metadata["run_id"] == result.run_id
        else:
            before.check()
        ballast.unlink()
        assert graph.run(key_of("09")).success
        lake = GitLake(home)
        for hour in ("08", "09"):
            check_hour(lake, hour, generated(hour, 200))
        assert table_of(graph.store) == latest(lake, MAIN)
        lake.close()


def test_a_read_only_lake_says_so(make_graph: MakeGraph, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "32m") as disk:
        graph = make_graph("generated", disk / "home", STOCKS_ROWS="200")
        assert graph.run(key_of("08")).success
        before = Before(graph.home)
        graph.store.close()
        graph.lake.close()
        # By force, as a disk with errors turns read-only: what is open stays open.
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        step, text = failure(graph.run(key_of("09")))
        assert step == "stocks_csv"
        said = line_with(text, "is not writable")
        assert "mount it read-write, or give this user write permission" in said
        assert str(graph.home) in said
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        before.check()
        assert graph.run(key_of("09")).success


def test_a_lake_home_that_is_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.write_text("in the way")
    monkeypatch.setenv("LAKE_HOME", str(home))
    monkeypatch.setenv("STOCKS_SOURCE", "generated")
    job = definitions.definitions(environments.resources()).resolve_job_def("stocks")
    step, text = failure(job.execute_in_process(partition_key=key_of("09"), raise_on_error=False))
    assert step == "stocks_csv"
    assert str(home) in line_with(text, "LakeUnavailable")
    assert home.read_text() == "in the way"


# Wrong set-ups


def test_without_java_stocks_are_published_and_what_needs_it_says_in_one_line_what_to_install(
    start_job: StartJob, graph: Graph
) -> None:
    nowhere = str(graph.home / "nowhere")
    stocks = start_job(key_of("09"), graph.home, STOCKS_ROWS="200", JAVA_HOME=nowhere)
    assert stocks.wait() == 0, stocks.text
    before = Before(graph.home)
    words = start_job("", graph.home, job="words", JAVA_HOME=nowhere)
    assert words.wait() == 1
    said = line_with(words.text, "Java")
    assert "Spark 4.0 needs Java 17 or 21, and" in said
    assert "nowhere/bin/java' does not run: install it, such as `apt-get install openjdk-17-jre-headless`" in said
    before.check()


def test_a_misspelt_setting_is_named_with_what_it_may_be(start_job: StartJob, tmp_path: Path) -> None:
    job = start_job(key_of("09"), tmp_path / "home", LAKE_ENV="embeded")
    assert job.wait() == 1
    assert "LAKE_ENV is 'embeded'; it must be one of embedded" in job.text
    assert not (tmp_path / "home").exists()
