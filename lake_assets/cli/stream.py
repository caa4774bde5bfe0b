"""Command `stream words`: the query of the asset kept running, with outputs of Spark's own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets import environments
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import note
from lake_assets.streaming.outputs import Console, Files, Mode, Output, Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from lake_assets.streaming.kept_running import Progress
    from lake_assets.streaming.query import StreamSource

_PATIENCE = 9
"""Seconds after which a stop does not wait for Spark any more."""

_LAG_DEADLINE = 5.0
"""Seconds that Kafka may take to tell how far a topic has got."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGPIPE)


class Kind(str, Enum):
    """What is written to."""

    CONSOLE = "console"
    PARQUET = "parquet"
    CSV = "csv"
    KAFKA = "kafka"


def words(
    source: Annotated[
        str, typer.Option(metavar="ADDRESS|FOLDER", help="kafka://host:port/topic or a folder; WORDS_SOURCE if empty.")
    ] = "",
    output: Annotated[Kind, typer.Option(help="What is written to.")] = Kind.CONSOLE,
    to: Annotated[
        str, typer.Option(metavar="ADDRESS|FOLDER", help="Where to: kafka://host:port/topic, or a folder.")
    ] = "",
    mode: Annotated[
        Mode,
        typer.Option(
            "--output-mode",
            help="Rows that each micro-batch puts out: those that changed (update) or are final (append), or all.",
        ),
    ] = Mode.UPDATE,
    windowed: Annotated[
        bool, typer.Option("--windowed", help="Count by windows of event time, as word_counts_windowed does.")
    ] = False,
    trigger: Annotated[float, typer.Option(min=0, help="Seconds from one micro-batch to the next; 0: at once.")] = 1.0,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where it goes on from; one of its own unless given.")
    ] = None,
    fail_on_data_loss: Annotated[
        bool, typer.Option(help="Fail where the source has lost lines that were not read.")
    ] = True,
) -> None:
    """Count words until stopped: Ctrl-C or SIGTERM, within 10 s.

    The same query as the asset's, but its counts go to an output of Spark's and not to the lake. Started again with
    the same options it goes on where it stopped. A line on stderr tells of each micro-batch.
    """
    if reason := refusal(mode, windowed):
        raise CommandError(reason)
    with _stopping() as asked:
        _run(source, output, to, mode, windowed, trigger, checkpoint, fail_on_data_loss, asked)


def refusal(mode: Mode, windowed: bool) -> str | None:
    """Return why Spark cannot put the counts out in a mode; None where it can."""
    if mode is Mode.APPEND and not windowed:
        return (
            "--output-mode append puts out rows that never change again, and a count over all time may always "
            "change: add --windowed, whose counts are final when the watermark has passed their window; or take "
            "update or complete"
        )
    return None


def _run(
    source: str,
    kind: Kind,
    to: str,
    mode: Mode,
    windowed: bool,
    trigger: float,
    checkpoint: Path | None,
    fail_on_data_loss: bool,
    asked: _Asked,
) -> None:
    from lake_assets.defs.words.settings import WordsSettings
    from lake_assets.streaming.kept_running import CheckpointTaken, Identity, held, start
    from lake_assets.streaming.microbatches import streaming_session
    from lake_assets.streaming.query import StreamSourceError

    try:
        lines = _source(source)
        source_id = lines.id
    except StreamSourceError as error:
        raise CommandError(str(error).replace("WORDS_SOURCE", "--source") if source else str(error)) from error
    target = _output(kind, to, lines)
    name, build = _query(windowed)
    identity = Identity(name, lines.name, source_id, target.name, mode.value)
    folder = (checkpoint or environments.stream_home() / "kept" / identity.folder).expanduser().absolute()
    store = WordsSettings.read().state_store
    try:
        with held(folder, identity, target):
            kafka = isinstance(target, Topic) or lines.name.startswith("kafka:")
            session = streaming_session(environments.spark_resource(kafka=kafka).session, store)
            rows = build(lines.lines(session, fail_on_data_loss=fail_on_data_loss))
            query = start(rows, target, mode, folder, trigger, lambda progress: _tell(progress, lines))
            # Again: pyspark has put a handler of its own for Ctrl-C.
            asked.listen(runs=True)
            for told in lines.passed_over()[:20]:
                note(f"not counted: {told}")
            note(f"{lines.name} is counted, {mode.value} mode, to {target.name}; checkpoint {folder}")
            _wait(query, session, asked)
    except CheckpointTaken as error:
        raise CommandError(str(error)) from error


