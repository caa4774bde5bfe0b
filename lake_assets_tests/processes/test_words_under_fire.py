"""Exactly once under fire: a producer goes on sending while runs are killed, servers restart and a publish conflicts.

LAKE_FIRE scales lines and kills for a try, such as 0.1; LAKE_FIRE_SEED draws others.
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests.kafka_broker import KafkaBroker, own_broker, remove
from lake_assets_tests.lakefs_server import CREDENTIALS, LakeFSServer
from lake_assets_tests.outbox.outboxes import OutboxSpec
from lake_assets_tests.processes.conftest import StartJob, services
from lake_assets_tests.processes.words import Folder, Source, Topic, Words

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 3600)]

SCALE = float(os.environ.get("LAKE_FIRE", "1"))
SEED = int(os.environ.get("LAKE_FIRE_SEED", "30"))
LINES = round(1_000_000 * SCALE)
KILLS = max(round(30 * SCALE), 2)
VOCABULARY = [f"word{number}" for number in range(2000)]


@dataclass
class Field:
    """What is under fire: the stream, and the servers that it has."""

    words: Words
    restarts: list[tuple[str, Callable[[], None], Callable[[], None]]]
    dated: bool


@dataclass
class Producer:
    """Sends lines in small pieces, in a thread of its own, while runs go on."""

    field: Field
    draw: random.Random
    sent: int = 0
    _pool: ThreadPoolExecutor = dataclasses.field(default_factory=lambda: ThreadPoolExecutor(1))
    _shares: list[Future[None]] = dataclasses.field(default_factory=list)

    def send(self, count: int) -> Future[None]:
        """Send so many lines more, after those that it is sending."""
        count = min(count, LINES - self.sent)
        self.sent += count
        self._shares.append(self._pool.submit(self._send, count))
        return self._shares[-1]

    def finish(self) -> None:
        """Wait until all lines are there."""
        self.send(LINES)
        for share in self._shares:
            share.result()
        self._pool.shutdown()

    def _send(self, count: int) -> None:
        pieces = 6
        for piece in range(pieces):
            size = count // pieces + (piece < count % pieces)
            self.field.words.send([self._line() for _ in range(size)])
            # It sends as fast as a run takes, not as fast as it can.
            time.sleep(self.draw.uniform(0, 4))

    def _line(self) -> str:
        line = " ".join(self.draw.choices(VOCABULARY, k=self.draw.randrange(9)))
        return f"2026-11-22T10:0{self.draw.randrange(10)}:00Z {line}" if self.field.dated else line


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    broker = own_broker()
    try:
        broker.start()
        yield broker
    finally:
        remove(broker)


@pytest.fixture(params=["files", pytest.param("kafka", marks=pytest.mark.services)])
def through(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["embedded", pytest.param("lakefs", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, through: str, start_any_job: StartJob, tmp_path: Path) -> Field:
    """The stream on each lake, through files and through Kafka."""
    home = tmp_path / "home"
    # The first lines may be an hour older than the last.
    given = {"WORDS_WATERMARK": "86400"}
    restarts: list[tuple[str, Callable[[], None], Callable[[], None]]] = []
    if through == "kafka":
        broker: KafkaBroker = request.getfixturevalue("broker")
        restarts += [("broker", broker.stop, broker.start), ("broker", broker.kill, broker.start)]
        source: Source = Topic(broker)
        outbox = OutboxSpec(f"kafka://{broker.servers}/testConsumer")
    else:
        source = Folder(tmp_path / "lines")
        outbox = OutboxSpec(str(home / "words" / "testConsumer.jsonl"))
    if request.param == "embedded":
        # It has no server: those that are killed at work are all that can go away.
        def open_lake() -> Lake:
            return GitLake(home)
    else:
        server: LakeFSServer = request.getfixturevalue("server")
        restarts += [("lakeFS", server.stop, server.start)] * 2
        given |= services(server, SPARK_MASTER="local[2]")

        def open_lake() -> Lake:
            return LakeFSLake(server.endpoint, *CREDENTIALS, "lake")

    words = Words(start_any_job, home, source, outbox, open_lake, given)
    return Field(words, restarts, through == "files")


def test_every_line_is_counted_once_and_every_published_update_delivered_once(place: Field) -> None:
    print(f"\nseed {SEED}, {LINES} lines, {KILLS} kills", flush=True)
    draw, words = random.Random(SEED), place.words
    producer = Producer(place, random.Random(SEED + 1))
    share = LINES // (KILLS + len(place.restarts) + 4)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s: {what}", flush=True)

    # How long a run takes that is left in peace, and when it begins to work.
    producer.send(share).result()
    started = time.monotonic()
    first = words.start()
    first.wait_for_line("word_counts - STEP_START")
    work = time.monotonic() - started
    first.succeed()
    whole = time.monotonic() - started
    say(f"the first run took {whole:.0f} s, {work:.0f} s of them to begin")

    killed = ended = 0
    # Spread over the kills, and one conflict half way.
    restarts = [(number * KILLS // len(place.restarts), *restart) for number, restart in enumerate(place.restarts)]
    conflicted = False
    while killed < KILLS:
        while restarts and killed >= restarts[0][0]:
            _, what, stop, start = restarts.pop(0)
            producer.send(share)
            job = words.start()
            job.ends_within(draw.uniform(work, whole))
            stop()
            time.sleep(draw.uniform(0, 5))
            start()
            say(f"{what} restarted in a run, which {'ended well' if job.wait() == 0 else 'failed'}")
        if killed >= KILLS // 2 and not conflicted:
            conflicted = True
            producer.send(share).result()
            make_one_conflict(words)
            say("one publish conflicted")
        producer.send(share)
        started = time.monotonic()
        job = words.start()
        group = draw.random() < 0.7
        if job.ends_within(draw.uniform(work * 0.7, whole * 1.1)):
            job.succeed()
            ended += 1
            whole = time.monotonic() - started
            # The first run of a warm worker takes longer to begin than a later one takes as a whole.
            work = min(work, whole / 2)
            say("a run ended before it was killed")
            continue
        job.kill(group=group)
        assert job.wait() == -9
        killed += 1
        say(f"kill {killed} after {time.monotonic() - started:.1f} s, {'group' if group else 'alone'}")

    producer.finish()
    words.start().succeed()
    assert words.sent.total() > LINES
    words.check_all_is_counted_and_delivered_once()
    words.start(job="words_recount").succeed()
    say(f"{LINES} lines, {killed} kills, {ended} runs that were left in peace between them")


def make_one_conflict(words: Words) -> None:
    """Let a run count, and another publish before it: the first is stopped meanwhile, since cores are few."""
    slow = words.start()
    slow.wait_for_line("word_counts - STEP_SUCCESS")
    os.killpg(slow.pid, signal.SIGSTOP)
    try:
        words.start().succeed()
    finally:
        os.killpg(slow.pid, signal.SIGCONT)
    assert slow.wait() != 0
    # Both may have counted the same lines: then only what lies beside the counts differs.
    refusal = "cannot be published: since it began, main got other versions of '(_beside/)?word_counts/"
    assert re.search(refusal, slow.text), slow.text[-6000:]
