"""Frames as tables of the NoSQL store."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    ConfigurableIOManager,
    InitResourceContext,
    InputContext,
    MetadataValue,
    OutputContext,
    ResourceDependency,
    RetryRequested,
)
from pydantic import PrivateAttr

from lake_assets._dagster import set_data_version
from lake_assets.frames.preview import ROWS
from lake_assets.frames.registry import library_of_value, supported
from lake_assets.frames.rows import Rows
from lake_assets.io_managers.annotations import library_of_input, no_partition
from lake_assets.io_managers.lineage import column_metadata
from lake_assets.io_managers.previews import is_wanted, table_preview
from lake_assets.io_managers.published import refuse_unpublished
from lake_assets.io_managers.table_options import (
    ALLOW_OVERWRITE_SCHEMA,
    CONDITION,
    COUNTER,
    KEY,
    MODE,
    NEWEST_BY,
    PARTITION,
    SET,
    SHOWS,
    SORT_KEY,
    SPREAD,
    TTL,
    UPDATE,
    definition_of,
    mode_of,
    options_of,
)
from lake_assets.io_managers.table_update import TableUpdate
from lake_assets.nosql.contract import NoSQLStore, StaleWrite, WriteResult
from lake_assets.nosql.plan import index_names
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.resources.spark import SparkResource, session_of
from lake_assets.runs.asset_metadata import COMMIT, ROW_COUNT, SINCE, URI
from lake_assets.runs.partitions import check_partitions
from lake_assets.spark.errors import spark_errors

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import SparkSession

__all__ = [
    "ALLOW_OVERWRITE_SCHEMA",
    "CONDITION",
    "COUNTER",
    "KEY",
    "MODE",
    "NEWEST_BY",
    "PARTITION",
    "SET",
    "SHOWS",
    "SORT_KEY",
    "SPREAD",
    "TTL",
    "UPDATE",
    "NoSQLIOManager",
    "TableUpdate",
]

STALE_RETRIES = 10
"""The number of retries of a sink's step when another run wrote the table first."""


