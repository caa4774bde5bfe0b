"""The source of lines of text: a Kafka topic, or a growing folder of files, on disk or in S3."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lake_assets.defs.words.bucket import BucketSource
from lake_assets.defs.words.settings import LONGEST, WordsSettings
from lake_assets.defs.words.text_files import dated, little_is_new, read_by, unread
from lake_assets.kafka.address import TopicAddress
from lake_assets.settings import SourceSettings
from lake_assets.sources.links import Base, LinkRefused, show
from lake_assets.spark.compressed import cannot_decompress
from lake_assets.streaming.checkpoint_files import CheckpointFiles
from lake_assets.streaming.file_list import Listed, Notes, file_url, stream_files, write_list
from lake_assets.streaming.lines import read_files
from lake_assets.streaming.query import FEW_RECORDS, Loss, StreamSource, StreamSourceError
from lake_assets.text.masking import mask, unclear_user_part

if TYPE_CHECKING:
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
        ``kafka://host:port/topic``, ``s3://bucket/prefix``, or a folder. Empty for the sample text.
    kafka
        Connection settings of Kafka.

    Raises
    ------
    StreamSourceError
        The setting is none of these.
    """
    longest = WordsSettings.read().line_bytes
    if not text:
        return FolderSource(SAMPLE, longest)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme != "kafka" and (problem := unclear_user_part(text)):
        raise StreamSourceError(f"WORDS_SOURCE: {problem}")
    if scheme == "kafka":
        try:
            address = TopicAddress.parse(text)
        except ValueError as error:
            raise StreamSourceError(f"WORDS_SOURCE: {error}") from error
        return KafkaSource(address, kafka.cluster(address.servers), longest)
    if scheme == "s3":
        return BucketSource.parse(text, SourceSettings.read().s3_endpoint_url, longest)
    if scheme not in ("", "file"):
        raise StreamSourceError(
            f"WORDS_SOURCE is {mask(text)!r}: give kafka://host:port/topic, s3://bucket/prefix, or a folder"
        )
    folder = Path(unquote(urlsplit(text).path) if scheme else text).expanduser().absolute()
    return FolderSource(folder, longest, SourceSettings.read().links_outside)


@dataclass(frozen=True)
class KafkaSource:
    """A topic. Each record is a line, with the record's value and time."""

    address: TopicAddress
    cluster: KafkaCluster
    longest: int = LONGEST

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

    def lines(
        self, session: SparkSession, *, fail_on_data_loss: bool, notes: CheckpointFiles | None = None
    ) -> DataFrame:
        """Return the topic as a stream. It starts at the beginning, or after the checkpoint's position."""
        del notes
        options = {
            "startingOffsets": "earliest",
            "failOnDataLoss": str(fail_on_data_loss).lower(),
            # So that all cores read a topic with a single partition, too.
            "minPartitions": str(session.sparkContext.defaultParallelism),
        }
        reader = session.readStream.format("kafka").options(**self._options, **options)
        return reader.load().selectExpr(*self._columns)

    def look_again(self) -> None:
        """Do nothing: Spark asks the topic itself."""

    def little_is_new(self, before: Position | None, checkpoint: CheckpointFiles) -> bool:
        """Tell whether the topic has few records after a position."""
        del checkpoint
        state = self.state()
        read = before.offsets if before is not None else {}
        new = (end - max(read.get(str(part), 0), state.earliest.get(part, 0)) for part, end in state.latest.items())
        return sum(new) <= FEW_RECORDS

    def passed_over(self) -> Sequence[str]:
        """Return an empty tuple: every record is a line."""
        return ()

    def all_lines(self, session: SparkSession, position: Position, checkpoint: CheckpointFiles) -> DataFrame:
        """Return the records before a position."""
        del checkpoint
        ends = {self.address.topic: {int(part): offset for part, offset in position.offsets.items()}}
        starts = {self.address.topic: dict.fromkeys(ends[self.address.topic], -2)}
        options = {"startingOffsets": json.dumps(starts), "endingOffsets": json.dumps(ends)}
        return session.read.format("kafka").options(**self._options, **options).load().selectExpr(*self._columns)

    def loss(self, position: Position, checkpoint: CheckpointFiles) -> Loss:
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
    def _columns(self) -> Sequence[str]:
        # A batch of records is as small as its compression makes it, and so says nothing of a record's length.
        kept = f"CASE WHEN octet_length(value) <= {self.longest} THEN value END"
        named = f"CASE WHEN octet_length(value) > {self.longest} THEN concat('partition ', partition) END AS too_long"
        return (f"{kept} AS value", "timestamp", f"{kept} AS text", named)

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


