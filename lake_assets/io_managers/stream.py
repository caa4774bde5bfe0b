"""Streaming aggregations: one commit holds the whole result, its latest changes, and the checkpoint."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import Failure, InputContext, MetadataValue, OutputContext
from pydantic import Field

from lake_assets.content.version import ContentDigest, algorithm
from lake_assets.frames.hive_folders import PartitionValues
from lake_assets.io_managers.inputs import FoundInput
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, Write
from lake_assets.lake.names import beside
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.manifest import read_manifest
from lake_assets.spark.session import generate_no_code
from lake_assets.streaming.checkpoint import Checkout, checkout
from lake_assets.streaming.checkpoint_files import CheckpointFiles, last_batch, offsets
from lake_assets.streaming.microbatches import (
    LATEST,
    CheckpointUnusable,
    Consumed,
    consume,
    streaming_session,
)
from lake_assets.streaming.places import StreamPlaces, places_at, places_of
from lake_assets.streaming.position import Position, read_position, write_position
from lake_assets.streaming.query import Loss, StreamQuery, StreamSourceError
from lake_assets.streaming.results import write_results
from lake_assets.streaming.working_copy import WorkingCopy, working_copy

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SHOWN = 20
"""The number of files and partitions that are named."""

_TRIES = 3
"""How often a query is started, if Spark loses workers while it reads."""

START_OVER = "To start over from the source's beginning, run it with `reset_checkpoint: true`"


class _CountedTwice(Exception):
    """Lines are in a query's numbers twice."""


@dataclass(frozen=True)
class _Run:
    """A query, and the working copy of its checkpoint; None if that is on a branch."""

    query: StreamQuery
    checkout: Checkout | None


