"""What Dagster's UI shows of the data: tables, in which nothing is Markdown and no column is personal."""

from __future__ import annotations

from typing import Any

import pandas
from dagster import MarkdownMetadataValue, TableMetadataValue, asset

from lake_assets.io_managers.nosql import KEY
from lake_assets.runs.asset_metadata import PERSONAL_COLUMNS, PREVIEW

from .conftest import Workbench

IMAGE = "![x](http://evil.example/x.png) **bold** | <b>"
ROWS = pandas.DataFrame(
    {
        "id": ["a", "b"],
        "text": [IMAGE, "\x1b]0;title\x07\u202e"],
        "Email": ["ann@home.example", None],
        "**name** | x": [1, None],
    }
)


@asset(io_manager_key="parquet_io_manager", metadata={PERSONAL_COLUMNS: ["email"]})
def rows() -> pandas.DataFrame:
    return ROWS


@asset(io_manager_key="nosql_io_manager", metadata={KEY: "id", PERSONAL_COLUMNS: "email"})
def items() -> pandas.DataFrame:
    return ROWS


@asset(io_manager_key="nosql_io_manager", metadata={KEY: "id", PREVIEW: False})
def hidden() -> pandas.DataFrame:
    return ROWS


def test_a_preview_is_a_table_without_personal_columns(workbench: Workbench) -> None:
    result = workbench.run(rows, items, hidden)
    for made in (rows, items):
        metadata = _metadata(result, made)
        assert not any(isinstance(value, MarkdownMetadataValue) for value in metadata.values())
        preview = metadata["preview"]
        assert isinstance(preview, TableMetadataValue)
        assert [column.name for column in preview.schema.columns] == ["id", "text", "**name** | x"]
        assert [dict(record.data) for record in preview.records] == [
            {"id": "a", "text": IMAGE, "**name** | x": "1.0"},
            {"id": "b", "text": "\\x1b]0;title\\x07\\u202e", "**name** | x": None},
        ]
    assert "preview" not in _metadata(result, hidden)
    assert "ann@home" not in str([event.event_specific_data for event in result.all_events])


def _metadata(result: Any, made: Any) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(made.op.name)
    return dict(event.metadata)
