"""Records of a Kinesis stream, by sequence number of each shard."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader, lost

_RECORDS = 10_000


class KinesisReader(Reader):
    """Reads a stream, shard by shard, a parent before its children. Kinesis does not say what its retention removed.

    Parameters
    ----------
    stream
        Name of the stream. Region and credentials come from the AWS chain.
    endpoint
        Address of another server than AWS. Empty for AWS.
    """

    def __init__(self, stream: str, endpoint: str = "") -> None:
        super().__init__(f"kinesis://{stream}")
        self._stream = stream
        self._endpoint = endpoint
        self._made: Any = None

    def read(self, position: Position, limit: int, *, fail_on_loss: bool = True) -> Batch:
        """Read on; see :meth:`Reader.read`."""
        with self._errors():
            created = self._created()
            known: dict[str, str] = dict(position.get("offsets", {}))
            if known and position.get("id") != created:
                if fail_on_loss:
                    raise lost(self.name, f"the stream was deleted and created again, at {created}")
                known = {}
            messages: list[Message] = []
            for shard in self._shards():
                if len(messages) < limit:
                    self._read_shard(shard, known, messages, limit)
            return Batch(messages, {"id": created, "offsets": known})

    def backlog(self, position: Position) -> int:
        """Return 1 if there is a record after a position; see :meth:`Reader.backlog`."""
        return len(self.read(position, 1, fail_on_loss=False).messages)

    def _read_shard(self, shard: str, known: dict[str, str], messages: list[Message], limit: int) -> None:
        start: Mapping[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if shard in known:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": known[shard]}
        asked = self._client.get_shard_iterator(StreamName=self._stream, ShardId=shard, **start)
        iterator: str | None = asked["ShardIterator"]
        while iterator and len(messages) < limit:
            got = self._client.get_records(ShardIterator=iterator, Limit=min(_RECORDS, limit - len(messages)))
            for record in got["Records"]:
                known[shard] = record["SequenceNumber"]
                messages.append(Message(shard, record["SequenceNumber"], record["Data"]))
            if not got["Records"] and not got.get("MillisBehindLatest"):
                return
            iterator = got.get("NextShardIterator")

    def _created(self) -> str:
        described = self._client.describe_stream_summary(StreamName=self._stream)
        return described["StreamDescriptionSummary"]["StreamCreationTimestamp"].isoformat()

    def _shards(self) -> list[str]:
        pages = self._client.get_paginator("list_shards").paginate(StreamName=self._stream)
        shards = {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}
        ordered: list[str] = []

        def add(name: str) -> None:
            shard = shards.get(name)
            if shard is not None and name not in ordered:
                for parent in ("ParentShardId", "AdjacentParentShardId"):
                    add(shard.get(parent, ""))
                ordered.append(name)

        for name in shards:
            add(name)
        return ordered

    @property
    def _client(self) -> Any:
        if self._made is None:
            import boto3

            self._made = boto3.client("kinesis", endpoint_url=self._endpoint or None)
        return self._made

    @contextmanager
    def _errors(self) -> Generator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise MessagesError(f"{self.name}: {' '.join(str(error).split())}") from error
