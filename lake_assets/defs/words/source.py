"""The source of lines of text: a Kafka topic, or a growing folder of files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lake_assets.kafka.address import TopicAddress
from lake_assets.spark.compressed import any_name_but, cannot_decompress
from lake_assets.spark.session import AS_NAMED, can_be_escaped, file_uri
from lake_assets.streaming.query import Loss, StreamSource, StreamSourceError
from lake_assets.text.masking import mask, unclear_user_part

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.kafka.cluster import KafkaCluster, TopicState
    from lake_assets.resources.kafka import KafkaResource
    from lake_assets.streaming.position import Position

SAMPLE = Path(__file__).parent / "sample"
"""The sample text of the project."""


def open_source(text: str, kafka: KafkaResource) -> StreamSource:
    """Return the source of a setting.

    Parameters
    ----------
    text
        ``kafka://host:port/topic``, or a folder. Empty for the sample text.
    kafka
        Connection settings of Kafka.

    Raises
    ------
    StreamSourceError
        The setting is neither the URL of a topic nor a folder.
    """
    if not text:
        return FolderSource(SAMPLE)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme != "kafka" and (problem := unclear_user_part(text)):
        raise StreamSourceError(f"WORDS_SOURCE: {problem}")
    if scheme == "kafka":
        try:
            address = TopicAddress.parse(text)
        except ValueError as error:
            raise StreamSourceError(f"WORDS_SOURCE: {error}") from error
        return KafkaSource(address, kafka.cluster(address.servers))
    if scheme not in ("", "file"):
        raise StreamSourceError(f"WORDS_SOURCE is {mask(text)!r}: give kafka://host:port/topic, or a folder")
    return FolderSource(Path(unquote(urlsplit(text).path) if scheme else text).expanduser().absolute())


@dataclass(frozen=True)
class KafkaSource:
    """A topic. Each record is a line, with the record's value and time."""

    address: TopicAddress
    cluster: KafkaCluster

    @property
    def name(self) -> str:
        """The topic's URL."""
        return str(self.address)

    @property
    def id(self) -> str:
        """The topic's id."""
        return self.state().id

    def state(self) -> TopicState:
        """Return the state of the topic.

        Raises
        ------
        StreamSourceError
            There is no such topic, or the servers do not answer.
        """
        from lake_assets.kafka.errors import KafkaFailure

        try:
            return self.cluster.topic(self.address.topic)
        except KafkaFailure as error:
            raise StreamSourceError(str(error)) from error

    def lines(self, session: SparkSession, *, fail_on_data_loss: bool) -> DataFrame:
        """Return the topic as a stream. It starts at the beginning, or after the checkpoint's position."""
        options = {
            "startingOffsets": "earliest",
            "failOnDataLoss": str(fail_on_data_loss).lower(),
            # So that all cores read a topic with a single partition, too.
            "minPartitions": str(session.sparkContext.defaultParallelism),
        }
        reader = session.readStream.format("kafka").options(**self._options, **options)
        return reader.load().selectExpr(*_COLUMNS)

    def passed_over(self) -> Sequence[str]:
        """Return an empty tuple: every record is a line."""
        return ()

    def all_lines(self, session: SparkSession, position: Position, checkpoint: Path) -> DataFrame:
        """Return the records before a position."""
        del checkpoint
        ends = {self.address.topic: {int(part): offset for part, offset in position.offsets.items()}}
        starts = {self.address.topic: dict.fromkeys(ends[self.address.topic], -2)}
        options = {"startingOffsets": json.dumps(starts), "endingOffsets": json.dumps(ends)}
        return session.read.format("kafka").options(**self._options, **options).load().selectExpr(*_COLUMNS)

    def loss(self, position: Position, checkpoint: Path) -> Loss:
        """Return the offsets after a position that the topic has deleted before they were read."""
        del checkpoint
        state = self.state()
        lost = {
            part: state.earliest.get(int(part), offset) - offset
            for part, offset in position.offsets.items()
            if state.earliest.get(int(part), offset) > offset
        }
        # A new partition is read from offset 0.
        lost |= {
            str(part): earliest
            for part, earliest in state.earliest.items()
            if str(part) not in position.offsets and earliest > 0 and position.batch >= 0
        }
        places = [f"partition {part}: {count} offset(s) deleted before they were read" for part, count in lost.items()]
        return Loss(sum(lost.values()), tuple(places))

    @property
    def _options(self) -> Mapping[str, str]:
        deadline = round(self.cluster.deadline * 1000)
        return {
            **self.cluster.spark_options(),
            # By default Spark tries three times, a minute each, and waits two minutes for records.
            "kafka.default.api.timeout.ms": str(deadline),
            "kafka.request.timeout.ms": str(deadline),
            "kafkaConsumer.pollTimeoutMs": str(3 * deadline),
            "subscribe": self.address.topic,
            # Records of aborted transactions are not lines.
            "kafka.isolation.level": "read_committed",
        }


_COLUMNS = ("value", "timestamp", "value AS text")


