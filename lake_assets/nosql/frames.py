"""Tables as frames: of pandas with the key as index, as a relation of DuckDB, and of Spark."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.nosql.contract import NoSQLStore

if TYPE_CHECKING:
    import pandas
    from duckdb import DuckDBPyConnection, DuckDBPyRelation
    from pyspark.sql import DataFrame as SparkDataFrame
    from pyspark.sql import SparkSession


def pandas_frame(store: NoSQLStore, table: str, **wanted: Any) -> pandas.DataFrame:
    """Return a table as a pandas frame, with the key as index. It can be written back as it is.

    Parameters
    ----------
    store
        The store.
    table
        Name of the table.
    wanted
        ``start``, ``end``, ``prefix``, ``columns`` and ``where``, as of :meth:`NoSQLStore.scan`.

    Examples
    --------
    >>> pandas_frame(store, "stocks_table", where="Currency = 'EUR'").loc["DE0007164600"]
    """
    import pandas

    key = store.key(table)
    frame = _reader(store, table, wanted).read_all().to_pandas(types_mapper=pandas.ArrowDtype)
    # A projection may leave out parts of the key.
    index = [name for name in key if name in frame.columns]
    return frame.set_index(index) if index else frame


def duckdb_relation(store: NoSQLStore, table: str, connection: DuckDBPyConnection, **wanted: Any) -> DuckDBPyRelation:
    """Return a table as a relation of DuckDB. It is a copy, in a temporary table, so it can be read several times.

    Parameters
    ----------
    store
        The store.
    table
        Name of the table.
    connection
        A connection of DuckDB.
    wanted
        As of :func:`pandas_frame`.

    Examples
    --------
    >>> duckdb_relation(store, "stocks_table", duckdb.connect()).aggregate("Currency, count(*)")
    """
    name = f"table_{uuid.uuid4().hex}"
    rows = connection.from_arrow(_reader(store, table, wanted))
    # A view of another name stays the caller's.
    rows.query("rows_of_the_store", f"CREATE TEMP TABLE {name} AS FROM rows_of_the_store")
    return connection.table(name)


def spark_frame(spark: SparkSession, address: str, table: str, **options: Any) -> SparkDataFrame:
    """Return a table as a Spark frame: a partition for each segment, read by the workers.

    Parameters
    ----------
    spark
        The session.
    address
        Address of the store, as of :func:`~lake_assets.nosql.opening.open_store`.
    table
        Name of the table.
    options
        Options of the Spark DataSource ``lake_nosql``.
    """
    from lake_assets.nosql.spark_source import TableSource

    spark.dataSource.register(TableSource)
    reader = spark.read.format(TableSource.name()).option("store", address).option("table", table)
    for name, value in options.items():
        reader = reader.option(name, value if isinstance(value, str) else json.dumps(value))
    return reader.load()


def _reader(store: NoSQLStore, table: str, wanted: dict[str, Any]) -> pa.RecordBatchReader:
    schema, columns = store.schema(table), wanted.get("columns")
    if columns is not None:
        # The scan refuses unknown names.
        schema = pa.schema([schema.field(name) for name in columns if name in schema.names])
    return pa.RecordBatchReader.from_batches(schema, store.scan(table, **wanted))
