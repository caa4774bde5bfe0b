"""Frames as tables of the NoSQL store."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetKey,
    ConfigurableIOManager,
    DataVersion,
    InitResourceContext,
    InputContext,
    MetadataValue,
    OutputContext,
    ResourceDependency,
    RetryRequested,
)
from pydantic import PrivateAttr

from lake_assets.frames import engines
from lake_assets.frames import pandas as pandas_frames
from lake_assets.io_managers.lineage import column_metadata
from lake_assets.io_managers.no_partition import annotation_of, no_partition
from lake_assets.layout.asset_folders import name_of
from lake_assets.nosql.contract import NoSQLStore, SaveMode, StaleWrite, WriteResult
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.resources.spark import SparkResource, session_of
from lake_assets.runs.asset_metadata import COMMIT, ROW_COUNT, SINCE, URI
from lake_assets.spark.errors import spark_errors

if TYPE_CHECKING:
    from pyspark.sql import DataFrame as SparkDataFrame

KEY = "nosql/key"
"""Definition metadata: the table's key columns, comma separated."""
MODE = "nosql/mode"
"""Definition metadata: a save mode of Spark's DataFrameWriter; append by default."""
NEWEST_BY = "nosql/newest_by"
"""Definition metadata: with append, the columns (comma separated) by which the newer of two items stays."""
ALLOW_OVERWRITE_SCHEMA = "nosql/allow_overwrite_schema"
"""Definition metadata: whether a new column is let in."""

STALE_RETRIES = 10
"""Times a sink step starts anew since another run was quicker."""


@dataclass(frozen=True)
class TableUpdate:
    """What brings a sink's table from one published commit to another.

    Parameters
    ----------
    from_commit, to_commit
        Commit the table reflects now (None: none), and the one it reflects afterwards.
    version
        Version of the content at ``to_commit``.
    items
        Rows to put; None where nothing changed for this table.
    delete
        Keys to delete first.
    rebuild
        Whether ``items`` is all the table is to hold.
    """

    from_commit: str | None
    to_commit: str
    version: str
    items: "SparkDataFrame | None" = None
    delete: "SparkDataFrame | None" = None
    rebuild: bool = False

    def describe(self) -> str:
        """Return in words what this update is."""
        if self.items is None:
            return f"nothing changed between {self.from_commit} and {self.to_commit}"
        if self.rebuild:
            return f"built anew at {self.to_commit}"
        how = "keys of rewritten partitions worked out anew" if self.delete is not None else "new partitions upserted"
        return f"from {self.from_commit} to {self.to_commit}, {how}"


