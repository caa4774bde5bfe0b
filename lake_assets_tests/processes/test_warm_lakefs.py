"""Runs on lakeFS by warm workers: several in one, killed, canceled, and what the next one publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests.lakefs_server import CREDENTIALS, LakeFSServer
from lake_assets_tests.outbox.outboxes import OutboxSpec
from lake_assets_tests.processes.conftest import services, settings_of
from lake_assets_tests.processes.kill import Kill
from lake_assets_tests.processes.warm_job import WarmJob, WarmWorkers
from lake_assets_tests.processes.words import Folder, Words

pytestmark = [pytest.mark.soak, pytest.mark.services, pytest.mark.timeout(3600)]

LAKEFS = "lake_assets.lake.lakefs.repository:LakeFSLake"
KILLED = Kill("the counts are committed", "group", (f"{LAKEFS}._land", 1, "after"))


class Desk:
    """A lakeFS server, the jobs on it, and their workers."""

    def __init__(self, server: LakeFSServer, folder: Path, dagster_home: Path) -> None:
        self.home = folder / "home"
        self.dagster_home = dagster_home
        self.workers = WarmWorkers(folder, dagster_home)
        source, outbox = Folder(folder / "lines"), OutboxSpec(str(folder / "words.jsonl"))
        given = {**services(server), "WORDS_SOURCE": source.address, "WORDS_SINK": outbox.address}
        self._settings = settings_of(dagster_home, self.home, **given)
        self._server = server
        self.words = Words(self._start_words, self.home, source, outbox, self.open, services(server))

    def open(self) -> Lake:
        return LakeFSLake(self._server.endpoint, *CREDENTIALS, "lake")

    def start(self, job: str, key: str = "", killed_at: tuple[str, ...] = ()) -> WarmJob:
        return self.workers.start(job, key, self._settings, killed_at)

    def _start_words(self, key: str, home: Path, killed_at: tuple[str, ...], job: str, **_: str) -> WarmJob:
        assert home == self.home
        return self.start(job, key, killed_at)

    def stop(self, job: WarmJob) -> None:
        """Stop a run as the page does."""
        with DagsterInstance.from_config(str(self.dagster_home)) as instance:
            assert instance.run_launcher.terminate(job.run_id)


@pytest.fixture
def desk(server: LakeFSServer, tmp_path: Path, dagster_home: Path) -> Iterator[Desk]:
    desk = Desk(server, tmp_path, dagster_home)
    yield desk
    desk.workers.end()


def test_jobs_of_one_worker_publish_and_a_killed_and_a_canceled_run_leave_nothing(desk: Desk) -> None:
    words = desk.words
    words.send(["2026-11-22T10:00:00Z dog cat"])
    first = desk.start("words")
    first.succeed()
    stocks = desk.start("stocks", "2017-07-28-08:00")
    stocks.succeed()
    words.send(["2026-11-22T10:00:00Z cat"])
    second = desk.start("words")
    second.succeed()
    assert first.pid == stocks.pid == second.pid
    words.check_all_is_counted_and_delivered_once()

    published = Counter(words.sent)
    words.send(["2026-11-22T10:00:00Z bird"])
    killed = desk.start("words", killed_at=KILLED.deadly)
    KILLED.strike(killed, desk.home)
    assert killed.run().status == DagsterRunStatus.FAILURE
    words.check_whole(published)

    canceled = desk.start("words")
    canceled.wait_for_line("word_counts - STEP_START")
    desk.stop(canceled)
    assert canceled.wait() != 0
    assert canceled.run().status == DagsterRunStatus.CANCELED
    words.check_whole(published)

    last = desk.start("words")
    last.succeed()
    assert last.pid not in (first.pid, canceled.pid)
    words.check_all_is_counted_and_delivered_once()
    with closing(desk.open()) as lake:
        assert lake.changes(MAIN) == ()
        assert [item.path for item in lake.list(MAIN, "stocks_parquet")]
