"""Lines of text files in S3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lake_assets.defs.words.settings import LONGEST
from lake_assets.defs.words.text_files import dated, little_is_new, read_by, unread
from lake_assets.sources.contract import SourceError
from lake_assets.sources.s3_access import S3Access
from lake_assets.spark.compressed import cannot_decompress
from lake_assets.spark.s3a import bucket_conf
from lake_assets.spark.session import give_credentials
from lake_assets.streaming.file_list import Listed, Notes, file_url, stream_files, write_list
from lake_assets.streaming.lines import read_files
from lake_assets.streaming.query import Loss, StreamSourceError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.streaming.checkpoint_files import CheckpointFiles
    from lake_assets.streaming.position import Position


@dataclass(frozen=True)
class BucketSource:
    """A prefix of a bucket. Each object is read once and as a whole, and must not change afterwards.

    Spark's workers get the credentials with their tasks. They need none of their own.

    Parameters
    ----------
    bucket, prefix
        The bucket, and the prefix without a slash at its end, which is empty for the whole bucket.
    endpoint
        Address of the store; empty for AWS.
    longest
        Maximal length of a line in bytes. Longer ones are passed over.
    """

    bucket: str
    prefix: str
    endpoint: str = ""
    longest: int = LONGEST
    _notes: Notes = field(default_factory=Notes, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, endpoint: str, longest: int = LONGEST) -> BucketSource:
        """Return the source of an address.

        Parameters
        ----------
        text
            ``s3://bucket`` or ``s3://bucket/prefix``.
        endpoint, longest
            As above.

        Raises
        ------
        StreamSourceError
            It is no such address.
        """
        bucket, _, prefix = text.partition("://")[2].partition("/")
        prefix = prefix.strip("/")
        if not bucket or urlsplit(f"s3://{bucket}").netloc != bucket or "@" in bucket or _cannot_be_read(prefix):
            raise StreamSourceError("WORDS_SOURCE: give s3://bucket/prefix; credentials come from the AWS chain")
        return cls(bucket, prefix, endpoint.rstrip("/"), longest)

    @property
    def name(self) -> str:
        """The address."""
        return f"s3://{self._root}"

    @property
    def id(self) -> str:
        """The address with that of its store."""
        self._listed()
        return f"{self.endpoint or 's3:/'}/{self._root}"

    def lines(
        self, session: SparkSession, *, fail_on_data_loss: bool, notes: CheckpointFiles | None = None
    ) -> DataFrame:
        """Return the lines of all objects as a stream."""
        del fail_on_data_loss
        access = self._access
        conf = bucket_conf(
            self.bucket,
            self.endpoint,
            access.access_key,
            secret_key=access.secret_key,
            token=access.token,
            region=access.region,
        )
        give_credentials(session, {name.removeprefix("spark.hadoop."): value for name, value in conf.items()})
        self._notes.use(session, notes)
        self.look_again()
        return dated(read_files(stream_files(session, self._notes.place), self.longest, self._filesystem))

    def look_again(self) -> None:
        """List the objects anew for a stream that goes on."""
        files = self._listed()
        self._notes.sizes = {path: found.size for path, found in files.items()}
        write_list(self._notes.place, {file_url(path, "s3a://"): found for path, found in files.items()})

    def little_is_new(self, before: Position | None, checkpoint: CheckpointFiles) -> bool:
        """Tell whether the objects that were not read yet are small."""
        del before
        return little_is_new(self._notes.sizes, checkpoint)

    def passed_over(self) -> Sequence[str]:
        """Describe the objects that are not read, and what to do about each."""
        return [f"s3://{path}: {found}" for path, found in self._found() if isinstance(found, str)]

    def all_lines(self, session: SparkSession, position: Position, checkpoint: CheckpointFiles) -> DataFrame:
        """Return the lines of the objects that were read."""
        del position
        there = self._listed()
        read = read_by(checkpoint)
        if gone := sorted(read.keys() - there.keys()):
            raise StreamSourceError(f"s3://{gone[0]} was read, and is not there any more")
        sizes = [(f"s3a://{path}", there[path].size) for path in read]
        frame = session.createDataFrame(sizes, "path STRING, length BIGINT")
        return dated(read_files(frame, self.longest, self._filesystem))

    def loss(self, position: Position, checkpoint: CheckpointFiles) -> Loss:
        """Return the objects that were changed after they were read. Spark would never see their new lines."""
        del position
        there = self._listed()
        read = read_by(checkpoint).items()
        changed = [path for path, modified in read if path in there and there[path].modified > modified]
        return Loss(0, tuple(f"s3://{path} was changed after it was read" for path in sorted(changed)))

    def files(self) -> dict[str, float]:
        """Return the objects of the stream: bucket and key to modification time (s since 1970)."""
        return {path: found.modified / 1000 for path, found in self._listed().items()}

    @property
    def _root(self) -> str:
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    @cached_property
    def _access(self) -> S3Access:
        try:
            return S3Access.of_chain(self.endpoint)
        except SourceError as error:
            raise StreamSourceError(f"WORDS_SOURCE: {error}") from error

    @cached_property
    def _filesystem(self) -> FileSystem:
        return self._access.filesystem()

    def _listed(self) -> dict[str, Listed]:
        """Return the one list of objects, for reading, watching and recounting: bucket and key to size and time."""
        return {path: found for path, found in self._found() if not isinstance(found, str)}

    def _found(self) -> Iterator[tuple[str, Listed | str]]:
        """Yield bucket and key of each object with its status, or with why it is not read, and the remedy."""
        from pyarrow import ArrowException
        from pyarrow.fs import FileSelector

        try:
            found = self._filesystem.get_file_info(FileSelector(self._root, recursive=True))
        except (OSError, ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise StreamSourceError(
                f"WORDS_SOURCE: {self.name} cannot be listed: {reason}; check S3_ENDPOINT_URL, the bucket and "
                "the AWS credentials"
            ) from error
        for info in sorted((info for info in found if info.is_file), key=lambda info: info.path):
            key = info.path[len(self._root) + 1 :]
            hidden = next(filter(None, map(unread, key.split("/"))), None)
            why = hidden or _cannot_be_read(key) or cannot_decompress(info.path, info.size, self._filesystem)
            # Without a time, an object could not be told from a later one of its name.
            yield info.path, why or Listed(info.size, (info.mtime_ns or 0) // 1_000_000)


def _cannot_be_read(key: str) -> str | None:
    """Return why Spark cannot name an object of a key, and the remedy."""
    if {"", ".", ".."} & set(key.split("/")) and key:
        return "Spark has no path for a key with empty parts, '.' or '..'; rename it"
    return None
