"""Where lines of text come from: a Kafka topic, or a folder of files that keeps growing."""

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

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.kafka.cluster import KafkaCluster, TopicState
    from lake_assets.resources.kafka import KafkaResource
    from lake_assets.streaming.position import Position

SAMPLE = Path(__file__).parent / "sample"
"""The small text that the project ships."""


def open_source(text: str, kafka: KafkaResource) -> StreamSource:
    """Return the source that a setting names.

    Raises
    ------
    StreamSourceError
        It is neither ``kafka://host:port/topic`` nor a folder.
    """
    if not text:
        return FolderSource(SAMPLE)
    scheme = urlsplit(text).scheme
    if scheme == "kafka":
        try:
            address = TopicAddress.parse(text)
        except ValueError as error:
            raise StreamSourceError(f"WORDS_SOURCE: {error}") from error
        return KafkaSource(address, kafka.cluster(address.servers))
    if scheme not in ("", "file"):
        raise StreamSourceError(f"WORDS_SOURCE is {text!r}: give kafka://host:port/topic, or a folder")
    return FolderSource(Path(unquote(urlsplit(text).path) if scheme else text).expanduser().absolute())


@dataclass(frozen=True)
class KafkaSource:
    """A topic; a record's value is a line, its time that of the record."""

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
        """Ask the servers for the topic.

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
        """Return the topic from its beginning as a stream; the checkpoint tells where to go on."""
        options = {
            "startingOffsets": "earliest",
            "failOnDataLoss": str(fail_on_data_loss).lower(),
            # A topic of one partition is read by all cores, too.
            "minPartitions": str(session.sparkContext.defaultParallelism),
        }
        reader = session.readStream.format("kafka").options(**self._options, **options)
        return reader.load().selectExpr(*_COLUMNS)

    def passed_over(self) -> Sequence[str]:
        """Return nothing: a record is a line, whatever is in it."""
        return ()

    def all_lines(self, session: SparkSession, position: Position, checkpoint: Path) -> DataFrame:
        """Return the records before a position."""
        del checkpoint
        ends = {self.address.topic: {int(part): offset for part, offset in position.offsets.items()}}
        starts = {self.address.topic: dict.fromkeys(ends[self.address.topic], -2)}
        options = {"startingOffsets": json.dumps(starts), "endingOffsets": json.dumps(ends)}
        return session.read.format("kafka").options(**self._options, **options).load().selectExpr(*_COLUMNS)

    def loss(self, position: Position, checkpoint: Path) -> Loss:
        """Return the offsets after a position that the topic has deleted unread."""
        del checkpoint
        state = self.state()
        lost = {
            part: state.earliest.get(int(part), offset) - offset
            for part, offset in position.offsets.items()
            if state.earliest.get(int(part), offset) > offset
        }
        # A partition that appeared since is read from offset 0 on.
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
            # Spark asks three times before it fails, a minute each unless told, and waits two minutes for records.
            "kafka.default.api.timeout.ms": str(deadline),
            "kafka.request.timeout.ms": str(deadline),
            "kafkaConsumer.pollTimeoutMs": str(3 * deadline),
            "subscribe": self.address.topic,
            # What a producer aborted is no line.
            "kafka.isolation.level": "read_committed",
        }


_COLUMNS = ("value", "timestamp", "value AS text")


@dataclass(frozen=True)
class FolderSource:
    """A folder of text files; each is read once, as a whole, and may not grow after that."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def id(self) -> str:
        """The folder: its files are known by their paths."""
        if not self.folder.is_dir():
            raise StreamSourceError(f"WORDS_SOURCE: there is no folder {str(self.folder)!r}; make it, or name another")
        return f"file://{self.folder}"

    def lines(self, session: SparkSession, *, fail_on_data_loss: bool) -> DataFrame:
        """Return the lines of all files as a stream, those of subfolders included."""
        del fail_on_data_loss
        if not can_be_escaped(self.name):
            what = f"Spark reads no folder with both ':' and a wildcard in {self.name!r}"
            raise StreamSourceError(f"WORDS_SOURCE: {what}; rename it")
        # A file is new if it was never read, however old it says that it is.
        reader = session.readStream.option("recursiveFileLookup", "true").option("maxFileAge", "36500d")
        if damaged := self._damaged():
            reader = reader.option("pathGlobFilter", any_name_but(damaged))
        return _dated(reader.format("text").schema("value STRING").load(file_uri(self.folder)))

    def passed_over(self) -> Sequence[str]:
        """Return the files and folders that Spark does not read; all others it does."""
        damaged = self._damaged()
        return [f"{show(path)}: {why}" for path, why in self._walk(damaged) if why]

    def all_lines(self, session: SparkSession, position: Position, checkpoint: Path) -> DataFrame:
        """Return the lines of the files that were read."""
        from pyspark.sql import DataFrame

        del position
        paths = list(_files_read(checkpoint))
        # Given several paths as named, Spark reads each of them as often as there are paths.
        odd = [path for path in paths if not can_be_escaped(path)]
        frames = [session.read.options(**AS_NAMED).text(f"file://{path}") for path in odd]
        if len(odd) < len(paths):
            frames.append(session.read.text([file_uri(path) for path in paths if path not in odd]))
        return _dated(reduce(DataFrame.union, frames, session.createDataFrame([], "value STRING")))

    def loss(self, position: Position, checkpoint: Path) -> Loss:
        """Return the files that were written to after they were read: Spark would never see their new lines."""
        del position
        changed: list[str] = []
        for path, modified in _files_read(checkpoint).items():
            try:
                now = Path(path).stat().st_mtime_ns // 1_000_000
            except OSError:
                continue  # Read and counted; nobody needs it any more.
            if now > modified:
                changed.append(f"{path} was changed after it was read")
        return Loss(0, tuple(sorted(changed)))

    def files(self) -> dict[str, float]:
        """Return the files that Spark would read, subfolders' included: path to time of change (s since 1970)."""
        found: dict[str, float] = {}
        for path, why in self._walk(self._damaged()):
            # What goes away meanwhile is not there.
            with suppress(OSError):
                if not why:
                    found[str(path)] = path.stat().st_mtime
        return found

    def _damaged(self) -> dict[str, Path]:
        """Return the names of the files that are not what their suffixes say, each with one such file."""
        files = (path for path, why in self._walk({}) if not why)
        return {path.name: path for path in files if cannot_decompress(path)}

    def _walk(self, damaged: Mapping[str, Path]) -> Iterator[tuple[Path, str | None]]:
        """Yield files, and why Spark does not read each; of a folder that it does not read, the folder alone.

        Parameters
        ----------
        damaged
            Names that Spark is told to pass over, in all folders.
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
    """Return why Spark does not read a file or folder of that name, and the remedy; None where it does."""
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
    """Return a path as one line of text, whatever bytes are in it."""
    return repr(os.fsencode(path).decode(errors="backslashreplace"))


def _dated(frame: DataFrame) -> DataFrame:
    """Add the time that a line begins with, null where it begins with none, and its text after that."""
    from pyspark.sql import functions as sf

    time = sf.regexp_extract("value", _ISO_TIME, 1)
    text = sf.when(time == "", sf.col("value")).otherwise(sf.expr("substring(value, length(time) + 1)"))
    return frame.withColumn("time", time).select(
        "value", sf.try_to_timestamp("time").alias("timestamp"), text.alias("text")
    )


_ISO_TIME = r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)(?: |$)"


def files_read(filesystem: FileSystem, log: str) -> dict[str, int]:
    """Return the files that a folder's stream has read: path to the time (ms since 1970) they had then.

    Parameters
    ----------
    filesystem, log
        Where the checkpoint's ``sources/0`` is; there may be none yet.
    """
    from pyarrow.fs import FileSelector

    batches: dict[int, str] = {}
    newest = -1
    for file in filesystem.get_file_info(FileSelector(log, allow_not_found=True)):
        number, _, suffix = file.base_name.partition(".")
        # Every tenth file of the log holds all before it.
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
