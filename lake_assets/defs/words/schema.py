"""Columns of the counts, as Dagster's UI shows them."""

from __future__ import annotations

from dagster import TableColumn, TableColumnConstraints, TableSchema

_KEY = TableColumnConstraints(nullable=False)
_WORD = TableColumn("word", "string", "What stands between two spaces.", _KEY)
_COUNT = TableColumn("count", "bigint", "How often it stood there.", _KEY)


def counts_schema() -> TableSchema:
    """Return the columns of `word_counts`."""
    return TableSchema([_WORD, _COUNT])


def windowed_schema() -> TableSchema:
    """Return the columns of `word_counts_windowed`."""
    return TableSchema(
        [
            TableColumn("window_start", "timestamp", "Beginning of the window, UTC.", _KEY),
            TableColumn("window_end", "timestamp", "Its end, which is not in it.", _KEY),
            _WORD,
            _COUNT,
        ]
    )
