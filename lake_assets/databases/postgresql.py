"""PostgreSQL, by ADBC: the server's binary rows become Arrow batches without a Python object for each value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from lake_assets.databases.contract import Column, Database, DatabaseError, Selection

if TYPE_CHECKING:
    import pyarrow

pc: Any = pyarrow.compute
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_NATIVE = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}
"""The types that ADBC and the lake share. All others are read as PostgreSQL's text of them."""
_LISTS = {f"{name}[]": pa.list_(kind) for name, kind in _NATIVE.items() if not name.startswith("timestamp")}
SETTINGS = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL IntervalStyle = 'iso_8601'",
    "SET LOCAL lc_monetary = 'C'",
    "SET LOCAL extra_float_digits = 1",
)
"""Of each transaction, so that dates and numbers do not depend on the server's settings."""
_DATES = ((date.min - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days)
_MICROSECONDS = tuple(
    (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) for moment in (datetime.min, datetime.max)
)
_PLAIN = re.compile(r"(timestamp|time)\(\d\)|character varying(\(\d+\))?|character(\(\d+\))?")


class PostgreSQL(Database):
    """A connection that reads one snapshot.

    Parameters
    ----------
    url
        ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
    """

    changed_rows = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        try:
            import adbc_driver_postgresql.dbapi as adbc
        except ImportError:
            raise DatabaseError(
                f"{self.address}: PostgreSQL needs the package adbc-driver-postgresql: "
                "pip install 'lake_assets[databases]'"
            ) from None
        self._error = adbc.Error
        with self.errors(adbc.Error):
            self._connection = adbc.connect(url)
            self._run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for setting in SETTINGS:
                self._run(setting)

    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns with their declared types; see :meth:`Database.columns`."""
        where = self.text(self.rows_of(selection)) if selection.table else "'lake_assets_selected'"
        with self.errors(self._error):
            if not selection.table:
                # Only a view knows the precision of a query's numbers. It is rolled back at once.
                self._run("SAVEPOINT lake_assets")
                self._run(f"CREATE TEMP VIEW lake_assets_selected AS SELECT * FROM {self.rows_of(selection)}")
            # A domain may be of a domain: its type is that of the last one.
            rows = self._run(
                "WITH RECURSIVE columns(attnum, attname, declared, oid, typmod) AS ("
                "SELECT attnum, attname, format_type(atttypid, atttypmod), atttypid, atttypmod FROM pg_attribute "
                f"WHERE attrelid = {where}::regclass AND attnum > 0 AND NOT attisdropped UNION ALL "
                "SELECT attnum, attname, declared, typbasetype, typtypmod FROM columns JOIN pg_type USING (oid) "
                "WHERE typtype = 'd') SELECT attname, declared, format_type(oid, typmod) "
                "FROM columns JOIN pg_type USING (oid) WHERE typtype <> 'd' ORDER BY attnum"
            )
            if not selection.table:
                self._run("ROLLBACK TO SAVEPOINT lake_assets")
                # Within a savepoint, a state cannot be named for others.
                self._run("RELEASE SAVEPOINT lake_assets")
        return [self._column(name, declared, base) for name, declared, base in rows]

    def _column(self, name: str, declared: str, base: str) -> Column:
        sql = self.name(name)
        numeric = _NUMERIC.fullmatch(base)
        if numeric and 0 <= int(numeric[2]) <= int(numeric[1]) <= 38:
            # ADBC's own text of a number; so is PostgreSQL's, and casting here is quicker.
            return Column(name, declared, pa.decimal128(int(numeric[1]), int(numeric[2])), sql)
        plain = _PLAIN.fullmatch(base.replace(" without time zone", "").replace(" with time zone", ""))
        kind = _NATIVE.get(re.sub(r"\(\d\)", "", base))
        if kind is not None:
            return Column(name, declared, kind, sql)
        if base in _LISTS:
            # ADBC would return the values of arrays of arrays as one list. The cast fails, and its error says why.
            why = self.text(f" dimensions in column {name!r}: cast it in a query, such as to text")
            sql = f"CASE WHEN array_ndims({sql}) > 1 THEN (array_ndims({sql}) || {why})::{base} ELSE {sql} END"
            return Column(name, declared, _LISTS[base], sql)
        if plain and base.startswith("character"):
            return Column(name, declared, pa.string(), sql)
        return Column(name, declared, pa.string(), f"{sql}::text")

    def batches(self, sql: str, columns: Sequence[Column]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows; see :meth:`Database.batches`."""
        schema = pa.schema([(column.name, column.type) for column in columns])
        # What the server says while rows are read is an error of Arrow's stream.
        with self.errors(self._error, OSError, pa.ArrowException), self._connection.cursor() as cursor:
            cursor.execute(sql)
            for batch in cursor.fetch_record_batch():
                arrays = [self._array(column, values) for column, values in zip(columns, batch.columns, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _array(self, column: Column, values: pyarrow.Array) -> pyarrow.Array:
        plain: Any = values.storage if isinstance(values, pa.ExtensionArray) else values
        try:
            found = plain.cast(column.type)
            _refuse_outside(found.flatten() if pa.types.is_list(found.type) else found)
            return found
        except (ValueError, pa.ArrowException) as error:
            raise DatabaseError(
                f"{self.address}: column {column.name!r} of type {column.declared} holds a value that {column.type} "
                f"does not ({' '.join(str(error).split())[:80]}): cast it in a query, such as to text"
            ) from None

    def values(self, sql: str) -> Sequence[str | None]:
        """Return the values of one row; see :meth:`Database.values`."""
        with self.errors(self._error):
            return self._run(sql)[0]

    @property
    def url(self) -> str:
        """The address, with credentials."""
        return self._url

    def snapshot(self) -> str:
        """Return the name of the state that is read. Others can read the same one until this connection is closed."""
        with self.errors(self._error):
            return str(self._run("SELECT pg_export_snapshot()")[0][0])

    def horizon(self, selection: Selection) -> str:
        """Return the oldest transaction that was still open for this snapshot, if the selection is a table.

        Parameters
        ----------
        selection
            The table or query. Only a table's rows know their transactions.
        """
        if not selection.table:
            return ""
        with self.errors(self._error):
            kind = self._run(f"SELECT relkind FROM pg_class WHERE oid = {self.text(self.rows_of(selection))}::regclass")
            # A foreign table and a view have no transactions; a partitioned table has those of its partitions.
            if kind[0][0] not in ("r", "p", "m", b"r", b"p", b"m"):
                return ""
            return str(self._run("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")[0][0])

    def since_horizon(self, horizon: str) -> str:
        """Return a condition for the rows that were written by transactions which were open or had not begun then.

        Parameters
        ----------
        horizon
            As :meth:`horizon` returned it. It counts on for ever; the number in a row is its last 32 bits.
        """
        return f"age(xmin) <= age('{int(horizon) % 2**32}'::xid)"

    def version(self, selection: Selection) -> str:
        """Return the counts of changed rows, and the files, of a table and its partitions.

        A transaction counts once it has ended, and the counts may come seconds later; see :meth:`Database.version`.
        """
        if not selection.table:
            return ""
        name = self.text(self.rows_of(selection))
        counts = ", ".join(f"n_tup_{kind}" for kind in ("ins", "upd", "del"))
        with self.errors(self._error):
            # TRUNCATE counts nothing, and makes a new file. The row of a table is another one after ALTER TABLE.
            found = self._run(
                f"WITH RECURSIVE tables(oid) AS (SELECT {name}::regclass::oid UNION "
                "SELECT inhrelid FROM pg_inherits JOIN tables ON inhparent = tables.oid) "
                f"SELECT string_agg(concat_ws(':', oid, c.xmin, pg_relation_filenode(oid), {counts}), ' ' "
                "ORDER BY oid) "
                "FROM tables JOIN pg_class c USING (oid) JOIN pg_stat_all_tables ON relid = oid "
                "WHERE current_setting('track_counts')::boolean HAVING count(*) = (SELECT count(*) FROM tables)"
            )
        return str(found[0][0]) if found else ""

    def as_text(self, expression: str) -> str:
        """Return an expression as text."""
        return f"({expression})::text"

    def close(self) -> None:
        """Close the connection. Nothing was written."""
        with suppress(self._error):
            self._connection.rollback()
        self._connection.close()

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []


def _refuse_outside(values: pyarrow.Array) -> None:
    """Refuse dates and times outside the years 1 to 9999. ADBC returns infinity as one of them."""
    kind = values.type
    if pa.types.is_date(kind):
        lowest, highest, plain = *_DATES, values.view(pa.int32())
    elif isinstance(kind, pa.TimestampType):
        lowest, highest, plain = *_MICROSECONDS, values.view(pa.int64())
    else:
        return
    found = pc.min_max(plain).as_py()
    if found["min"] is not None and not lowest <= found["min"] <= found["max"] <= highest:
        raise ValueError("infinity, or a year that is not within 1 to 9999")
