"""What users would pick instead, each as it is written by hand.

Run as ``python -m benchmarks.alternatives SIDE SCHEMA CSV OUT``. Each makes a table of one CSV file, and nothing else:
no version, no audit, no quarantine, no latest rows. Nothing here imports `lake_assets`, so that another environment
can run it.
"""

# No postponed annotations here: Dagster reads them when the decorators run.

import json
import sys
from collections.abc import Callable
from pathlib import Path

Types = dict[str, str]
"""The columns, each string, date, double or int."""


def duckdb_alone(types: Types, source: str, out: str) -> None:
    """DuckDB: one statement."""
    import duckdb

    kinds = {"string": "VARCHAR", "date": "DATE", "double": "DOUBLE", "int": "INTEGER"}
    columns = ", ".join(f"'{name}': '{kinds[kind]}'" for name, kind in types.items())
    duckdb.sql(f"COPY (FROM read_csv('{source}', header = true, columns = {{{columns}}})) TO '{out}/bars.parquet'")


def polars_alone(types: Types, source: str, out: str) -> None:
    """Polars: a lazy scan, streamed to a file."""
    _polars_scan(types, source).sink_parquet(f"{out}/bars.parquet")


def pyspark_alone(types: Types, source: str, out: str) -> None:
    """Spark on this machine: read and write."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()
    schema = ", ".join(f"`{name}` {kind}" for name, kind in types.items())
    spark.read.csv(source, schema=schema, header=True).write.parquet(f"{out}/bars")
    spark.stop()


def dagster_duckdb(types: Types, source: str, out: str) -> None:
    """Dagster with its DuckDB IO manager: an asset that returns a pandas frame."""
    import pandas as pd
    from dagster import asset, materialize
    from dagster_duckdb_pandas import DuckDBPandasIOManager

    kinds = {"string": "str", "date": "str", "double": "float64", "int": "int32"}
    dates = [name for name, kind in types.items() if kind == "date"]

    @asset
    def bars() -> pd.DataFrame:
        return pd.read_csv(source, dtype={name: kinds[kind] for name, kind in types.items()}, parse_dates=dates)

    done = materialize([bars], resources={"io_manager": DuckDBPandasIOManager(database=f"{out}/bars.duckdb")})
    assert done.success


def dagster_polars(types: Types, source: str, out: str) -> None:
    """Dagster with its Polars IO manager: an asset that returns a lazy frame."""
    import polars as pl
    from dagster import asset, materialize
    from dagster_polars import PolarsParquetIOManager

    @asset
    def bars() -> pl.LazyFrame:
        return _polars_scan(types, source)

    done = materialize([bars], resources={"io_manager": PolarsParquetIOManager(base_dir=out)})
    assert done.success


def _polars_scan(types: Types, source: str):
    import polars as pl

    kinds = {"string": pl.String, "date": pl.Date, "double": pl.Float64, "int": pl.Int32}
    return pl.scan_csv(source, schema={name: kinds[kind] for name, kind in types.items()}, try_parse_dates=True)


ALTERNATIVES: dict[str, Callable[[Types, str, str], None]] = {
    "DuckDB": duckdb_alone,
    "Polars": polars_alone,
    "PySpark": pyspark_alone,
    "Dagster, DuckDB IO manager": dagster_duckdb,
    "Dagster, Polars IO manager": dagster_polars,
}


if __name__ == "__main__":
    name, schema, csv, target = sys.argv[1:]
    ALTERNATIVES[name](json.loads(Path(schema).read_text()), csv, target)
