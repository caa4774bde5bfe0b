"""A factory of assets that are tables or queries of databases."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import pyarrow as pa
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetOut,
    AssetsDefinition,
    Config,
    Failure,
    MetadataValue,
    Output,
    multi_asset,
)

from lake_assets.content.logical_types import logical_schema
from lake_assets.databases.contract import Database, DatabaseError, Selection
from lake_assets.databases.merging import merge
from lake_assets.databases.opening import open_database
from lake_assets.databases.reading import Reading, read
from lake_assets.frames.increment import Increment, State, read_state, stored_batches
from lake_assets.frames.stored_types import stored_schema
from lake_assets.from_database.naming import VERSION, Address, address_of, op_of, pool_of
from lake_assets.lake.contract import Lake
from lake_assets.lake.rows import bounded_connection, is_data, place_in
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.spark import SparkResource
from lake_assets.runs.branch import read_ref
from lake_assets.spark.errors import EngineError, spark_errors

ROWS = "rows"
"""Name of the file that holds the rows of a table, and of the output."""


class DatabaseConfig(Config):
    """Run configuration: read all rows again, such as after rows were deleted."""

    full: bool = False


def table_from_database(
    name: str | Sequence[str],
    *,
    url: Address,
    key: str | Sequence[str],
    table: str = "",
    query: str = "",
    partition_column: str = "",
    cursor: str = "",
    overlap: timedelta | int | None = None,
    spark: bool = False,
    io_manager_key: str = "incremental_io_manager",
    **options: Any,
) -> AssetsDefinition:
    """Return an asset that holds the rows of a table or query of a database.

    Without a cursor, each run reads all rows. With one, a run reads the rows whose cursor is at least the highest value
    that the run before saw, less the overlap, and puts them in place of the stored rows with the same keys. Of a table
    of PostgreSQL it reads also all rows of transactions that were still open then, so no row is missed however late it
    is committed. A run that finds no changed row makes no commit. Rows that were deleted in the database go away when
    all rows are read: with ``full: true`` in the run's configuration.

    Parameters
    ----------
    name
        Key of the asset.
    url
        Address of the database: SQLite, PostgreSQL, MySQL or MariaDB, or, untried, Oracle or SQL Server. With a
        password, give an ``EnvVar``, or a function that returns it: it is read in the run, and is in no log and no
        metadata.
    key
        The columns that are unique together.
    table
        Name of the table, with or without its schema.
    query
        A query, instead of a table.
    partition_column
        A column of whole numbers. All rows are read in ranges of it, each a query of its own.
    cursor
        A column that grows with each change of a row, such as ``updated_at``.
    overlap
        How much is read again: a time, or for a cursor of whole numbers a number. It should be longer than any
        transaction.
    spark
        Whether Spark's workers read all rows, in the ranges of the partition column and at once: of PostgreSQL, by the
        resource ``spark``, which is a :class:`.SparkResource` with ``postgresql=True``. The driver writes the rows.
    io_manager_key
        Key of an :class:`~lake_assets.io_managers.incremental.IncrementalIOManager`.
    options
        Further options of ``AssetOut``, such as ``group_name``.

    Examples
    --------
    >>> customers = table_from_database(
    ...     "customers", url=EnvVar("CUSTOMERS_DATABASE"), table="customers", key="id", cursor="updated_at",
    ...     overlap=timedelta(hours=1), group_name="customers",
    ... )
    """
    asset_key = AssetKey.from_coercible([name] if isinstance(name, str) else list(name))
    keys = [key] if isinstance(key, str) else list(key)
    reading = Reading(
        selection=Selection(table, query), cursor=cursor, overlap=overlap, partition_column=partition_column
    )
    described: dict[str, Any] = {
        "key": asset_key,
        "io_manager_key": io_manager_key,
        "kinds": {"table", "parquet", "lake"},
        "description": f"The rows of {f'the table `{table}`' if table else 'a query'} of a database.",
    }

    # Not @asset: its op would have the asset's name, which a job may have. Of two runs at once, only one could publish.
    @multi_asset(
        name=op_of(asset_key),
        pool=pool_of(asset_key),
        required_resource_keys={"lake", *(["spark"] if spark else [])},
        outs={ROWS: AssetOut(**(described | options))},
    )
    def rows(context: AssetExecutionContext, config: DatabaseConfig) -> Iterator[Output[Increment]]:
        lake: LakeResource = context.resources.lake
        ref = read_ref(lake.lake, context.instance, context.run)
        prefix = prefix_of(asset_key)
        state = None if config.full else read_state(lake.lake, ref, prefix)
        try:
            with closing(open_database(address_of(url))) as database:
                version = database.version(reading.selection)
            with closing(open_database(address_of(url))) as database:
                schema = stored_schema(read(database, reading).rows.schema)
                since = _since(reading, database.address, state, logical_schema(schema))
                found = read(database, reading, since)
                told = {
                    "source": MetadataValue.text(database.address),
                    "source/incremental": not found.whole,
                    VERSION: MetadataValue.text(version),
                }
                context.log.info("Read %s of %s", "all rows" if found.whole else "the changed rows", database.address)
                if since is None or found.whole:
                    # Yielded, not returned: the IO manager reads the rows while the connection is open.
                    all_rows = _by_workers(context.resources.spark, database, reading) if spark else found.rows
                    yield Output(Increment(schema, {ROWS: all_rows}, found.position, metadata=told), ROWS)
                    return
                yield from _merged(
                    lake.lake, ref, prefix, fresh=found.rows, key=keys, position=found.position, since=since, told=told
                )
        except DatabaseError as error:
            raise Failure(str(error)) from None

    return rows


def _by_workers(spark: SparkResource, database: Database, reading: Reading) -> pa.RecordBatchReader:
    """Return the rows that all workers of Spark read at once, and keep on their disks until they are fetched."""
    from pyspark import StorageLevel

    from lake_assets.databases.spark_jdbc import jdbc_frame
    from lake_assets.frames.spark_batches import arrow_tables

    schema = pa.schema([(column.name, column.type) for column in database.columns(reading.selection)])
    frame = jdbc_frame(spark.session, database, reading)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            with spark_errors():
                frame.persist(StorageLevel.DISK_ONLY).count()
                for table in arrow_tables(frame):
                    yield from table.cast(schema).to_batches()
        except (EngineError, pa.ArrowException) as error:
            raise database.failure(str(error)) from None
        finally:
            frame.unpersist()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _merged(
    lake: Lake,
    ref: str,
    prefix: str,
    *,
    fresh: Any,
    key: Sequence[str],
    position: Mapping[str, Any],
    since: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Iterator[Output[Increment]]:
    stored = lake.path(ref, prefix)
    files = [place_in(stored, item.path) for item in lake.list(ref, prefix) if is_data(item.path)]
    reader = stored_batches(fresh)
    with bounded_connection() as connection:
        merged = merge(connection, stored, files, reader, key)
        metadata = {**told, "source/rows": merged.read, "source/changed": merged.changed}
        if merged.rows is None:
            yield Output(Increment(reader.schema, {}, since, metadata=metadata), ROWS)
        else:
            yield Output(Increment(reader.schema, {ROWS: merged.rows}, position, metadata=metadata), ROWS)


def _since(reading: Reading, database: str, state: State | None, columns: str) -> Mapping[str, Any] | None:
    """Return the position that a run continues from; None if it must read all rows."""
    if state is None or state.columns != columns or not reading.continues(database, state.position):
        return None
    return state.position
