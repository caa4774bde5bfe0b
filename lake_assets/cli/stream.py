"""The command `stream words`: runs the query of the asset continuously, with Spark's own outputs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets import environments
from lake_assets.cli.errors import CommandError
from lake_assets.cli.options import not_nan
from lake_assets.cli.output import note
from lake_assets.streaming.outputs import Console, Files, Mode, Output, Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from lake_assets.streaming.kept_running import Progress
    from lake_assets.streaming.query import StreamSource

_STOP_TIMEOUT = 9
"""Seconds after which a stop does not wait for Spark any more."""

_LAG_DEADLINE = 5.0
"""Seconds that Kafka may take for the end offsets of a topic."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGPIPE)


class Kind(str, Enum):
    """Kind of output."""

    CONSOLE = "console"
    PARQUET = "parquet"
    CSV = "csv"
    KAFKA = "kafka"


def words(
    source: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS|FOLDER",
            help="kafka://host:port/topic, s3://bucket/prefix or a folder. Default: WORDS_SOURCE.",
        ),
    ] = "",
    output: Annotated[Kind, typer.Option(help="Kind of output.")] = Kind.CONSOLE,
    to: Annotated[
        str, typer.Option(metavar="ADDRESS|FOLDER", help="Output: kafka://host:port/topic, or a folder.")
    ] = "",
    mode: Annotated[
        Mode,
        typer.Option(
            "--output-mode",
            help="Rows that each micro-batch writes: changed rows (update), final rows (append), or all.",
        ),
    ] = Mode.UPDATE,
    windowed: Annotated[
        bool, typer.Option("--windowed", help="Count by windows of event time, as word_counts_windowed does.")
    ] = False,
    trigger: Annotated[
        float, typer.Option(min=0, max=86_400, callback=not_nan, help="Seconds between micro-batches; 0 for no pause.")
    ] = 1.0,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Checkpoint folder. Default: one for these options.")
    ] = None,
    fail_on_data_loss: Annotated[
        bool, typer.Option(help="Fail if the source has lost lines that were not read.")
    ] = True,
) -> None:
    """Count words until stopped by Ctrl-C or SIGTERM, which takes up to 10 s.

    This is the query of the asset, but the counts go to one of Spark's outputs and not to the lake. When it is started
    again with the same options, it continues where it stopped. For each micro-batch a line is printed to stderr.
    """
    if reason := refusal(mode, windowed):
        raise CommandError(reason)
    with _stopping() as asked:
        _run(
            _Options(
                source=source,
                output=output,
                to=to,
                mode=mode,
                windowed=windowed,
                trigger=trigger,
                checkpoint=checkpoint,
                fail_on_data_loss=fail_on_data_loss,
            ),
            asked,
        )