class NoSQLIOManager(ConfigurableIOManager):
    """Stores frames of any library as tables in the NoSQL store.

    The asset's definition metadata name the key (``nosql/key``) and the save mode (``nosql/mode``). A sink returns a
    :class:`TableUpdate`. Its table stores the lake commit that it reflects, in the same transaction as its items. If
    the manager has the lake, a sink's partition that ``main`` never held is not materialized.

    Parameters
    ----------
    nosql
        The NoSQL store.
    lake
        The lake whose commits its sinks reflect.
    spark
        The Spark resource. Only assets that are frames of Spark need it.

    Examples
    --------
    >>> @asset(io_manager_key="nosql_io_manager", metadata={"nosql/key": "ISIN", "nosql/mode": "overwrite"})
    ... def securities(bars: pandas.DataFrame) -> pandas.DataFrame:
    ...     return bars.drop_duplicates("ISIN")[["ISIN", "SecurityDesc"]]
    """

    nosql: ResourceDependency[NoSQLResource]
    lake: ResourceDependency[LakeResource | None] = None  # pyright: ignore[reportAssignmentType]
    spark: ResourceDependency[SparkResource | None] = None  # pyright: ignore[reportAssignmentType]
    _folder: tempfile.TemporaryDirectory[str] | None = PrivateAttr(default=None)

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write a frame to the table, or update the table to a commit.

        Parameters
        ----------
        context
            The output.
        obj
            A frame, or a :class:`TableUpdate`.

        Raises
        ------
        SchemaMismatch
            A column is new (without ``nosql/allow_overwrite_schema``), missing or of another type. The table is
            unchanged.
        TableExists
            The mode is errorifexists and the table exists.
        Failure
            ``main`` never held the partition of a sink. The table has been brought to what ``main`` holds. Or the asset
            is partitioned, and the run has no partition.
        """
        check_partitions(context)
        store = self.nosql.store
        table = self.nosql.table_of(context.asset_key)
        if self.nosql.off:
            context.add_output_metadata({"note": f"not written: sinks of {self.nosql.target} are off"})
            return
        if isinstance(obj, TableUpdate):
            with spark_errors():
                result = self._update(context, store, table, obj)
            if self.lake is not None:
                refuse_unpublished(context, self.lake.lake, obj.to_commit)
            context.add_output_metadata({COMMIT: obj.to_commit, SINCE: obj.from_commit or "none"})
            set_data_version(context, obj.version)
        else:
            with spark_errors():
                given = options_of(context, index_names(obj))
                result = store.write(table, self._items(table, obj), mode=mode_of(context), **given)
        if result is not None:
            context.add_output_metadata({"put": result.put, "deleted": result.deleted, "kept": result.kept})
        if table not in store.tables():
            return
        schema = store.schema(table)
        context.add_output_metadata(
            {
                URI: f"{self.nosql.describe()}/{table}",
                ROW_COUNT: store.row_count(table),
                **_preview(store, table, definition_of(context)),
                **column_metadata(
                    context, {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
                ),
            }
        )

    def _update(self, context: OutputContext, store: NoSQLStore, table: str, update: TableUpdate) -> WriteResult | None:
        if update.items is None:
            return None
        options = options_of(context)
        if update.exact:
            options["newest_by"] = ()
        try:
            return store.write(
                table,
                self._items(table, update.items),
                mode="overwrite" if update.rebuild else mode_of(context),
                delete=None if update.delete is None else self._items(table, update.delete),
                source_commit=update.to_commit,
                expected_commit=update.from_commit,
                check_expected=True,
                **options,
            )
        except StaleWrite as error:
            # Another run wrote the table since this step read it. Try again from the current state.
            raise RetryRequested(max_retries=STALE_RETRIES, seconds_to_wait=0.2) from error

    def load_input(self, context: InputContext) -> Any:
        """Load a table as a frame.

        Parameters
        ----------
        context
            The input.
        """
        store = self.nosql.store
        table = self.nosql.table_of(context.asset_key)
        if context.has_asset_partitions and not context.asset_partition_keys and table not in store.tables():
            return no_partition(context, self._session)
        library = library_of_input(context, f"table {table}")
        return library.read_items(_Items(store, table), self._scratch(), self._session)

    def _items(self, table: str, frame: Any) -> Any:
        """Return the rows of a frame for the store."""
        library = library_of_value(frame)
        if library is None:
            raise TypeError(
                f"{table} is a {type(frame).__name__}; nosql_io_manager stores {supported()}, or TableUpdate"
            )
        return library.items(frame, self._scratch())

    def _session(self) -> "SparkSession":
        """Start the Spark session, or return it."""
        return session_of(self.spark)

    def _scratch(self) -> Path:
        """Return a folder that exists until the step ends."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lake-assets-", ignore_cleanup_errors=True)
        return Path(self._folder.name)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Remove the temporary copies of tables and streams.

        Parameters
        ----------
        context
            Context of the resource.
        """
        del context
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class _Items(Rows):
    """The items of a table. Each iteration reads them from the store."""

    def __init__(self, store: NoSQLStore, table: str) -> None:
        self._store = store
        self._table = table
        self._schema = store.schema(table)

    @property
    def schema(self) -> "pyarrow.Schema":
        return self._schema

    def tables(self, columns: Sequence[str] | None = None) -> "Iterator[pyarrow.Table]":
        import pyarrow as pa

        for batch in self._store.scan(self._table):
            table = pa.Table.from_batches([batch], self._schema)
            yield table if columns is None else table.select(list(columns))


def _preview(store: NoSQLStore, table: str, definition: Mapping[str, Any]) -> dict[str, MetadataValue[Any]]:
    import pyarrow

    if not is_wanted(definition):
        return {}
    first = next(store.scan(table, batch_size=ROWS), None)
    rows = pyarrow.Table.from_batches([first] if first is not None else [], store.schema(table))
    return {"preview": table_preview(rows, definition)}
