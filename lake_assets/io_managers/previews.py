"""Previews of rows in Dagster's UI. They are tables, since the UI would render data in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue, TableColumn, TableRecord, TableSchema

from lake_assets.frames.preview import as_texts
from lake_assets.runs.asset_metadata import PERSONAL_COLUMNS, PREVIEW

if TYPE_CHECKING:
    import pyarrow


def is_wanted(definition: Mapping[str, Any]) -> bool:
    """Tell whether an asset's rows may be previewed.

    Parameters
    ----------
    definition
        The metadata of the asset's definition.
    """
    return bool(_value(definition.get(PREVIEW, True)))


def table_preview(table: pyarrow.Table, definition: Mapping[str, Any]) -> MetadataValue[Any]:
    """Return a table of Dagster's, without personal columns.

    Parameters
    ----------
    table
        The first rows.
    definition
        The metadata of the asset's definition.
    """
    columns, rows = as_texts(table, personal_columns(definition))
    schema = TableSchema(columns=[TableColumn(name, type=kind) for name, kind in columns.items()])
    return MetadataValue.table([TableRecord(row) for row in rows], schema)


def personal_columns(definition: Mapping[str, Any]) -> Collection[str]:
    """Return the columns that an asset declares as personal.

    Parameters
    ----------
    definition
        The metadata of the asset's definition.
    """
    declared = _value(definition.get(PERSONAL_COLUMNS, ()))
    return declared.split(",") if isinstance(declared, str) else list(declared)


def _value(declared: Any) -> Any:
    # In a definition, Dagster wraps metadata values.
    return getattr(declared, "value", declared)
