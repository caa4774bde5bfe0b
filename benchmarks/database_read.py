"""PostgreSQL to Parquet: what `table_from_database` does, beside ADBC straight to Parquet, and pandas.read_sql.

It starts a PostgreSQL of its own, which must be installed. Each way is a process of its own. Their CPU seconds are
compared, since the server's are the same. Of each way the least of its repeats counts. The way with pandas also needs
`pip install 'psycopg[binary]' sqlalchemy`.

    .venv/bin/python -m benchmarks.database_read [--rows 1_000_000] [--repeats 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

LEAST_FASTER, MOST_OF_ADBC = 3.0, 1.2
QUERY = "SELECT * FROM bars"


def fill(url: str, rows: int) -> None:
    """Make a table of rows like the exchange's."""
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bars AS SELECT i AS id, 'DE' || lpad(i::text, 10, '0') AS isin, 'EUR'::text AS currency, "
            "date '2017-07-28' AS day, timestamptz '2017-07-28' + i * interval '1 second' AS time, "
            "(random() * 1000)::numeric(12,3) AS price, random() * 1000 AS volume, (random() * 100)::int AS trades "
            f"FROM generate_series(1, {rows}) i"
        )


def ours(url: str, path: str) -> None:
    """Read and write as an asset of `table_from_database` does: typed, and with a content version."""
    from pyarrow.fs import LocalFileSystem

    from lake_assets.databases.contract import Selection
    from lake_assets.databases.opening import open_database
    from lake_assets.databases.reading import Reading, read
    from lake_assets.frames.increment import write_file

    with closing(open_database(url)) as database:
        write_file(LocalFileSystem(), path, read(database, Reading(selection=Selection("bars"))).rows)


def adbc_alone(url: str, path: str) -> None:
    """Write ADBC's batches: prices stay text."""
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow as pa
    import pyarrow.parquet as pq

    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        reader = cursor.fetch_record_batch()
        kinds = [f.type.storage_type if isinstance(f.type, pa.BaseExtensionType) else f.type for f in reader.schema]
        schema = pa.schema(list(zip(reader.schema.names, kinds, strict=True)))
        with pq.ParquetWriter(path, schema) as writer:
            for batch in reader:
                plain = [c.storage if isinstance(c, pa.ExtensionArray) else c for c in batch.columns]
                writer.write_batch(pa.RecordBatch.from_arrays(plain, schema=schema))


def with_pandas(url: str, path: str) -> None:
    """Read by pandas.read_sql over SQLAlchemy and psycopg, and write by to_parquet."""
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        pandas.read_sql(sqlalchemy.text(QUERY), connection).to_parquet(path)


WAYS: dict[str, Callable[[str, str], None]] = {"ours": ours, "adbc": adbc_alone, "pandas": with_pandas}


def main() -> None:
    """Compare the ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    if options.way:
        with tempfile.TemporaryDirectory() as folder:
            WAYS[options.way](options.url, f"{folder}/warm.parquet")
            began, cpu = time.perf_counter(), time.process_time()
            WAYS[options.way](options.url, f"{folder}/rows.parquet")
            print(time.process_time() - cpu, time.perf_counter() - began, Path(f"{folder}/rows.parquet").stat().st_size)
        return
    from lake_assets_tests.database_servers import start_postgresql

    server = start_postgresql()
    taken: dict[str, float] = {}
    try:
        fill(server.url, options.rows)
        for way in WAYS:
            found: list[list[float]] = []
            for _ in range(options.repeats):
                command = [sys.executable, "-m", "benchmarks.database_read", "--way", way, "--url", server.url]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                found.append([float(number) for number in told])
            cpu, seconds, size = min(found)
            taken[way] = cpu
            print(f"{way:7} {cpu:6.2f} s of CPU, {seconds:6.2f} s, {size / 1e6:.1f} MB", flush=True)
    finally:
        server.stop()
    faster, share = taken["pandas"] / taken["ours"], taken["ours"] / taken["adbc"]
    print(f"{faster:.1f} times faster than pandas.read_sql (at least {LEAST_FASTER}), {share:.2f} times ADBC's time")
    if faster < LEAST_FASTER or share > MOST_OF_ADBC:
        sys.exit("slower than it should be")


if __name__ == "__main__":
    main()
