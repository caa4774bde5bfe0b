"""What brings a sink's table from one published commit to the next."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyRelation


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
