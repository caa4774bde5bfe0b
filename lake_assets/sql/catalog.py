"""What a query can read by name: the assets of a lake at any ref, and the tables at the commit that they reflect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from lake_assets.frames.csv import CsvRows
from lake_assets.frames.file_formats import ORC, format_of
from lake_assets.frames.parquet import FolderPlace, ParquetRows, find_folders
from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.rows import is_data, place_in
from lake_assets.layout.csv_files import csv_file
from lake_assets.sql.errors import NoSuchName, SqlError, first_line
from lake_assets.sql.file_rows import FilePart, FileRows
from lake_assets.sql.table_rows import TableRows

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Lake, Snapshot
    from lake_assets.nosql.contract import NoSQLStore
    from lake_assets.sql.wanted import Wanted


_CSV = (".csv", ".CSV", *(f".csv.{kind}" for kind in ("gz", "bz2", "zst", "lz4")))
"""Endings of CSV files. By them, file systems of Arrow decompress what they read."""


@dataclass(frozen=True, slots=True)
class At:
    """Which state of an asset is read.

    Parameters
    ----------
    ref
        A branch, a tag or a commit id.
    time
        Instead of the ref, a time in the history of ``main``.
    """

    ref: str = ""
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files of a snapshot.

    Parameters
    ----------
    snapshot
        The snapshot.
    files
        Their paths on its file system, sorted.
    folders
        Names of the columns that are partition folders.
    """

    snapshot: Snapshot
    files: Sequence[str]
    folders: Sequence[str]


class Batches(Protocol):
    """Rows in Arrow batches."""

    @property
    def schema(self) -> pyarrow.Schema:
        """Their columns."""
        ...

    def read(self, columns: Sequence[str], wanted: Wanted) -> Iterator[pyarrow.RecordBatch]:
        """Yield rows, among which all wanted ones are.

        Parameters
        ----------
        columns
            The columns to read, in the order of the schema.
        wanted
            The rows that are wanted.
        """
        ...


Source = ParquetFiles | Batches


