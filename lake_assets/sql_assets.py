"""A factory of assets that are queries."""

# No postponed annotations here: Dagster reads them when the decorators run.

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    Failure,
    MetadataValue,
    Output,
    TableColumnDep,
    TableColumnLineage,
    asset,
)

from lake_assets.layout.asset_folders import folder_of
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import COLUMN_LINEAGE
from lake_assets.runs.branch import read_ref
from lake_assets.sql.errors import SqlError
from lake_assets.sql.lineage import assets_of, column_origins

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.sql.catalog import LakeCatalog


def sql_asset(
    name: str,
    query: str,
    *,
    key_prefix: str | Sequence[str] | None = None,
    io_manager_key: str = "parquet_io_manager",
    metadata: Mapping[str, Any] | None = None,
    reads: Sequence[str] | None = None,
    **options: Any,
) -> AssetsDefinition:
    """Return an asset that holds the rows of a query, without partitions.

    It depends on the assets that the query names, and reads them all at one commit of the run's branch. A table outside
    of the lake cannot be read, since it has no such commit. What the query may do is what `lake-assets sql` may.

    Parameters
    ----------
    name
        Name of the asset.
    query
        The query, in the dialect of DuckDB.
    key_prefix, io_manager_key, metadata
        As in :func:`dagster.asset`.
    reads
        Names of the assets that the query reads, as it names them. Then the text is not parsed when the definitions are
        loaded, which saves the time of loading sqlglot; a run whose query reads others fails. Found in the text if not
        given.
    options
        More of its options, such as ``group_name``, ``description``, ``owners``, ``tags``, ``code_version``, ``pool``.

    Raises
    ------
    SqlError
        The text is not one query.

    Examples
    --------
    >>> dearest = sql_asset("dearest", "SELECT isin, max(price) AS price FROM trades GROUP BY isin", group_name="desk")
    """
    names = assets_of(query) if reads is None else sorted(tuple(each.split(".")) for each in reads)
    options.setdefault("kinds", {"duckdb", "parquet", "lake"})

    decorate: Callable[[Callable[..., Any]], AssetsDefinition] = asset(
        name=name,
        key_prefix=key_prefix,
        io_manager_key=io_manager_key,
        deps=[AssetKey(parts) for parts in names],
        metadata={"query": MetadataValue.md(f"```sql\n{query.strip()}\n```"), **(metadata or {})},
        **options,
    )

    def rows(context: AssetExecutionContext, lake: LakeResource) -> Iterator[Output[Any]]:
        _refuse_old_python(name)
        if reads is not None:
            _refuse_others(name, names, assets_of(query))
        import pyarrow

        from lake_assets.sql.catalog import LakeCatalog
        from lake_assets.sql.engine import run_query

        catalog = LakeCatalog(
            lake=lake.lake, ref=read_ref(lake.lake, context.instance, context.run), folder_of=folder_of
        )
        try:
            with run_query(query, catalog, exact=True) as result:
                schema = _named(result.schema, result.unique_names)
                batches = (pyarrow.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in result)
                lineage = _lineage(query, catalog, names, schema.names)
                # Yielded, not returned: the rows are computed as they are written.
                yield Output(
                    pyarrow.RecordBatchReader.from_batches(schema, batches),
                    metadata={COLUMN_LINEAGE: lineage} if lineage.deps_by_column else {},
                )
        except SqlError as error:
            raise Failure(f"{name}: {error}", allow_retries=False) from error

    return decorate(rows)


def _refuse_old_python(name: str) -> None:
    if sys.version_info < (3, 11):
        raise Failure(f"{name} is made by SQL, which needs Python 3.11 or newer", allow_retries=False)


def _refuse_others(name: str, declared: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> None:
    if list(declared) != list(found):
        said, reads = (", ".join(".".join(parts) for parts in names) for names in (declared, found))
        raise Failure(f"{name} reads {reads}, but declares {said}: mend `reads`", allow_retries=False)


def _named(schema: "pyarrow.Schema", names: Sequence[str]) -> "pyarrow.Schema":
    import pyarrow

    return pyarrow.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def _lineage(
    query: str, catalog: "LakeCatalog", names: Sequence[tuple[str, ...]], columns: Sequence[str]
) -> TableColumnLineage:
    origins = column_origins(query, {name: catalog.columns(name) for name in names})
    return TableColumnLineage(
        {
            column: [TableColumnDep(AssetKey(name), origin) for name, origin in origins[column.lower()]]
            for column in columns
            if column.lower() in origins
        }
    )
