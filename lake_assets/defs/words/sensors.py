"""The sensors of the stream of words. They request a run when there are enough unread lines, or old ones."""

# No postponed annotations here: Dagster reads them when the decorators run.

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from lake_assets.defs.words.assets import POOL
from lake_assets.defs.words.jobs import words
from lake_assets.defs.words.settings import WordsSettings
from lake_assets.defs.words.source import BucketSource, FolderSource, KafkaSource, open_source
from lake_assets.defs.words.text_files import files_read
from lake_assets.io_managers.stream import START_OVER
from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.moments import utc
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import head_of
from lake_assets.runs.lock import in_flight
from lake_assets.streaming.places import places_at
from lake_assets.streaming.position import Position, read_position
from lake_assets.streaming.query import StreamSource, StreamSourceError

STREAM = "word_counts"
"""The stream whose published position is used. The windowed counts are published together with it."""

DEADLINE = 5.0
"""Seconds for an answer of Kafka. A tick of Dagster may take 60 s."""

AGES_UNTIL = 15.0
"""Seconds after which the oldest unread lines of further partitions are not looked up."""

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
"""First and longest pause in seconds after a run that published nothing. The pause doubles each time."""

INTERVAL = 3
"""Seconds between two ticks. Dagster's daemon looks about every 5 s: each time, a tick is wanted."""


@sensor(
    job=words,
    minimum_interval_seconds=INTERVAL,
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Requests a run when the topic WORDS_SOURCE has WORDS_LAG_LINES lines that the published counts lack, or one "
        "for WORDS_LAG_SECONDS; never while another run of the stream goes on."
    ),
)
def consumer_lag(
    context: SensorEvaluationContext, lake: LakeResource, kafka: KafkaResource
) -> SensorResult | SkipReason:
    """Compare the topic's end offsets with the offsets of the published commit."""
    try:
        source = open_source(WordsSettings.read().source, kafka)
        if not isinstance(source, KafkaSource):
            return SkipReason(f"WORDS_SOURCE is the folder {source.name}: the sensor new_text_files looks after it.")
        source.cluster.deadline = min(source.cluster.deadline, DEADLINE)
        return _tick(context, lake.lake, lake.branch, source, lambda _, position: _unread_lines(source, position))
    except StreamSourceError as error:
        return SkipReason(f"{error}. The next tick tries again.")


@sensor(
    job=words,
    minimum_interval_seconds=INTERVAL,
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Requests a run when the folder WORDS_SOURCE has WORDS_LAG_LINES files that the published counts lack, or one "
        "for WORDS_LAG_SECONDS; never while another run of the stream goes on."
    ),
)
def new_text_files(
    context: SensorEvaluationContext, lake: LakeResource, kafka: KafkaResource
) -> SensorResult | SkipReason:
    """Compare the folder's files with those that the published checkpoint has read."""
    try:
        source = open_source(WordsSettings.read().source, kafka)
        if not isinstance(source, (FolderSource, BucketSource)):
            return SkipReason(f"WORDS_SOURCE is {source.name}: the sensor consumer_lag looks after it.")
        return _tick(context, lake.lake, lake.branch, source, lambda head, _: _unread_files(source, lake.lake, head))
    except StreamSourceError as error:
        return SkipReason(f"{error}. The next tick tries again.")


@dataclass(frozen=True, slots=True)
class Unread:
    """The unread data of a source.

    Parameters
    ----------
    number, what
        Number of unread lines or files, and which of the two.
    id
        The current id of the source.
    oldest
        Returns the time of the oldest unread one, or None if it is not known.
    """

    number: int
    what: str
    id: str
    oldest: Callable[[float], datetime | None]


@dataclass(slots=True)
class _Waiting:
    """The content of the cursor as long as the published position stays the same.

    Parameters
    ----------
    position
        Fingerprint of the published position.
    since
        When unread data were first seen, in seconds since 1970.
    requests, requested
        Number of runs requested since, and the time of the last request in seconds since 1970.
    """

    position: str
    since: float | None = None
    requests: int = 0
    requested: float = 0.0