class Catalog(Protocol):
    """What a query can read by name."""

    def names(self) -> Sequence[str]:
        """Return all names, sorted."""
        ...

    def find(self, path: Sequence[str], at: At | None = None) -> Source:
        """Return where the rows of a name are.

        Parameters
        ----------
        path
            The parts of the name.
        at
            Which state to read. None for that of the whole query.

        Raises
        ------
        SqlError
            There is nothing of this name in this state.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeCatalog:
    """The assets of a lake and the tables of a store.

    Parameters
    ----------
    lake
        The lake.
    tables
        The store. None if there is none.
    ref
        The ref that is read where the query names no other one.
    folder_of
        Returns the folder of an asset by the parts of its key.
    table_of
        Returns the name of a table of a working branch by that for ``main`` and the branch.
    """

    lake: Lake
    tables: NoSQLStore | None = None
    ref: str = MAIN
    folder_of: Callable[[Sequence[str]], str]
    table_of: Callable[[str, str], str] | None = None
    _commits: dict[str, str] = field(default_factory=dict[str, str])

    def names(self) -> Sequence[str]:
        """Return the folders of the assets at the ref, and the tables."""
        return sorted({*self._folders(self._commit(None)), *self._tables(self.ref)})

    def find(self, path: Sequence[str], at: At | None = None) -> Source:
        """Return where the rows of a name are; see :meth:`Catalog.find`."""
        commit = self._commit(at)
        folder = self._folder(commit, path)
        if folder is not None:
            try:
                return self._asset(commit, folder)
            except (OSError, ValueError) as error:
                raise SqlError(f"{folder} cannot be read: {first_line(error)}") from error
        table = self._table(path, self._said(at))
        if table is not None:
            return self._items(table, at, commit)
        known = ", ".join(self.names()) or "none"
        raise NoSuchName(f"there is no asset or table {'.'.join(path)} at {self._said(at)}; there are {known}")

    def now(self) -> LakeCatalog:
        """Return the same catalog for another query: its branches may have moved."""
        return replace(self, _commits={})

    def columns(self, path: Sequence[str]) -> Sequence[str]:
        """Return the names of the columns of an asset or table.

        Parameters
        ----------
        path
            The parts of its name.

        Raises
        ------
        SqlError
            There is nothing of this name at the ref.
        """
        source = self.find(path)
        if not isinstance(source, ParquetFiles):
            return source.schema.names
        import pyarrow.parquet as pq

        stored = pq.read_schema(source.files[0], filesystem=source.snapshot.filesystem).names
        return list(dict.fromkeys([*stored, *source.folders]))

    def _said(self, at: At | None) -> str:
        return (at.ref or f"{at.time:%Y-%m-%d %H:%M:%S}Z") if at is not None else self.ref

    def _commit(self, at: At | None) -> str:
        """Return the commit of a state. The same one within a query, also if its branch moves meanwhile."""
        said = self._said(at)
        if said not in self._commits:
            self._commits[said] = self._at_time(at.time) if at and at.time else self._head(said)
        return self._commits[said]

    def _head(self, ref: str) -> str:
        try:
            return self.lake.head(ref).id
        except RefNotFound as error:
            raise SqlError(f"there is no branch, tag or commit {ref!r} in the lake") from error

    def _at_time(self, time: datetime) -> str:
        oldest = None
        for commit in self.lake.first_parents(MAIN):
            if commit.committed_at <= time.astimezone(timezone.utc):
                return commit.id
            oldest = commit
        since = f"; its first commit is of {oldest.committed_at:%Y-%m-%d %H:%M:%S}Z" if oldest else ""
        raise SqlError(f"{MAIN} had no commit yet at {time:%Y-%m-%d %H:%M:%S}Z{since}")

    def _folders(self, commit: str) -> Iterator[str]:
        """Yield the folders of assets. What stands beside an asset's rows is hidden, as from engines."""
        after = ""
        while (item := next(self.lake.list(commit, "", after), None)) is not None:
            folder, below, _ = item.path.partition("/")
            if below and not folder.startswith(("_", ".")):
                yield folder
            after = f"{folder}/\U0010ffff"

    def _folder(self, commit: str, path: Sequence[str]) -> str | None:
        folder = self.folder_of(path)
        if next(self.lake.list(commit, folder), None) is not None:
            return folder
        alike = [name for name in self._folders(commit) if name.lower() == folder.lower()]
        return alike[0] if len(alike) == 1 else None

    def _table(self, path: Sequence[str], ref: str) -> str | None:
        wanted, tables = "/".join(path), self._tables(ref)
        alike = [name for name in tables if name == wanted] or [
            name for name in tables if name.lower() == wanted.lower()
        ]
        return tables[alike[0]] if len(alike) == 1 else None

    def _tables(self, ref: str) -> dict[str, str]:
        """Return the tables of a ref, each with its name in the store. A working branch has only its own ones."""
        stored = self.tables.tables() if self.tables is not None else ()
        working = [branch for branch in self.lake.protected_branches() if branch != MAIN] if self.table_of else []
        ends = {branch: self.table_of("", branch) for branch in working if self.table_of}
        if ref in ends:
            return {name.removesuffix(ends[ref]): name for name in stored if name.endswith(ends[ref])}
        return {name: name for name in stored if not name.endswith(tuple(ends.values()))}

    def _items(self, table: str, at: At | None, commit: str) -> TableRows:
        store = self.tables
        assert store is not None
        reflected = store.source_commit(table)
        # A table follows the branch that it is of, and is a moment behind it.
        follows = at is None and (self.ref == MAIN or self.ref in self.lake.protected_branches())
        if not follows and commit != reflected:
            raise SqlError(
                f"table {table} has only the state of the commit that it reflects, {reflected or 'none'}, and "
                f"{self._said(at)} is another one: leave out {'--ref' if at is None else 'AT'}, or read the asset "
                "that it is fed from"
            )
        return TableRows(store, table, store.schema(table), store.key(table))

    def _asset(self, commit: str, folder: str) -> Source:
        paths = [item.path for item in self.lake.list(commit, folder)]
        shown = [path for path in paths if not path.rpartition("/")[2].startswith(("_", "."))]
        snapshot = self.lake.path(commit, folder)
        files = [path for path in shown if is_data(path)]
        if files:
            columns = {tuple(partition_of(path)) for path in files}
            if len(columns) > 1:
                raise SqlError(f"the files of {folder} lie in folders of different columns, and are not one table")
            return ParquetFiles(snapshot, [place_in(snapshot, path) for path in files], columns.pop())
        if shown and all(path.endswith(_CSV) for path in shown):
            uris = {path: f"{snapshot.uri}/{path}" for path in shown}
            sources = [
                csv_file(snapshot.filesystem, place_in(snapshot, path), uris[path], partition_of(path))
                for path in shown
            ]
            rows = CsvRows(snapshot.filesystem, sources)
            parts = [FilePart(file.partition, partial(rows.tables_of, file)) for file in rows.files]
            return FileRows(folder, rows.schema, parts)
        if shown and all(format_of(path.rpartition("/")[2]) == ORC for path in shown):
            rows = _orc_rows(snapshot, shown)
            parts = [FilePart(part.values, partial(rows.tables_of, part)) for part in rows.folders]
            return FileRows(folder, rows.schema, parts)
        raise SqlError(f"{folder} holds no rows of Parquet, ORC or CSV: `lake-assets cat` shows its text")


def partition_of(path: str) -> dict[str, str]:
    """Return the columns that the folders of a file are, with their values.

    Parameters
    ----------
    path
        Path of the file in the lake.
    """
    pairs = (part.partition("=") for part in path.split("/")[1:-1])
    return {unquote(name): unquote(value) for name, equals, value in pairs if equals}


def _orc_rows(snapshot: Snapshot, paths: Sequence[str]) -> ParquetRows:
    names: dict[str, list[str]] = {}
    for path in paths:
        names.setdefault(path.rpartition("/")[0], []).append(path.rpartition("/")[2])
    places = [
        FolderPlace(place_in(snapshot, folder), "", partition_of(f"{folder}/"), found)
        for folder, found in names.items()
    ]
    return ParquetRows(snapshot.filesystem, find_folders(snapshot.filesystem, places, ORC), None, ORC)