class NoSQLIOManager(ConfigurableIOManager):
    """Stores pandas and Spark frames as tables of items by key.

    The asset's definition metadata name the key (``nosql/key``) and the save mode (``nosql/mode``). A sink returns a
    :class:`TableUpdate`; its table keeps the lake commit it reflects, in the same transaction as its items.

    Examples
    --------
    >>> @asset(io_manager_key="nosql_io_manager", metadata={"nosql/key": "ISIN", "nosql/mode": "overwrite"})
    ... def securities(bars: pandas.DataFrame) -> pandas.DataFrame:
    ...     return bars.drop_duplicates("ISIN")[["ISIN", "SecurityDesc"]]
    """

    nosql: ResourceDependency[NoSQLResource]
    spark: ResourceDependency[SparkResource | None] = None  # pyright: ignore[reportAssignmentType]
    _folder: tempfile.TemporaryDirectory[str] | None = PrivateAttr(default=None)

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write a frame, or bring the table to a commit.

        Raises
        ------
        SchemaMismatch
            A column is new (without ``nosql/allow_overwrite_schema``), missing or of another type; the table is as
            before.
        TableExists
            The mode is errorifexists and the table is there.
        """
        store = self.nosql.store
        table = table_name(context)
        if isinstance(obj, TableUpdate):
            with spark_errors():
                result = self._update(context, store, table, obj)
            context.add_output_metadata({COMMIT: obj.to_commit, SINCE: obj.from_commit or "none"})
            version = DataVersion(obj.version)
            context.step_context.set_data_version(context.asset_key, version)
        elif engines.engine_of_value(obj) is not None:
            with spark_errors():
                result = store.write(table, _as_stored(obj), mode=_mode(context), **_options(context))
        else:
            raise TypeError(
                f"{table} is a {type(obj).__name__}; nosql_io_manager stores {engines.SUPPORTED} or TableUpdate"
            )
        if result is not None:
            context.add_output_metadata({"put": result.put, "deleted": result.deleted, "kept": result.kept})
        if table not in store.tables():
            return
        schema = store.schema(table)
        context.add_output_metadata(
            {
                URI: f"{self.nosql.describe()}/{table}",
                ROW_COUNT: store.row_count(table),
                "preview": MetadataValue.md(_preview(store, table)),
                **column_metadata(
                    context, {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
                ),
            }
        )

    def _update(self, context: OutputContext, store: NoSQLStore, table: str, update: TableUpdate) -> WriteResult | None:
        if update.items is None:
            return None
        options = _options(context)
        try:
            return store.write(
                table,
                _as_stored(update.items),
                mode="overwrite" if update.rebuild else _mode(context),
                delete=None if update.delete is None else _as_stored(update.delete),
                source_commit=update.to_commit,
                expected_commit=update.from_commit,
                check_expected=True,
                **options,
            )
        except StaleWrite as error:
            # Another run moved the table on since this step read it: start anew from where it is now.
            raise RetryRequested(max_retries=STALE_RETRIES, seconds_to_wait=0.2) from error

    def load_input(self, context: InputContext) -> Any:
        """Load a table as a pandas or Spark frame."""
        store = self.nosql.store
        table = table_name(context)
        if context.has_asset_partitions and not context.asset_partition_keys and table not in store.tables():
            return no_partition(context, self.spark)
        engine = engines.engine_of_annotation(annotation_of(context)[0])
        if engine is None:
            raise TypeError(
                f"cannot load table {table} as {context.dagster_type.display_name}: annotate the input as "
                f"{engines.SUPPORTED}"
            )
        import pyarrow

        batches = store.scan(table)
        if engine == "pandas":
            return pandas_frames.to_pandas(pyarrow.Table.from_batches(batches, store.schema(table)))
        # Through a file, so that a large table never stands in the driver's memory.
        import pyarrow.parquet as pq

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lake-assets-", ignore_cleanup_errors=True)
        path = Path(tempfile.mkdtemp(dir=self._folder.name)) / "table.parquet"
        with pq.ParquetWriter(path, store.schema(table)) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return session_of(self.spark).read.parquet(path.as_uri())

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Remove the tables that were handed to Spark."""
        del context
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def table_of(asset: AssetKey) -> str:
    """Return the name of an asset's table."""
    return name_of(asset)


def table_name(context: OutputContext | InputContext) -> str:
    """Return the name of the table that a step writes or reads."""
    return table_of(context.asset_key)


def _definition(context: OutputContext) -> Mapping[str, Any]:
    return context.step_context.job_def.asset_layer.get(context.asset_key).metadata


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name, "")
    return str(getattr(value, "value", value))


def _mode(context: OutputContext) -> SaveMode:
    mode = _text(_definition(context), MODE) or "append"
    if mode not in ("append", "overwrite", "errorifexists", "ignore"):
        raise ValueError(f"{MODE} of {table_name(context)} is {mode!r}, not append, overwrite, errorifexists or ignore")
    return mode


def _options(context: OutputContext) -> dict[str, Any]:
    metadata = _definition(context)
    key = _text(metadata, KEY)
    if not key:
        raise ValueError(f"{table_name(context)} names no key: add {KEY!r} to its metadata, such as 'ISIN'")
    newest_by = _text(metadata, NEWEST_BY)
    return {
        "key": key.split(","),
        "newest_by": newest_by.split(",") if newest_by else (),
        "allow_overwrite_schema": _text(metadata, ALLOW_OVERWRITE_SCHEMA).lower() == "true",
    }


def _as_stored(frame: Any) -> Any:
    """Return a pandas frame with its index, and in the types that are stored; what has none is named."""
    if engines.engine_of_value(frame) != "pandas":
        return frame
    return pandas_frames.to_pandas(pandas_frames.to_arrow(frame))


def _preview(store: NoSQLStore, table: str) -> str:
    import pyarrow

    from lake_assets.frames.preview import markdown

    first = next(store.scan(table, batch_size=5), None)
    return markdown(pyarrow.Table.from_batches([first] if first is not None else [], store.schema(table)))