@dataclass(frozen=True)
class FolderSource:
    """A folder of text files. Each file is read once and as a whole, and must not change afterwards.

    Parameters
    ----------
    folder
        The folder.
    longest
        Maximal length of a line in bytes. Longer ones are passed over.
    links_outside
        Whether links may lead out of the folder.
    """

    folder: Path
    longest: int = LONGEST
    links_outside: bool = False

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def id(self) -> str:
        """URL of the folder. Its files are identified by their real paths, so it is that of the real folder."""
        if not self.folder.is_dir():
            raise StreamSourceError(f"WORDS_SOURCE: there is no folder {str(self.folder)!r}; make it, or name another")
        return f"file://{os.path.realpath(self.folder)}"

    def lines(
        self, session: SparkSession, *, fail_on_data_loss: bool, notes: CheckpointFiles | None = None
    ) -> DataFrame:
        """Return the lines of all files as a stream, those of subfolders included."""
        del fail_on_data_loss
        self._notes.use(session, notes)
        self.look_again()
        return dated(read_files(stream_files(session, self._notes.place), self.longest))

    def look_again(self) -> None:
        """List the files anew for a stream that goes on."""
        files = {path: Listed.of(found) for path, found in self._listed().items()}
        self._notes.sizes = {path: found.size for path, found in files.items()}
        write_list(self._notes.place, {file_url(path): found for path, found in files.items()})

    def little_is_new(self, before: Position | None, checkpoint: CheckpointFiles) -> bool:
        """Tell whether the files that were not read yet are small."""
        del before
        return little_is_new(self._notes.sizes, checkpoint)

    @cached_property
    def _notes(self) -> Notes:
        return Notes()

    def passed_over(self) -> Sequence[str]:
        """Describe the files and folders that are not read, and what to do about each."""
        return [f"{show(path)}: {found}" for path, found in self._walk() if isinstance(found, str)]

    def all_lines(self, session: SparkSession, position: Position, checkpoint: CheckpointFiles) -> DataFrame:
        """Return the lines of the files that were read."""
        del position
        try:
            sizes = [(f"file:{path}", Path(path).stat().st_size) for path in read_by(checkpoint)]
        except OSError as error:
            raise StreamSourceError(f"{error.filename} was read, and is not there any more") from error
        return dated(read_files(session.createDataFrame(sizes, "path STRING, length BIGINT"), self.longest))

    def loss(self, position: Position, checkpoint: CheckpointFiles) -> Loss:
        """Return the files that were changed after they were read. Spark would never see their new lines."""
        del position
        changed: list[str] = []
        for path, modified in read_by(checkpoint).items():
            try:
                now = Path(path).stat().st_mtime_ns // 1_000_000
            except OSError:
                continue  # It was read, and may be deleted.
            if now > modified:
                changed.append(f"{path} was changed after it was read")
        return Loss(0, tuple(sorted(changed)))

    def files(self) -> dict[str, float]:
        """Return the files of the stream, also in subfolders: real path to modification time (s since 1970)."""
        return {path: status.st_mtime for path, status in self._listed().items()}

    def _listed(self) -> dict[str, os.stat_result]:
        """Return the one list of files, for reading, watching and recounting: real path to status."""
        return {path: found for path, found in self._walk() if not isinstance(found, str)}

    def _walk(self) -> Iterator[tuple[str, os.stat_result | str]]:
        """Yield the real path of each file with its status; each name that is not read with the reason and the remedy.

        A file or folder that has several names by links is yielded once.
        """
        base = Base(os.path.realpath(self.folder), self.links_outside)
        seen = {base.root}
        folders = [base.root]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield folder, f"it cannot be listed ({error.strerror}); check its permissions"
                continue
            for entry in found:
                if why := unread(entry.name):
                    yield entry.path, why
                    continue
                try:
                    real = base.real(entry.path) if entry.is_symlink() else entry.path
                    status = Path(real).stat()
                except LinkRefused as refused:
                    yield entry.path, str(refused)
                    continue
                except OSError:
                    continue  # It was removed meanwhile, or is a link to what was.
                if real in seen:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    seen.add(real)
                    folders.append(real)
                elif stat.S_ISREG(status.st_mode):
                    why = unread(Path(real).name) or cannot_decompress(real, status.st_size)
                    seen.add(real)
                    yield real, why or status
