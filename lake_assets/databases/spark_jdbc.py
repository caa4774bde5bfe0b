"""Reads PostgreSQL by Spark's workers, each of which reads some ranges: all of the state that the driver reads.

What JDBC and Spark would convert by calendars and time zones of their own comes as numbers, and the caller casts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from lake_assets.databases.contract import Column, Database, DatabaseError
from lake_assets.databases.postgresql import SETTINGS, PostgreSQL
from lake_assets.databases.reading import Reading, ranges

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FETCHED = 10_000
"""Rows that a worker fetches at once. Without such a number, pgjdbc would hold a whole range in memory."""
_TYPES = {
    pa.bool_(): "boolean",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.binary(): "bytea",
}


def jdbc_frame(session: SparkSession, database: Database, reading: Reading) -> DataFrame:
    """Return all rows of a selection as a Spark frame, with a partition for each range.

    Dates are days since 1970, and times are microseconds since then.

    Parameters
    ----------
    session
        A session with the connector of PostgreSQL.
    database
        The database. It stays open until the rows are read: its transaction keeps the state for the workers.
    reading
        What is read.

    Raises
    ------
    DatabaseError
        It is not PostgreSQL, or cannot be read.
    """
    if not isinstance(database, PostgreSQL):
        raise DatabaseError(f"{database.address}: Spark's workers read PostgreSQL only: leave out `spark`")
    columns = database.columns(reading.selection)
    listed = ", ".join(f"{_portable(column)} AS {database.name(column.name)}" for column in columns)
    address, properties = _connection(database.url)
    state = [f"SET TRANSACTION SNAPSHOT {database.text(database.snapshot())}", *SETTINGS]
    return session.read.jdbc(
        address,
        f"(SELECT {listed} FROM {database.rows_of(reading.selection)}) lake_assets_rows",
        predicates=[part or "TRUE" for part in ranges(database, reading, columns)],
        properties={
            **properties,
            "driver": "org.postgresql.Driver",
            "fetchsize": str(_FETCHED),
            "sessionInitStatement": "; ".join(["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", *state]),
        },
    )


def _portable(column: Column) -> str:
    kind = column.type
    if pa.types.is_date(kind):
        return f"({column.sql} - DATE '1970-01-01')"
    if pa.types.is_timestamp(kind):
        return f"(extract(epoch FROM {column.sql}) * 1000000)::bigint"
    if isinstance(kind, pa.Decimal128Type):
        return f"{column.sql}::numeric({kind.precision},{kind.scale})"
    if kind in _TYPES:
        # JDBC does not look through a domain.
        return f"{column.sql}::{_TYPES[kind]}"
    return column.sql


def _connection(url: str) -> tuple[str, Mapping[str, str]]:
    """Return JDBC's address, without credentials, and the properties of a connection."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "localhost"
    address = f"jdbc:postgresql://{host}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
    named = {"user": parts.username, "password": parts.password}
    return address, {name: unquote(value) for name, value in named.items() if value is not None}