def _wait(query: StreamingQuery, session: SparkSession, asked: _Asked) -> None:
    """Wait until somebody asks for the end, or the query fails."""
    from lake_assets.streaming.kept_running import stop

    try:
        while query.isActive and not asked.event.wait(0.5):
            pass
        if asked.event.is_set():
            stop(query, session)
        else:
            query.awaitTermination()
    except Exception as error:
        # Who stops a group of processes stops Spark's, too: then it has ended in the middle of whatever it did.
        if not asked.event.is_set():
            text = str(error).partition("JVM stacktrace")[0]
            raise CommandError(f"the stream ended: {text}") from error
    if asked.event.is_set():
        note("Stopped. The same command goes on from here.")


def _tell(progress: Progress, source: StreamSource) -> None:
    late = f", {progress.late} dropped as late" if progress.late else ""
    line = (
        f"batch {progress.batch}: {progress.rows} rows, {progress.rows_per_second:.1f} rows/s, "
        f"{progress.seconds:.1f} s, lag {_lag(progress, source)}{late}"
    )
    print(line, file=sys.stderr, flush=True)


def _lag(progress: Progress, source: StreamSource) -> str:
    """Return what the source has got by now and the query has not read.

    Spark's own number is of the micro-batch's beginning, when it took all that there was.
    """
    from lake_assets.defs.words.source import KafkaSource
    from lake_assets.streaming.query import StreamSourceError

    if not isinstance(source, KafkaSource):
        return "n/a"
    source.cluster.deadline = min(source.cluster.deadline, _LAG_DEADLINE)
    try:
        latest = source.state().latest
    except StreamSourceError:
        return "unknown"
    return str(sum(max(end - progress.offsets.get(str(part), 0), 0) for part, end in latest.items()))


def _source(text: str) -> StreamSource:
    from lake_assets.defs.words.settings import WordsSettings
    from lake_assets.defs.words.source import open_source

    # Outside of a run nobody else looks up the credentials.
    kafka = environments.kafka_resource().process_config_and_initialize()
    return open_source(text or WordsSettings.read().source, kafka)


def _output(kind: Kind, to: str, source: StreamSource) -> Output:
    """Return the output that the options name; it is never what is read."""
    from lake_assets.defs.words.source import FolderSource
    from lake_assets.kafka.address import TopicAddress

    if kind is Kind.CONSOLE:
        if to:
            raise CommandError("--output console takes no --to")
        return Console()
    if not to:
        wanted = "kafka://host:port/topic" if kind is Kind.KAFKA else "FOLDER"
        raise CommandError(f"--output {kind.value} needs --to {wanted}")
    if kind is Kind.KAFKA:
        try:
            address = TopicAddress.parse(to)
        except ValueError as error:
            raise CommandError(f"--to: {error}") from error
        if str(address) == source.name:
            raise CommandError(f"{address} is what is read: what is written to it would be counted, too")
        cluster = environments.open_kafka(address.servers)
        cluster.topic(address.topic)  # Where a broker makes topics by itself, a slip of the pen would.
        return Topic(cluster, address.topic, "word")
    if "://" in to:
        raise CommandError(f"--to {to}: --output {kind.value} writes to a folder")
    folder = Path(to).expanduser().absolute()
    if isinstance(source, FolderSource) and folder.is_relative_to(source.folder):
        raise CommandError(f"{folder} is in the folder that is read: what is written to it would be counted, too")
    return Files(folder, kind.value)


def _query(windowed: bool) -> tuple[str, Callable[[DataFrame], DataFrame]]:
    """Return the query's name and what builds it, as the assets have them."""
    from lake_assets.defs.words import queries

    if not windowed:
        return queries.NAME, queries.word_counts
    windows = queries.Windows.from_settings()
    # The watermark is Spark's own: this query sees all of the stream.
    return windows.query, lambda lines: queries.word_counts_windowed(lines, None, windows)


class _Asked:
    """Whether somebody has asked for the end, by SIGTERM or Ctrl-C; which comes in good time, whatever Spark is at."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._runs = False

    def listen(self, *, runs: bool) -> None:
        """Heed signals from now on; once the query runs, it has an end of its own."""
        self._runs = runs
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGALRM, self._end_at_once)
        # A Java process that is gone is an error to deal with, not our end.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _end(self, *_: object) -> None:
        self.event.set()
        signal.alarm(_PATIENCE)
        if not self._runs:
            raise SystemExit(0)

    def _end_at_once(self, *_: object) -> None:
        # Spark's own process ends with ours. What was not finished is dropped, as by a crash.
        os._exit(0)


@contextmanager
def _stopping() -> Generator[_Asked]:
    """Yield what listens to signals; who had listened before does so again afterwards."""
    asked = _Asked()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    asked.listen(runs=False)
    try:
        yield asked
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
