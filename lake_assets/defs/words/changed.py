"""The words whose counts differ between two commits: a full join by DuckDB, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lake_assets.defs.words.publications import COUNTS
from lake_assets.lake.errors import DataCorrupted
from lake_assets.lake.rows import bounded_connection, is_data, open_rows, place_in
from lake_assets.resources.outbox.contract import Update

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Lake

_BATCH = 8192


def changed_words(lake: Lake, before: str | None, after: str) -> Iterator[Update]:
    """Yield the words whose count in ``after`` is another than in ``before``, sorted by their UTF-8 bytes.

    Only files that differ are read, and rows are handed out as they are taken.

    Parameters
    ----------
    before
        A commit; None for nothing at all.
    after
        A commit. Words that only ``before`` holds have the count None.

    Raises
    ------
    DataCorrupted
        What is there are no counts.
    """
    import duckdb
    from pyarrow import ArrowException

    if before is None:
        old, new = [], [item.path for item in lake.list(after, COUNTS)]
    else:
        found = lake.diff(before, after, COUNTS)
        old, new = [*found.removed, *found.changed], [*found.added, *found.changed]
    with bounded_connection() as connection:
        try:
            sides = (_side(lake, connection, "before", before, old), _side(lake, connection, "after", after, new))
            result = connection.execute(f"""
                SELECT coalesce(after.word, before.word) AS word, after.count
                FROM ({sides[0]}) AS before FULL JOIN ({sides[1]}) AS after ON before.word = after.word
                WHERE before.count IS DISTINCT FROM after.count
                ORDER BY word
            """)  # noqa: S608 - of the queries below, which hold no value
            while batch := result.fetchmany(_BATCH):
                yield from (Update(word, count) for word, count in batch)
        except (duckdb.Error, ArrowException) as error:
            reason = f"the counts cannot be compared: {str(error).partition(chr(10))[0]}"
            raise DataCorrupted(reason, repository=lake.repository, ref=f"{before}..{after}", path=COUNTS) from error


def _side(lake: Lake, connection: DuckDBPyConnection, name: str, commit: str | None, paths: list[str]) -> str:
    """Return the query of one commit's counts in these files."""
    paths = sorted(filter(is_data, paths))
    if commit is None or not paths:
        return "SELECT NULL::VARCHAR AS word, NULL::BIGINT AS count WHERE false"
    snapshot = lake.path(commit, COUNTS)
    open_rows(connection, name, snapshot, [place_in(snapshot, path) for path in paths])
    return f"SELECT word, count FROM {name}_files"  # noqa: S608 - "before" or "after"
