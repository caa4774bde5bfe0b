"""The column schema and column lineage of a materialization, from the stored data and the assets' definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetKey,
    OutputContext,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from lake_assets._dagster import assets_of_job
from lake_assets.runs.asset_metadata import COLUMN_LINEAGE, COLUMN_SCHEMA

if TYPE_CHECKING:
    from lake_assets._dagster import AssetLayer


def column_metadata(context: OutputContext, stored: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the metadata entries about an output's columns.

    Types come from the stored data. Descriptions and constraints come from the asset's definition. Each column depends
    on the columns of the same name in the asset's inputs, unless the asset's definition, or its output, has
    ``dagster/column_lineage`` itself.

    Parameters
    ----------
    context
        The output.
    stored
        Column name to stored type; None if it is not known.
    """
    layer = assets_of_job(context)
    declared = _schema(layer, context.asset_key)
    if stored is None:
        schema = declared
    else:
        by_name = {column.name: column for column in declared.columns} if declared else {}
        schema = TableSchema(
            columns=[
                TableColumn(
                    name,
                    type=kind,
                    description=by_name[name].description if name in by_name else None,
                    constraints=by_name[name].constraints if name in by_name else None,
                )
                for name, kind in stored.items()
            ],
            constraints=declared.constraints if declared else None,
        )
    if schema is None:
        return {}
    metadata: dict[str, Any] = {COLUMN_SCHEMA: schema}
    if COLUMN_LINEAGE in layer.get(context.asset_key).metadata or COLUMN_LINEAGE in context.output_metadata:
        return metadata
    deps: dict[str, list[TableColumnDep]] = {}
    for parent in sorted(layer.get(context.asset_key).parent_keys):
        upstream = _schema(layer, parent)
        for column in upstream.columns if upstream else ():
            deps.setdefault(column.name, []).append(TableColumnDep(parent, column.name))
    lineage = {column.name: deps[column.name] for column in schema.columns if column.name in deps}
    return {**metadata, COLUMN_LINEAGE: TableColumnLineage(lineage)} if lineage else metadata


def declared_columns(layer: AssetLayer, key: AssetKey) -> dict[str, str]:
    """Return the names and types of the columns that an asset's definition declares.

    Parameters
    ----------
    layer
        The assets of the job.
    key
        Key of the asset.
    """
    schema = _schema(layer, key)
    return {column.name: column.type for column in schema.columns} if schema else {}


def _schema(layer: AssetLayer, key: AssetKey) -> TableSchema | None:
    if not layer.has(key):
        return None
    entry = layer.get(key).metadata.get(COLUMN_SCHEMA)
    value = getattr(entry, "schema", entry)
    return value if isinstance(value, TableSchema) else None