def refusal(mode: Mode, windowed: bool) -> str | None:
    """Return why Spark cannot write the counts in a mode. None if it can.

    Parameters
    ----------
    mode
        The output mode.
    windowed
        Whether counts are by window.
    """
    if mode is Mode.APPEND and not windowed:
        return (
            "--output-mode append writes only final rows, and a count over all time is never final: add --windowed, "
            "whose counts are final when the watermark has passed their window, or use update or complete"
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """The options of the command, which :func:`words` describes."""

    source: str
    output: Kind
    to: str
    mode: Mode
    windowed: bool
    trigger: float
    checkpoint: Path | None
    fail_on_data_loss: bool


def _run(options: _Options, asked: _Asked) -> None:
    from lake_assets.defs.words.settings import WordsSettings
    from lake_assets.streaming.kept_running import CheckpointTaken, Identity, held, start
    from lake_assets.streaming.microbatches import streaming_session
    from lake_assets.streaming.query import StreamSourceError

    try:
        lines = _source(options.source)
        source_id = lines.id
    except StreamSourceError as error:
        text = str(error)
        raise CommandError(text.replace("WORDS_SOURCE", "--source") if options.source else text) from error
    target = _output(options.output, options.to, lines)
    name, build = _query(options.windowed)
    mode = options.mode
    identity = Identity(name, lines.name, source_id, target.name, mode.value)
    folder = (options.checkpoint or environments.stream_home() / "kept" / identity.folder).expanduser().absolute()
    store = WordsSettings.read().state_store
    try:
        with held(folder, identity, target):
            kafka = isinstance(target, Topic) or lines.name.startswith("kafka:")
            spark = environments.spark_resource(kafka=kafka, s3=lines.name.startswith("s3:"))
            session = streaming_session(spark.session, store)
            rows = build(lines.lines(session, fail_on_data_loss=options.fail_on_data_loss))
            query = start(
                rows,
                target,
                mode=mode,
                checkpoint=folder,
                trigger=options.trigger,
                on_progress=lambda progress: _report(progress, lines),
            )
            # Again, since pyspark has installed its own handler for Ctrl-C.
            asked.listen(runs=True)
            for skipped in lines.passed_over()[:20]:
                note(f"not counted: {skipped}")
            note(f"counting {lines.name} in {mode.value} mode to {target.name}; checkpoint {folder}")
            _wait(query, session, asked, lines.look_again)
    except CheckpointTaken as error:
        raise CommandError(str(error)) from error


def _wait(query: StreamingQuery, session: SparkSession, asked: _Asked, look_again: Callable[[], None]) -> None:
    """Wait until the command is stopped, or the query fails."""
    from lake_assets.streaming.kept_running import stop

    try:
        while query.isActive and not asked.event.wait(0.5):
            look_again()
        if asked.event.is_set():
            stop(query, session)
        else:
            query.awaitTermination()
    except Exception as error:
        # If the whole process group was stopped, Spark's process was stopped, too, and errors are expected.
        if not asked.event.is_set():
            text = str(error).partition("JVM stacktrace")[0]
            raise CommandError(f"the stream ended: {text}") from error
    if asked.event.is_set():
        note("Stopped. The same command continues from here.")


def _report(progress: Progress, source: StreamSource) -> None:
    late = f", {progress.late} dropped as late" if progress.late else ""
    for place in progress.too_long:
        note(f"not counted: lines that are too long in {place}")
    line = (
        f"batch {progress.batch}: {progress.rows} rows, {progress.rows_per_second:.1f} rows/s, "
        f"{progress.seconds:.1f} s, lag {_lag(progress, source)}{late}"
    )
    print(line, file=sys.stderr, flush=True)


def _lag(progress: Progress, source: StreamSource) -> str:
    """Return the number of records in the source that the query has not read.

    Spark's own number is that at the start of the micro-batch, when it took all available records.
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

    # Outside of a run, the environment variables of the credentials must be resolved here.
    kafka = environments.kafka_resource().process_config_and_initialize()
    return open_source(text or WordsSettings.read().source, kafka)


def _output(kind: Kind, to: str, source: StreamSource) -> Output:
    """Return the output of the options. It must differ from the source."""
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
            raise CommandError(f"{address} is also the source, so the output would be counted, too: give another --to")
        cluster = environments.open_kafka(address.servers)
        cluster.topic(
            address.topic
        )  # Otherwise a broker that creates topics automatically would create a misspelt one.
        return Topic(cluster, address.topic, "word")
    if "://" in to:
        raise CommandError(f"--to {to}: --output {kind.value} writes to a folder")
    folder = Path(to).expanduser().absolute()
    if isinstance(source, FolderSource) and folder.is_relative_to(source.folder):
        raise CommandError(f"{folder} is in the source folder, so the output would be counted, too: give another --to")
    return Files(folder, kind.value)


def _query(windowed: bool) -> tuple[str, Callable[[DataFrame], DataFrame]]:
    """Return the name of the assets' query, and the function that builds it."""
    from lake_assets.defs.words import queries

    if not windowed:
        return queries.NAME, queries.word_counts
    windows = queries.Windows.from_settings()
    # Spark's own watermark is enough, since this query sees the whole stream.
    return windows.query, lambda lines: queries.word_counts_windowed(lines, None, windows)


class _Asked:
    """Whether SIGTERM or Ctrl-C asked the command to stop. It then stops in time, whatever Spark is doing."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._runs = False

    def listen(self, *, runs: bool) -> None:
        """Handle signals from now on. While the query runs, it is stopped first; before that, the command exits."""
        self._runs = runs
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGALRM, self._end_at_once)
        # A dead Java process is an error to handle and must not end this process.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _end(self, *_: object) -> None:
        self.event.set()
        signal.alarm(_STOP_TIMEOUT)
        if not self._runs:
            raise SystemExit(0)

    def _end_at_once(self, *_: object) -> None:
        # Spark's process ends with this one. Unfinished work is dropped, as in a crash.
        os._exit(0)


@contextmanager
def _stopping() -> Generator[_Asked]:
    """Yield the signal handlers' state. Previous handlers are restored afterwards."""
    asked = _Asked()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    asked.listen(runs=False)
    try:
        yield asked
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
