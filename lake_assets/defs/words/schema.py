"""The columns of the counts for Dagster's UI."""

from __future__ import annotations

from dagster import TableColumn, TableColumnConstraints, TableSchema

_KEY = TableColumnConstraints(nullable=False)
_WORD = TableColumn("word", "string", "A word, as separated by spaces.", _KEY)
_COUNT = TableColumn("count", "bigint", "Number of its occurrences.", _KEY)


def counts_schema() -> TableSchema:
    """Return the columns of `word_counts`."""
    return TableSchema([_WORD, _COUNT])


def windowed_schema() -> TableSchema:
    """Return the columns of `word_counts_windowed`."""
    return TableSchema(
        [
            TableColumn("window_start", "timestamp", "Start of the window, UTC.", _KEY),
            TableColumn("window_end", "timestamp", "End of the window (exclusive), UTC.", _KEY),
            _WORD,
            _COUNT,
        ]
    )
