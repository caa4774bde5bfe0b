"""The job `words` on a home of its own: what was sent to it, and what must come of that, worked out without Spark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.outbox.contract import Update
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.outbox.outboxes import OutboxSpec
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.job_process import JobProcess
from lake_assets_tests.processes.warm_job import WarmJob


class Source(Protocol):
    """Where lines are sent to.

    Parameters
    ----------
    address
        What WORDS_SOURCE is set to.
    """

    address: str

    def send(self, lines: Sequence[str]) -> None:
        """Return when these lines are there, each once."""
        ...


class Folder:
    """A folder of files, each of them whole as soon as it can be seen."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.address = str(folder)
        self._folder = folder
        self._files = 0

    def send(self, lines: Sequence[str]) -> None:
        """Put one file there."""
        aside = self._folder / f".{self._files}"
        aside.write_text("".join(f"{line}\n" for line in lines))
        aside.rename(self._folder / f"{self._files:06}.txt")
        self._files += 1


class Topic:
    """A topic of three partitions, and an idempotent producer, which broker restarts make wait and not repeat."""

    def __init__(self, broker: KafkaBroker) -> None:
        name = broker.fresh_topic(partitions=3)
        self.address = f"kafka://{broker.servers}/{name}"
        self._name = name
        self._producer = broker.cluster().producer(**{"enable.idempotence": True, "message.timeout.ms": 900_000})

    def send(self, lines: Sequence[str]) -> None:
        """Produce them, and wait until all are acknowledged."""
        failed: list[object] = []
        acknowledged = 0

        def told(error: object, _: object) -> None:
            nonlocal acknowledged
            acknowledged += 1
            if error is not None:
                failed.append(error)

        for line in lines:
            while True:
                try:
                    self._producer.produce(self._name, line.encode(), on_delivery=told)
                    break
                except BufferError:
                    self._producer.poll(1)
        while self._producer.flush(1):
            pass
        assert (failed, acknowledged) == ([], len(lines))


class Words:
    """The job on one home, its source and its outbox.

    Parameters
    ----------
    start_job, home
        How it is started, and where.
    source, outbox
        Where lines come from, and where updates go to.
    open_lake
        Opens its lake.
    environment
        Further settings.

    Attributes
    ----------
    sent
        Count of every word of all lines sent.
    """

    def __init__(
        self,
        start_job: StartJob,
        home: Path,
        source: Source,
        outbox: OutboxSpec,
        open_lake: Callable[[], Lake],
        environment: Mapping[str, str],
    ) -> None:
        self.home = home
        self.settings = {"WORDS_SOURCE": source.address, "WORDS_SINK": outbox.address, **environment}
        self.outbox = outbox
        self.sent: Counter[str] = Counter()
        self._source = source
        self._start_job = start_job
        self._open_lake = open_lake
        self._counts: dict[str, dict[str, int]] = {}

    def send(self, lines: Sequence[str]) -> None:
        """Send lines, and remember their words."""
        self._source.send(lines)
        self.sent.update(word for line in lines for word in line.split(" ") if word)

    def start(self, killed_at: tuple[str, ...] = (), job: str = "words") -> JobProcess | WarmJob:
        """Start the job in a process of its own."""
        return self._start_job("", self.home, killed_at, job=job, **self.settings)

    def open(self) -> Lake:
        """Open the lake."""
        return self._open_lake()

    def check_whole(self, *allowed: Mapping[str, int]) -> None:
        """Check that `main` holds one of these states of counts, and that published commits are delivered in turn."""
        with closing(self.open()) as lake:
            assert list(lake.verify(MAIN)) == []
            head = lake.head(MAIN).id
            assert self.counts(lake, head) in allowed
            published = self.published(lake)
        self._check_delivered(published, whole=False)

    def check_all_is_counted_and_delivered_once(self) -> None:
        """Check that `main` and the outbox hold what was sent, and each published update was delivered once."""
        with closing(self.open()) as lake:
            assert list(lake.verify(MAIN)) == []
            counts = self.counts(lake, lake.head(MAIN).id)
            assert sum(counts.values()) == self.sent.total()
            assert counts == self.sent
            windowed = self._windowed(lake)
            # A line of a folder begins with its time, which is not counted by windows.
            assert windowed == {word: count for word, count in self.sent.items() if not word.endswith("Z")}
            published = self.published(lake)
        self._check_delivered(published, whole=True)

    def counts(self, lake: Lake, commit: str) -> dict[str, int]:
        """Return the counts that a commit holds."""
        if commit not in self._counts:
            snapshot = lake.path(commit, "word_counts")
            rows = pq.read_table(snapshot.root, filesystem=snapshot.filesystem).to_pylist()
            counts = {row["word"]: row["count"] for row in rows}
            assert len(counts) == len(rows), "a word is counted in two rows"
            self._counts[commit] = counts
        return self._counts[commit]

    def published(self, lake: Lake) -> list[list[Update]]:
        """Return the updates that each commit of `main` published, oldest first; `main` never went back."""
        heads: list[str] = []
        head = lake.head(MAIN)
        while head.parents:
            heads.append(head.id)
            head = lake.head(head.parents[0])
        found: list[list[Update]] = []
        before: dict[str, int] = {}
        for commit in reversed(heads):
            counts = self.counts(lake, commit)
            changed = sorted(word for word, count in counts.items() if count != before.get(word))
            assert all(counts[word] > before.get(word, 0) for word in changed)
            assert before.keys() <= counts.keys()
            if changed:
                found.append([Update(word, counts[word]) for word in changed])
            before = counts
        return found

    def _windowed(self, lake: Lake) -> Counter[str]:
        snapshot = lake.path(MAIN, "word_counts_windowed")
        found: Counter[str] = Counter()
        for row in pq.read_table(snapshot.root, filesystem=snapshot.filesystem).to_pylist():
            found[row["word"]] += row["count"]
        return found

    def _check_delivered(self, published: Sequence[Sequence[Update]], *, whole: bool) -> None:
        """Check what a reader of committed updates sees: those of the published commits, in turn and nothing else."""
        delivered = self.outbox.read()
        expected = [update for updates in published for update in updates]
        # Of whole commits: what is left is what the last ones published.
        ends = [0]
        for updates in published:
            ends.append(ends[-1] + len(updates))
        assert len(delivered) == ends[-1] if whole else len(delivered) in ends, (len(delivered), ends)
        different = [pair for pair in zip(delivered, expected, strict=False) if pair[0] != pair[1]]
        assert different[:3] == []