class StreamIOManager(ParquetIOManager):
    """Runs a streaming query until it has read all of its source, and stores the result.

    An asset returns a :class:`~lake_assets.streaming.query.StreamQuery`. The asset's prefix holds all rows, as Parquet.
    The folder beside it holds the rows that this run changed, the checkpoint, and the position: how far the source was
    read. One commit holds all of them. A run starts from the checkpoint of the commit that it reads. So the result and
    the checkpoint always agree.

    Parameters
    ----------
    home
        Folder for the working copies of checkpoints. On a cluster, all machines must see it. If it is empty, they are
        on private branches of the lake, which Spark writes to directly: that needs lakeFS, and no folder.

    Examples
    --------
    >>> @asset(io_manager_key="stream_io_manager")
    ... def word_counts():
    ...     return StreamQuery("words 1", ("word",), {"word": "VARCHAR", "count": "BIGINT"}, build, source)
    """

    home: str = Field(default="", description="Folder for the working copies of checkpoints; in the lake if empty")

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Run a query, and store its result in one commit.

        Parameters
        ----------
        context
            The output.
        obj
            The query.

        Raises
        ------
        Failure
            The source does not exist, is not the source of the checkpoint, or has lost lines; the checkpoint belongs to
            another query; or Spark lost workers again and again.
        """
        if not isinstance(obj, StreamQuery):
            name = context.asset_key.to_user_string()
            raise TypeError(f"{name} returned a {type(obj).__name__}; stream_io_manager stores a StreamQuery")
        lake = self.lake.lake
        prefix = prefix_of(context.asset_key)
        with checkout(Path(self.home), lake, prefix) if self.home else nullcontext() as place:
            try:
                super().handle_output(context, _Run(obj, place))
            except (StreamSourceError, CheckpointUnusable) as error:
                raise Failure(f"{prefix}: {error}", allow_retries=False) from error

    def _committed(self, obj: Any, lake: Lake, commit: str, prefix: str) -> None:
        if obj.checkout is not None:
            obj.checkout.committed(lake, commit, places_of(prefix).checkpoint)

    def _beside(self, prefix: str) -> Sequence[str]:
        return [beside(prefix)]

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        query: StreamQuery = obj.query
        lake, prefix = self.lake.lake, target.prefix
        current, places = places_at(lake, write.base, prefix), places_of(prefix)
        before = None if query.reset else read_position(lake, write.base, prefix)
        checkpoint = current.checkpoint if before is not None else None
        for _ in range(_TRIES):
            try:
                with working_copy(obj.checkout, lake, write.base, checkpoint) as place:
                    return self._read_on(context, query, write, place, places=places, before=before)
            except _CountedTwice:
                context.log.warning("%s: Spark lost a worker and read lines again: the query starts anew", prefix)
        raise Failure(
            f"{prefix}: Spark lost workers while it read, {_TRIES} times, so its numbers of lines are not exact. "
            "Run it again when the cluster's workers last"
        )

    def _read_on(
        self,
        context: OutputContext,
        query: StreamQuery,
        write: Write,
        place: WorkingCopy,
        *,
        places: StreamPlaces,
        before: Position | None,
    ) -> dict[str, Stored]:
        """Run the query, and write its result and the checkpoint."""
        lake, prefix = self.lake.lake, places.counts
        source_id = query.source.id
        loss = _check_source(query, before, source_id, place.files)
        passed_over = query.source.passed_over()
        for skipped in passed_over[:_SHOWN]:
            context.log.warning("%s is not counted: %s", prefix, skipped)
        session = streaming_session(self._session(), query.state_store, place.files.uri)
        with tempfile.TemporaryDirectory(prefix="changes-", dir=place.scratch) as scratch:
            batches = Path(scratch)
            consumed = _consume(query, before, session, place, place.batches(batches))
            if not consumed.exact:
                raise _CountedTwice
            for skipped in consumed.too_long[:_SHOWN]:
                context.log.warning("%s: lines that are too long are not counted: %s", prefix, skipped)
            if query.source.id != source_id:
                raise StreamSourceError(
                    f"{query.source.name} was deleted and created again while it was read: run it again"
                )
            if before is not None and consumed.batches == 0:
                context.log.info("%s: nothing new at %s", prefix, query.source.name)
                place.unchanged(lake, write.base, places_at(lake, write.base, prefix).checkpoint)
                return {"": _as_before(lake, write.base, prefix, before)}
            place.fetch_batches(batches)
            counts = lake.path(write.base, places_at(lake, write.base, prefix).counts) if before is not None else None
            digest = ContentDigest(query.arrow_schema())
            written = write_results(write, places, query, before=counts, batches=batches, seen=digest.update)
            stored = place.store(lake, write, places.checkpoint)
        position = _position(query, source_id, place.files, before=before, consumed=consumed, loss=loss)
        write_position(write, places.position, position)
        write.metadata |= position.metadata()
        numbers = {**position.last, "batch": position.batch}
        metadata: dict[str, Any] = {
            **{f"stream/{name}": value for name, value in numbers.items()},
            "stream/source": query.source.name,
            "stream/source_id": source_id,
            "stream/offsets": MetadataValue.json(dict(position.offsets)),
            "stream/checkpoint_size": MetadataValue.int(stored.size),
            "stream/state_size": MetadataValue.int(stored.state_size),
            "stream/checkpoint_files": len(stored.files),
            "stream/checkpoint_files_added": stored.new_files,
            "stream/checkpoint_bytes_added": MetadataValue.int(stored.new_bytes),
        }
        if passed_over:
            metadata["stream/passed_over"] = MetadataValue.json(list(passed_over[:_SHOWN]))
        if consumed.too_long:
            metadata["stream/too_long_in"] = MetadataValue.json(list(consumed.too_long[:_SHOWN]))
        if loss.places:
            metadata["stream/lost"] = MetadataValue.json(list(loss.places[:_SHOWN]))
        files = {f"{places.checkpoint}/{name}": size for name, size in stored.files.items()}
        files |= _sizes(write, [places.position, *written])
        files_beside = {path[len(beside(prefix)) + 1 :]: size for path, size in files.items()}
        return {"": Stored(digest.rows, _version(digest.version(), position), metadata, files_beside)}

    def _recomputed_version(
        self, lake: Lake, commit: str, path: str, part: Stored, partition: PartitionValues
    ) -> str | None:
        position = read_position(lake, commit, path)
        rows = super()._recomputed_version(lake, commit, places_at(lake, commit, path).counts, part, partition)
        return _version(rows, position) if rows is not None and position is not None else None

    def _load(self, context: InputContext, found: FoundInput) -> Any:
        lake, commit = self.lake.lake, found.snapshot.commit
        counts = places_at(lake, commit, found.target.prefix).counts
        return super()._load(context, replace(found, snapshot=lake.path(commit, counts)))


def _check_source(query: StreamQuery, before: Position | None, source_id: str, checkpoint: CheckpointFiles) -> Loss:
    """Return what the source has lost. Refuse to continue from the checkpoint of another query or source."""
    if before is None:
        return Loss()
    if before.query != query.name:
        raise CheckpointUnusable(
            f"the checkpoint belongs to the query {before.query!r}, and {query.name!r} cannot continue from it. "
            f"{START_OVER}"
        )
    if before.source_id != source_id:
        how = "was deleted and created again" if before.source == query.source.name else f"is not {before.source}"
        raise StreamSourceError(
            f"{query.source.name} {how} (its id is {source_id}, the checkpoint's source has {before.source_id}); "
            f"lines would be lost or counted twice. {START_OVER}"
        )
    loss = query.source.loss(before, checkpoint)
    if loss.places and query.fail_on_data_loss:
        shown = "; ".join(loss.places[:5]) + (f"; and {len(loss.places) - 5} more" if len(loss.places) > 5 else "")
        raise StreamSourceError(
            f"{query.source.name} has lost lines: {shown}. To continue without them, run it with "
            f"`fail_on_data_loss: false`. {START_OVER}"
        )
    return loss


def _consume(
    query: StreamQuery, before: Position | None, session: "SparkSession", place: WorkingCopy, batches: str
) -> Consumed:
    lines = query.source.lines(session, fail_on_data_loss=query.fail_on_data_loss, notes=place.notes)
    if query.source.little_is_new(before, place.files):
        generate_no_code(session)
    frame = query.build(lines, before.watermark if before is not None else None)

    def keep(rows: "DataFrame", number: int) -> None:
        rows.write.mode("overwrite").parquet(f"{batches}/batch={number}")

    return consume(frame, place.files, keep, before.batch if before is not None else -1)


def _position(
    query: StreamQuery,
    source_id: str,
    checkpoint: CheckpointFiles,
    *,
    before: Position | None,
    consumed: Consumed,
    loss: Loss,
) -> Position:
    last = {name: value for name, value in consumed.observed.items() if name != LATEST}
    last |= {"lost_offsets": loss.offsets, "lost_places": len(loss.places)}
    totals = dict(before.totals) if before is not None else {}
    for name, value in last.items():
        totals[name] = totals.get(name, 0) + value
    watermark = before.watermark if before is not None else None
    if query.delay is not None and LATEST in consumed.observed:
        watermark = max(watermark or 0, consumed.observed[LATEST] - query.delay)
    return Position(
        query.name, query.source.name, source_id, last_batch(checkpoint), offsets(checkpoint), last, totals, watermark
    )


def _sizes(write: Write, paths: Sequence[str]) -> dict[str, int]:
    infos = write.filesystem.get_file_info([write.place(path) for path in paths])
    return {path: info.size for path, info in zip(paths, infos, strict=True)}


def _as_before(lake: Lake, ref: str, prefix: str, before: Position) -> Stored:
    manifest = read_manifest(lake.path(ref, prefix))
    return Stored(manifest.rows, manifest.data_version, {"stream/batch": before.batch, "stream/lines": 0})


def _version(rows: str, position: Position) -> str:
    """Return the version of a result: of its rows and of the position up to which the source was read."""
    described = f"{rows}\n{sorted(position.metadata().items())}"
    return f"{algorithm(rows)}:{hashlib.sha256(described.encode()).hexdigest()[:32]}"
