"""What brings a sink's table from one published commit to the next: the rows by which what it shows differs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.rows import bounded_connection
from lake_assets.nosql.difference import row_difference

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from lake_assets.lake.contract import Lake

    Shows = Callable[[DuckDBPyConnection, Lake, str], DuckDBPyRelation]
    """Returns what a table shows of a commit."""


@dataclass(frozen=True)
class TableUpdate:
    """An update of a sink's table from one published commit to another.

    Parameters
    ----------
    from_commit
        The commit that the table reflects now; None if it reflects none.
    to_commit
        The commit that the table reflects afterwards.
    version
        Version of the content at ``to_commit``.
    items
        Rows to put, as a frame of any library; None if nothing changed for this table.
    delete
        Keys to delete first, as a frame of any library.
    rebuild
        Whether ``items`` replaces the whole table.
    exact
        Whether ``items`` replace stored ones even if those are newer, as after a rollback.
    """

    from_commit: str | None
    to_commit: str
    version: str
    items: Any = None
    delete: Any = None
    rebuild: bool = False
    exact: bool = False

    def describe(self) -> str:
        """Return a description of this update."""
        if self.items is None:
            return f"nothing changed between {self.from_commit} and {self.to_commit}"
        if self.rebuild:
            return f"rebuilt at {self.to_commit}"
        how = "by the rows that differ" if self.exact else "new partitions upserted"
        return f"from {self.from_commit} to {self.to_commit}, {how}"


def row_update(
    lake: Lake, from_commit: str | None, to_commit: str, shows: Shows, key: Sequence[str], version: str
) -> TableUpdate:
    """Return the rows by which what a table shows of two commits differs. They are on disk, not in memory.

    A table that reflects no commit of this lake, or whose write was killed, is built anew. A sink of an asset of one's
    own returns this.

    Parameters
    ----------
    lake
        The lake.
    from_commit
        The commit that the table reflects; None if it reflects none.
    to_commit
        The commit that it is to reflect.
    shows
        Returns what the table shows of a commit.
    key
        The key columns.
    version
        Version of the content at ``to_commit``, such as the fingerprint of what the table is made of.

    Examples
    --------
    >>> commit = nosql.reflected_commit(context.asset_key)
    >>> head = lake.lake.head(lake.target).id
    >>> return row_update(lake.lake, commit, head, shown, ["ISIN"], lake.lake.fingerprint(head, "bars") or "empty")
    """
    if from_commit == to_commit:
        return TableUpdate(from_commit, to_commit, version)
    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
        after = Path(folder) / "after.parquet"
        _write(lake, to_commit, shows, after)
        before = Path(folder) / "before.parquet"
        if from_commit is None or not _write_known(lake, from_commit, shows, before):
            with bounded_connection() as connection:
                items = on_disk(connection.read_parquet(str(after)))
            return TableUpdate(from_commit, to_commit, version, items, rebuild=True)
        with bounded_connection() as connection:
            old, new = (connection.read_parquet(str(file)) for file in (before, after))
            items, gone = map(on_disk, row_difference(old, new, key))
    if not items.num_rows and not gone.num_rows:
        # The table reflects the commit all the same.
        return TableUpdate(from_commit, to_commit, version, items, exact=True)
    return TableUpdate(from_commit, to_commit, version, items, delete=gone, exact=True)


def on_disk(relation: DuckDBPyRelation) -> pyarrow.Table:
    """Return a relation's rows as a table that is mapped from a file, so that it needs no memory. The file is removed.

    Parameters
    ----------
    relation
        The relation.
    """
    import pyarrow as pa

    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
        place = f"{folder}/rows.arrow"
        reader = relation.to_arrow_reader()
        with pa.OSFile(place, "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        # What is mapped stays after the file has no name any more.
        return pa.ipc.open_file(pa.memory_map(place)).read_all()


def _write_known(lake: Lake, commit: str, shows: Shows, file: Path) -> bool:
    try:
        _write(lake, commit, shows, file)
    except RefNotFound:
        return False
    return True


def _write(lake: Lake, commit: str, shows: Shows, file: Path) -> None:
    with bounded_connection() as connection:
        shows(connection, lake, commit).write_parquet(str(file))