def _tick(
    context: SensorEvaluationContext,
    lake: Lake,
    branch: str,
    source: StreamSource,
    ask: Callable[[str, Position | None], Unread],
) -> SensorResult | SkipReason:
    if run := in_flight(context.instance, POOL):
        return SkipReason(f"Run {run} goes on: one run reads the stream at a time.")
    head = head_of(lake, branch).id
    position = read_position(lake, head, STREAM)
    published = lake.fingerprint(head, places_at(lake, head, STREAM).position)
    waiting = _waiting(context.cursor, published or "")
    unread = ask(head, position)
    if position is not None and position.source_id != unread.id:
        return SkipReason(
            f"{source.name} (id {unread.id}) is not what was read so far, {position.source} (id "
            f"{position.source_id}): it was made anew, or WORDS_SOURCE names another one. {START_OVER}."
        )
    now = time.time()
    if not unread.number:
        waiting.since = None
        return _skipped(waiting, f"Every {unread.what} of {source.name} is published.")
    waiting.since = waiting.since or now
    summary = f"{unread.number} {unread.what}(s) of {source.name} are unread"
    if waiting.requests:
        # A run that failed, or found nothing to read, is not requested again at every tick.
        pause = min(FIRST_PAUSE * 2.0 ** min(waiting.requests - 1, 30), LONGEST_PAUSE)
        left = waiting.requested + pause - now
        # Do not wait longer if the clock was set back.
        if 0 < left <= pause:
            return _skipped(
                waiting,
                f"{summary}, but {waiting.requests} run(s) requested since published nothing: see why. The next one is "
                f"requested in {left:.0f} s; at once when this sensor's cursor is reset.",
            )
    settings = WordsSettings.read()
    if unread.number < settings.lag_lines:
        limit = settings.lag_seconds
        age = now - waiting.since
        if age < limit and (oldest := unread.oldest(now - limit)) is not None:
            age = max(age, now - oldest.timestamp())
        if age < limit:
            return _skipped(
                waiting, f"{summary}, the oldest for {age:.0f} s: fewer and younger than a run is made for."
            )
    waiting.requests += 1
    waiting.requested = now
    # No run key, since after a failed run another one may be requested for the same lines.
    return SensorResult([RunRequest(tags={"words/unread": str(unread.number)})], cursor=_cursor(waiting))


def _waiting(cursor: str | None, position: str) -> _Waiting:
    """Return what the cursor says, if it is about this position. Anything may stand there, as a person can set it."""
    try:
        said = json.loads(cursor or "{}")
        known = _Waiting(
            str(said["position"]),
            None if said["since"] is None else float(said["since"]),
            int(said["requests"]),
            float(said["requested"]),
        )
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return _Waiting(position)
    usable = known.requests >= 0 and math.isfinite(known.requested) and math.isfinite(known.since or 0)
    return known if usable and known.position == position else _Waiting(position)


def _cursor(waiting: _Waiting) -> str:
    return json.dumps(asdict(waiting))


def _skipped(waiting: _Waiting, why: str) -> SensorResult:
    return SensorResult(skip_reason=why, cursor=_cursor(waiting))


def _unread_lines(source: KafkaSource, position: Position | None) -> Unread:
    state = source.state()
    read = position.offsets if position is not None else {}
    # A new partition is read from its beginning. Records that were deleted before they were read are skipped.
    begins = {part: max(read.get(str(part), 0), earliest) for part, earliest in state.earliest.items()}
    lag = {part: state.latest[part] - begin for part, begin in begins.items() if state.latest[part] > begin}

    def oldest(enough: float) -> datetime | None:
        return _oldest_line(source, {part: begins[part] for part in sorted(lag, key=lambda part: -lag[part])}, enough)

    return Unread(sum(lag.values()), "line", state.id, oldest)


def _oldest_line(source: KafkaSource, begins: dict[int, int], enough: float) -> datetime | None:
    """Return the time of the oldest record at the given offsets, looking up one partition after the other.

    The first time that is older than ``enough`` (seconds since 1970) is returned. If Kafka is slow, only some
    partitions are looked up, which is enough because the cursor stores since when there are unread lines.
    """
    from lake_assets.kafka.errors import KafkaFailure

    deadline = time.monotonic() + AGES_UNTIL
    found: datetime | None = None
    for partition, offset in begins.items():
        if time.monotonic() > deadline or (found is not None and found.timestamp() <= enough):
            break
        try:
            moment = source.cluster.timestamp_at(source.address.topic, partition, offset)
        except KafkaFailure as error:
            raise StreamSourceError(str(error)) from error
        found = moment if found is None or (moment is not None and moment < found) else found
    return found


def _unread_files(source: FolderSource | BucketSource, lake: Lake, head: str) -> Unread:
    source_id = source.id
    try:
        log = lake.path(head, f"{places_at(lake, head, STREAM).checkpoint}/sources/0")
        read = files_read(log.filesystem, log.root)
    except PathNotFound:
        read = {}
    modified = [time for path, time in source.files().items() if path not in read]

    def oldest(_: float) -> datetime | None:
        return utc(min(modified))

    return Unread(len(modified), "file", source_id, oldest)
