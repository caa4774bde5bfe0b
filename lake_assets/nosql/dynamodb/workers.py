"""The items of a Spark frame, which Spark's workers encode and write to DynamoDB themselves.

The driver keeps the lease, and commits what the table reflects at the end. Items are sorted by key within partitions,
and items of equal keys are in one. A part that is written again, since a task was tried again or ran twice, comes to
the same items: only the counts of what was put, kept and new may differ then.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.contract import NoSQLError, SchemaMismatch
from lake_assets.nosql.dynamodb.access import Access
from lake_assets.nosql.dynamodb.attempts import Attempt, Attempts
from lake_assets.nosql.dynamodb.catalog import Catalog
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.incoming import check_items
from lake_assets.nosql.dynamodb.lease import Lease
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.dynamodb.writing import Writing
from lake_assets.nosql.encoding import encoded_frame
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.runs import Item

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_OUTCOME = "attempt string, put long, kept long, other long, problem string"
_STORED, _NEW = 0, 1


class OnWorkers:
    """The items of a Spark frame; see :class:`~lake_assets.nosql.dynamodb.incoming.Incoming`.

    Parameters
    ----------
    client
        The driver's client.
    catalog
        The catalog.
    name
        Name of the table in DynamoDB.
    plan
        The write, whose frame is one of Spark.
    target
        What the table is after it.
    """

    def __init__(self, client: Client, catalog: Catalog, name: str, plan: Plan, target: Target) -> None:
        self._client, self._catalog = client, catalog
        self._table, self._choosing = plan.table, plan.choosing(target)
        encoded = encoded_frame(*plan.to_encode(target))
        self._items = encoded.repartition("key").sortWithinPartitions("key")
        session = encoded.sparkSession
        self._parallel = session.sparkContext.defaultParallelism
        access = client.handed_over(self._parallel)
        self._part = Part(access, catalog.name, catalog.seconds, plan.table, name, target, self._choosing)

    def __enter__(self) -> OnWorkers:
        from pyspark import StorageLevel

        self._items.persist(StorageLevel.DISK_ONLY)
        return self

    def __exit__(self, *_: object) -> None:
        self._items.unpersist()

    def check(self, layout: Layout) -> None:
        """Refuse items that DynamoDB does not hold; see :meth:`Incoming.check`."""
        choosing, table = self._choosing, self._table

        def check(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            try:
                check_items(layout, _blocks(table, batches), choosing())
            except NoSQLError as error:
                yield _outcome(problem=_told(error))

        self._collected(self._items, check)

    def put_new(self, lease: Lease, writing: Writing, batch: str | None) -> int:
        """Put the items into an empty table; see :meth:`Writing.put_new`."""
        del writing, batch
        return self._written(lease, self._items, "new").put

    def put(self, lease: Lease, writing: Writing, batch: str | None) -> tuple[int, int, int | None]:
        """Put the items; see :meth:`Writing.put`."""
        del writing, batch
        done = self._written(lease, self._items, "put")
        return done.put, done.kept, done.other

    def replace(self, lease: Lease, writing: Writing, comparable: bool) -> tuple[int, int | None]:
        """Make the items the table's only ones; see :meth:`Writing.replace`."""
        from pyspark.sql import functions as sf

        del writing
        part, count = self._part, self._parallel

        def stored(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    with closing(Client(part.access)) as client:
                        for keys, rows in part.writing(client).scan((number, count)):
                            yield pa.record_batch([keys, rows], ["key", "row"])

        session = self._items.sparkSession
        before = session.range(count, numPartitions=count).mapInArrow(stored, "key binary, row binary")
        both = before.select("key", "row", sf.lit(None).cast("string").alias("problem"), sf.lit(_STORED).alias("which"))
        both = both.unionByName(self._items.withColumn("which", sf.lit(_NEW)))
        both = both.repartition("key").sortWithinPartitions("key", "which")
        done = self._written(lease, both, "replace", comparable)
        return done.put, done.other

    def _written(
        self, lease: Lease, items: DataFrame, how: Literal["new", "put", "replace"], comparable: bool = True
    ) -> _Done:
        attempts = Attempts(self._client, self._catalog, lease, self._catalog.seconds)
        job = uuid.uuid4().hex
        part = replace(self._part, how=how, comparable=comparable, owner=lease.owner, job=job)
        with attempts.allowed(job):
            done = self._collected(items, part.write)
        # What an attempt finds that comes after another one, is not what was there before.
        alone = attempts.only([row["attempt"] for row in done])
        put, kept, other = (sum(row[name] for row in done) for name in ("put", "kept", "other"))
        return _Done(put, kept, other if alone else None)

    @staticmethod
    def _collected(items: DataFrame, work: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]) -> list[Any]:
        """Run a function over each partition, and return what it said. What a problem says is raised."""
        found = items.mapInArrow(work, _OUTCOME).collect()
        for row in found:
            if row["problem"] is not None:
                kind, _, reason = row["problem"].partition(":")
                raise (SchemaMismatch if kind == "value" else NoSQLError)(reason)
        return found


