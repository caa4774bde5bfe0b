"""The words whose counts differ between two commits, from a full join by DuckDB in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lake_assets.defs.words.publications import COUNTS, counts_files
from lake_assets.lake.errors import DataCorrupted
from lake_assets.lake.rows import bounded_connection, open_rows, place_in
from lake_assets.outbox.contract import Update

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Lake

_BATCH = 8192


def changed_words(lake: Lake, before: str | None, after: str) -> Iterator[Update]:
    """Yield the words whose counts differ, with their new counts, sorted by their UTF-8 bytes.

    Only files that differ are read. Rows are streamed.

    Parameters
    ----------
    lake
        The lake.
    before
        The old commit. None for an empty state.
    after
        The new commit. Words that only ``before`` has get the count None.

    Raises
    ------
    DataCorrupted
        The files are not word counts.
    """
    import duckdb
    from pyarrow import ArrowException

    old = counts_files(lake, before) if before is not None else {}
    new = counts_files(lake, after)
    same = {path for path, item in old.items() if path in new and new[path].checksum == item.checksum}
    with bounded_connection() as connection:
        try:
            _open(lake, connection, "before", before, [item.path for path, item in old.items() if path not in same])
            _open(lake, connection, "after", after, [item.path for path, item in new.items() if path not in same])
            result = connection.execute("""
                SELECT coalesce(after.word, before.word) AS word, after.count
                FROM before_files AS before FULL JOIN after_files AS after ON before.word = after.word
                WHERE before.count IS DISTINCT FROM after.count
                ORDER BY word
            """)
            while batch := result.fetchmany(_BATCH):
                yield from (Update(word, count) for word, count in batch)
        except (duckdb.Error, ArrowException) as error:
            reason = f"the counts cannot be compared: {str(error).partition(chr(10))[0]}"
            raise DataCorrupted(reason, repository=lake.repository, ref=f"{before}..{after}", path=COUNTS) from error


def _open(lake: Lake, connection: DuckDBPyConnection, name: str, commit: str | None, paths: list[str]) -> None:
    """Create the view ``<name>_files`` of a commit's counts in these files."""
    if commit is None or not paths:
        connection.sql("SELECT NULL::VARCHAR AS word, NULL::BIGINT AS count WHERE false").create_view(f"{name}_files")
        return
    snapshot = lake.path(commit, COUNTS)
    open_rows(connection, name, snapshot, [place_in(snapshot, path) for path in sorted(paths)])