@dataclass(frozen=True)
class FolderSource:
    """A folder of text files. Each file is read once and as a whole, and must not change afterwards."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def id(self) -> str:
        """URL of the folder. Its files are identified by their paths."""
        if not self.folder.is_dir():
            raise StreamSourceError(f"WORDS_SOURCE: there is no folder {str(self.folder)!r}; make it, or name another")
        return f"file://{self.folder}"

    def lines(self, session: SparkSession, *, fail_on_data_loss: bool) -> DataFrame:
        """Return the lines of all files as a stream, those of subfolders included."""
        del fail_on_data_loss
        if not can_be_escaped(self.name):
            what = f"Spark reads no folder with both ':' and a wildcard in {self.name!r}"
            raise StreamSourceError(f"WORDS_SOURCE: {what}; rename it")
        # A file that was never read is new, even if its modification time is old.
        reader = session.readStream.option("recursiveFileLookup", "true").option("maxFileAge", "36500d")
        if damaged := self._damaged():
            reader = reader.option("pathGlobFilter", any_name_but(damaged))
        return _dated(reader.format("text").schema("value STRING").load(file_uri(self.folder)))

    def passed_over(self) -> Sequence[str]:
        """Describe the files and folders that Spark ignores, and what to do about each."""
        damaged = self._damaged()
        return [f"{show(path)}: {why}" for path, why in self._walk(damaged) if why]

    def all_lines(self, session: SparkSession, position: Position, checkpoint: Path) -> DataFrame:
        """Return the lines of the files that were read."""
        from pyspark.sql import DataFrame

        del position
        paths = list(_files_read(checkpoint))
        # With this option and n paths, Spark would read each path n times. So these are read one by one.
        odd = [path for path in paths if not can_be_escaped(path)]
        frames = [session.read.options(**AS_NAMED).text(f"file://{path}") for path in odd]
        if len(odd) < len(paths):
            frames.append(session.read.text([file_uri(path) for path in paths if path not in odd]))
        return _dated(reduce(DataFrame.union, frames, session.createDataFrame([], "value STRING")))

    def loss(self, position: Position, checkpoint: Path) -> Loss:
        """Return the files that were changed after they were read. Spark would never see their new lines."""
        del position
        changed: list[str] = []
        for path, modified in _files_read(checkpoint).items():
            try:
                now = Path(path).stat().st_mtime_ns // 1_000_000
            except OSError:
                continue  # It was read, and may be deleted.
            if now > modified:
                changed.append(f"{path} was changed after it was read")
        return Loss(0, tuple(sorted(changed)))

    def files(self) -> dict[str, float]:
        """Return the files that Spark would read, also in subfolders: path to modification time (s since 1970)."""
        found: dict[str, float] = {}
        for path, why in self._walk(self._damaged()):
            # A file may be deleted meanwhile.
            with suppress(OSError):
                if not why:
                    found[str(path)] = path.stat().st_mtime
        return found

    def _damaged(self) -> dict[str, Path]:
        """Return the names of the files whose bytes are not what their suffix says, each with one such file."""
        files = (path for path, why in self._walk({}) if not why)
        return {path.name: path for path in files if cannot_decompress(path)}

    def _walk(self, damaged: Mapping[str, Path]) -> Iterator[tuple[Path, str | None]]:
        """Yield each file with the reason why Spark ignores it, or None. An ignored folder is yielded as a whole.

        Parameters
        ----------
        damaged
            Names that Spark is told to ignore, in all folders.
        """
        for root, folders, names in os.walk(self.folder):
            for name in sorted([*folders, *names]):
                path = Path(root, name)
                why = unread(name)
                if not why and name in damaged and name not in folders:
                    like = f"it has the name of {show(damaged[name])}, which Spark cannot read; rename either"
                    why = cannot_decompress(path) or like
                if why or name not in folders:
                    yield path, why
            folders[:] = [name for name in folders if not unread(name)]


def unread(name: str) -> str | None:
    """Return why Spark ignores a file or folder of a name, and the remedy. None if Spark reads it."""
    if name.startswith(".") or (name.startswith("_") and "=" not in name):
        return f"Spark passes over names that begin with {name[0]!r}; rename it"
    if name.endswith("._COPYING_"):
        return "Spark takes it for a copy that has not ended; rename it"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    return None


def show(path: Path) -> str:
    """Return a path as one line of printable text."""
    return repr(os.fsencode(path).decode(errors="backslashreplace"))


def _dated(frame: DataFrame) -> DataFrame:
    """Add the time at the beginning of a line, or null, and the rest of the line as text."""
    from pyspark.sql import functions as sf

    time = sf.regexp_extract("value", _ISO_TIME, 1)
    text = sf.when(time == "", sf.col("value")).otherwise(sf.expr("substring(value, length(time) + 1)"))
    return frame.withColumn("time", time).select(
        "value", sf.try_to_timestamp("time").alias("timestamp"), text.alias("text")
    )


_ISO_TIME = r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)(?: |$)"


def files_read(filesystem: FileSystem, log: str) -> dict[str, int]:
    """Return the files that a folder's stream has read: path to the modification time (ms since 1970) at that moment.

    Parameters
    ----------
    filesystem, log
        Place of the checkpoint's folder ``sources/0``, which may not exist yet.
    """
    from pyarrow.fs import FileSelector

    batches: dict[int, str] = {}
    newest = -1
    for file in filesystem.get_file_info(FileSelector(log, allow_not_found=True)):
        number, _, suffix = file.base_name.partition(".")
        # Every tenth file of the log contains all entries before it.
        if number.isdigit() and suffix in ("", "compact"):
            batches[int(number)] = file.path
            newest = max(newest, int(number)) if suffix else newest
    found: dict[str, int] = {}
    for number in sorted(number for number in batches if number >= newest):
        with filesystem.open_input_stream(batches[number]) as stream:
            entries = stream.read().decode().splitlines()[1:]
        for line in entries:
            entry = json.loads(line)
            found[unquote(urlsplit(entry["path"]).path)] = entry["timestamp"]
    return found


def _files_read(checkpoint: Path) -> dict[str, int]:
    from pyarrow.fs import LocalFileSystem

    return files_read(LocalFileSystem(), str(checkpoint / "sources" / "0"))
