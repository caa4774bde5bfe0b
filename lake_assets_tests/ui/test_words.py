"""The sensors of the stream of words under the real daemon: published counts follow with nobody doing anything."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.outbox.lines import read_committed
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.outbox.outboxes import COUNTS
from lake_assets_tests.ui.server import DagsterServer, running, until
from lake_assets_tests.ui.words import counts

QUIET, PACE = 3, 3.0
"""Lines that are sent when all before are delivered; seconds between the lines that are sent whatever goes on."""


@pytest.mark.soak
def test_files_put_into_a_folder_are_counted_published_and_delivered(dagster: DagsterServer) -> None:
    output = dagster.lake_home / "words" / "testConsumer.jsonl"

    def delivered() -> dict[str, int | None]:
        return {update.key: update.value for update in read_committed(output, COUNTS)} if output.exists() else {}

    (dagster.lines / "1.txt").write_text("dog cat\ndog\n")
    with dagster.turned_on("new_text_files"):
        until("the file's counts are delivered", lambda: delivered() == {"dog": 2, "cat": 1})
    with dagster.lake() as lake:
        assert counts(lake) == {"dog": 2, "cat": 1}


@dataclass
class Watch:
    """When each word was first seen: sent, published on `main`, and by a `read_committed` consumer of the output."""

    lake: Lake
    consumer: Consumer
    sent: dict[str, float] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    delivered: dict[str, float] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    head: str = ""

    def look(self) -> None:
        """Wait a fifth of a second for an update, and look at `main`."""
        message = self.consumer.poll(0.2)
        now = time.monotonic()
        if message is not None:
            assert message.error() is None
            word = (message.key() or b"").decode()
            self.delivered.setdefault(word, now)
            self.seen[word] += 1
        head = self.lake.head(MAIN).id
        if head != self.head:
            self.head = head
            for word in counts(self.lake):
                self.published.setdefault(word, now)

    def delays(self, seen: dict[str, float], words: list[str]) -> str:
        """Return how long after it was sent each word was seen, in words."""
        delays = sorted(seen[word] - self.sent[word] for word in words)
        return f"{delays[0]:.1f} / {statistics.median(delays):.1f} / {delays[-1]:.1f} s"


@pytest.fixture
def fed(kafka: KafkaBroker, tmp_path: Path) -> Iterator[tuple[DagsterServer, str, str]]:
    """Dagster on a topic, with the topic and that of the output."""
    topic, output = kafka.fresh_topic(partitions=2), kafka.fresh_topic()
    settings = {f"WORDS_{name}": f"kafka://{kafka.servers}/{at}" for name, at in (("SOURCE", topic), ("SINK", output))}
    with running(tmp_path, tmp_path / "none", **settings) as server:
        yield server, topic, output


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_lines_sent_to_a_topic_are_counted_published_and_delivered_once_each(
    kafka: KafkaBroker, fed: tuple[DagsterServer, str, str]
) -> None:
    server, topic, output = fed
    producer, consumer = kafka.cluster().producer(), kafka.cluster().consumer()
    consumer.assign([TopicPartition(output, 0, OFFSET_BEGINNING)])
    with closing(GitLake(server.lake_home)) as lake, closing(consumer), server.turned_on("consumer_lag"):
        watch = Watch(lake, consumer)

        def send(word: str) -> None:
            producer.produce(topic, word)
            assert producer.flush(30) == 0
            watch.sent[word] = time.monotonic()

        def wait_for(*words: str) -> None:
            deadline = time.monotonic() + 300
            while not watch.delivered.keys() >= set(words):
                assert time.monotonic() < deadline, f"not delivered: {set(words) - watch.delivered.keys()}"
                watch.look()

        quiet = [f"quiet{number}" for number in range(QUIET)]
        for word in quiet:
            send(word)
            wait_for(word)
        steady = [f"steady{number}" for number in range(15)]
        for word in steady:
            send(word)
            while time.monotonic() < watch.sent[word] + PACE:
                watch.look()
        wait_for(*steady)
        assert counts(lake) == dict.fromkeys([*quiet, *steady], 1) == watch.seen
    print("\nfrom a line produced, least / median / most, to:")
    for name, words in (("each when all is delivered", quiet), (f"one each {PACE:g} s", steady)):
        print(f"  published, {name}: {watch.delays(watch.published, words)}")
        print(f"  delivered, {name}: {watch.delays(watch.delivered, words)}")