class _Done(NamedTuple):
    put: int
    kept: int
    other: int | None
    """New items of a put, and items that were there before a replacement."""


@dataclass(frozen=True)
class Part:
    """Writes a partition on a worker.

    Parameters
    ----------
    access
        How the worker reaches DynamoDB.
    catalog, seconds
        Name of the catalog's table, and how long the lease is valid without a sign of life.
    table, name
        Name of the table, and its name in DynamoDB.
    target
        What it is after the write.
    choosing
        Makes what becomes of stored items.
    how, comparable
        The operation of :class:`~lake_assets.nosql.dynamodb.incoming.Incoming`.
    owner, job
        Who has the lease, and the job that it is handed out to.
    """

    access: Access
    catalog: str
    seconds: float
    table: str
    name: str
    target: Target
    choosing: Callable[[], Choice]
    how: Literal["new", "put", "replace"] = "put"
    comparable: bool = True
    owner: str = ""
    job: str = ""

    def write(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the items of a partition, and yield what was done.

        Parameters
        ----------
        batches
            The items, sorted by key.
        """
        name = uuid.uuid4().hex
        try:
            with (
                closing(Client(self.access)) as client,
                client.translated(self.table),
                self._running(client, name) as it,
            ):
                put, kept, other = self._apply(it, batches)
        except NoSQLError as error:
            yield _outcome(problem=_told(error))
        else:
            yield _outcome(name, put, kept, other)

    def writing(self, client: Client, attempt: Attempt | None = None) -> Writing:
        """Return the operations of the write.

        Parameters
        ----------
        client
            The worker's client.
        attempt
            What lets it write. Without it, it only reads.
        """
        hold = attempt or self._attempt(client, "")
        catalog = Catalog(client, self.catalog, self.seconds, ())
        return Writing(
            client,
            catalog,
            hold,
            name=self.name,
            layout=Layout(self.table, self.target),
            choice=self.choosing(),
        )

    def _attempt(self, client: Client, name: str) -> Attempt:
        return Attempt(
            client, self.catalog, self.table, owner=self.owner, job=self.job, name=name, seconds=self.seconds
        )

    @contextmanager
    def _running(self, client: Client, name: str) -> Generator[Writing]:
        attempt = self._attempt(client, name)
        client.guard(attempt.check)
        with attempt.running(Catalog(client, self.catalog, self.seconds, ())):
            yield self.writing(client, attempt)

    def _apply(self, writing: Writing, batches: Iterable[pa.RecordBatch]) -> tuple[int, int, int]:
        if self.how == "new":
            return writing.put_new(_blocks(self.table, batches)), 0, 0
        if self.how == "put":
            return writing.put(_blocks(self.table, batches))
        put, deleted = writing.replace(self._pairs(batches), self.comparable)
        return put, 0, deleted

    def _pairs(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """Yield each key with its stored and its new row."""
        choice = self.choosing()
        lists = (
            zip(*(batch.column(name).to_pylist() for name in ("key", "row", "which")), strict=True) for batch in batches
        )
        for key, group in groupby(chain.from_iterable(lists), key=itemgetter(0)):
            rows: tuple[list[Item], list[Item]] = [], []
            for _, row, which in group:
                rows[which].append((key, row))
            new = [item for block in choice.fresh([rows[_NEW]]) for item in block]
            yield key, rows[_STORED][0][1] if rows[_STORED] else None, new[0][1] if new else None


def _blocks(table: str, batches: Iterable[pa.RecordBatch]) -> Iterator[list[Item]]:
    """Yield blocks of items. Raise what could not be encoded."""
    for batch in batches:
        for problem in batch.column("problem").drop_null().to_pylist():
            raise SchemaMismatch(f"table {table!r}: {problem}")
        yield list(zip(batch.column("key").to_pylist(), batch.column("row").to_pylist(), strict=True))


def _told(error: NoSQLError) -> str:
    return f"{'value' if isinstance(error, SchemaMismatch) else 'store'}:{error}"


def _outcome(
    attempt: str | None = None, put: int = 0, kept: int = 0, other: int = 0, problem: str | None = None
) -> pa.RecordBatch:
    columns = {"attempt": pa.array([attempt], pa.string()), "put": [put], "kept": [kept], "other": [other]}
    return pa.record_batch({**columns, "problem": pa.array([problem], pa.string())})
