"""Column schema and column lineage of a materialization, from what is stored and what the assets declare."""

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

from lake_assets.runs.asset_metadata import COLUMN_LINEAGE, COLUMN_SCHEMA

if TYPE_CHECKING:
    from dagster._core.definitions.assets.job.asset_layer import AssetLayer


def column_metadata(context: OutputContext, stored: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the metadata entries of an output's columns.

    Types are those stored (column name to type); descriptions and constraints those that the asset's definition
    declares. A column comes from the columns of the same name of its inputs, unless the asset declares
    ``dagster/column_lineage`` itself.
    """
    layer = context.step_context.job_def.asset_layer
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
    if COLUMN_LINEAGE in layer.get(context.asset_key).metadata:
        return metadata
    deps: dict[str, list[TableColumnDep]] = {}
    for parent in sorted(layer.get(context.asset_key).parent_keys):
        upstream = _schema(layer, parent)
        for column in upstream.columns if upstream else ():
            deps.setdefault(column.name, []).append(TableColumnDep(parent, column.name))
    lineage = {column.name: deps[column.name] for column in schema.columns if column.name in deps}
    return {**metadata, COLUMN_LINEAGE: TableColumnLineage(lineage)} if lineage else metadata


def declared_columns(layer: AssetLayer, key: AssetKey) -> dict[str, str]:
    """Return the columns that an asset's definition declares, by name, and what it calls their types."""
    schema = _schema(layer, key)
    return {column.name: column.type for column in schema.columns} if schema else {}


def _schema(layer: AssetLayer, key: AssetKey) -> TableSchema | None:
    if not layer.has(key):
        return None
    entry = layer.get(key).metadata.get(COLUMN_SCHEMA)
    value = getattr(entry, "schema", entry)
    return value if isinstance(value, TableSchema) else None
