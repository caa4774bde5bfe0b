"""The content of a place in the lake, read lazily: rows of Parquet files, or lines of a text file."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from lake_assets.cli.errors import CommandError
from lake_assets.frames.conform import conform
from lake_assets.frames.parquet_files import file_schema, open_parquet
from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import PathNotFound

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BATCH = 1024
_SNIFFED = 8000
"""Number of bytes that are checked for a NUL byte. As in Git, a file with one is binary."""


class Content(Protocol):
    """Rows or lines."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Columns of the first file. None for lines."""
        ...

    def rows(self, limit: int | None) -> Iterator[Any]:
        """Yield rows as column name to value, or lines of bytes. No more is read than ``limit`` requires."""
        ...


def open_content(lake: Lake, ref: str, prefix: str) -> Content:
    """Open the content of a prefix.

    Parameters
    ----------
    lake, ref, prefix
        The place.

    Raises
    ------
    PathNotFound
        The prefix does not exist.
    CommandError
        There are several files that are not Parquet, or a binary file.
    """
    commit = lake.head(ref).id
    files = (item.path for item in lake.list(commit, prefix) if item.path == prefix or _is_data(item.path))
    others: list[str] = []
    count = 0
    for path in files:
        if path.endswith(".parquet"):
            return _Parquet(lake, commit, path, files)
        count += 1
        others = [*others, path][:3]
    if count == 1:
        text = _Text(lake, commit, others[0])
        text.refuse_binary()
        return text
    if not count:
        if lake.fingerprint(commit, prefix) is None:
            raise PathNotFound("nothing is there", repository=lake.repository, ref=ref, path=prefix)
        raise CommandError(f"{prefix!r} contains no data file; `lake-assets ls` lists its files")
    some = ", ".join(others) + (", …" if count > len(others) else "")
    raise CommandError(f"{prefix!r} contains {count} files, none of them Parquet: name one of them ({some})")


def _is_data(path: str) -> bool:
    """Tell whether a file contains data. Engines ignore the other ones."""
    return not path.rpartition("/")[2].startswith(("_", "."))


@dataclass(frozen=True, slots=True)
class _Parquet:
    """Rows of the Parquet files of a folder.

    Parameters
    ----------
    lake, commit
        The commit that holds the files.
    first
        The first file.
    rest
        The other files, which are listed lazily.
    """

    lake: Lake
    commit: str
    first: str
    rest: Iterator[str]

    @property
    def columns(self) -> tuple[str, ...]:
        with self._open(self.first) as file:
            return tuple(dict.fromkeys((*file.schema_arrow.names, *folder_columns(self.first))))

    def rows(self, limit: int | None) -> Iterator[dict[str, Any]]:
        import pyarrow

        left = limit
        for path in chain([self.first], self.rest):
            if not path.endswith(".parquet"):
                continue
            fixed = folder_columns(path)
            with self._open(path) as file:
                schema = file_schema(file)
                for batch in file.iter_batches(batch_size=_BATCH if left is None else min(left, _BATCH)):
                    rows = conform(pyarrow.Table.from_batches([batch]), schema).to_pylist()[:left]
                    for row in rows:
                        yield row | fixed
                    if left is not None:
                        left -= len(rows)
                        if not left:
                            return

    @contextmanager
    def _open(self, path: str) -> Generator[ParquetFile]:
        import pyarrow

        with self.lake.open_file(self.commit, path) as source:
            try:
                file = open_parquet(source)
            except (pyarrow.ArrowException, OSError) as error:
                raise CommandError(f"{path!r} cannot be read as Parquet: {error}") from error
            yield file


def folder_columns(path: str) -> dict[str, str | None]:
    """Return the columns in the Hive partition folders of a file's path, as in ``date=2017-07-28/hour=08/…``."""
    pairs = (part.partition("=") for part in path.split("/")[:-1])
    return {
        name: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
        for name, equals, value in pairs
        if name and equals
    }


@dataclass(frozen=True, slots=True)
class _Text:
    lake: Lake
    commit: str
    path: str

    @property
    def columns(self) -> None:
        return None

    def refuse_binary(self) -> None:
        with self.lake.open_file(self.commit, self.path) as stream:
            if b"\0" in stream.read(_SNIFFED):
                raise CommandError(
                    f"{self.path!r} is a binary file, and only text can be shown: `lake-assets path` prints its path"
                )

    def rows(self, limit: int | None) -> Iterator[bytes]:
        del limit  # Lines are read one by one.
        with io.BufferedReader(self.lake.open_file(self.commit, self.path)) as stream:
            yield from stream
