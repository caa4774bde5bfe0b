"""What stands at a place of the lake, read as it is needed: rows of Parquet, or lines of text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from lake_assets.cli.errors import CommandError
from lake_assets.frames.arrow import conform
from lake_assets.frames.parquet import file_schema, open_parquet
from lake_assets.lake.contract import Lake, Snapshot

_BATCH = 1024
_SNIFFED = 8000
"""Bytes of a file's beginning that tell text from binary, by Git's rule: binary holds a NUL."""


class Content(Protocol):
    """Rows or lines."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Columns of the first file's rows; None for lines."""
        ...

    def rows(self, limit: int | None) -> Iterator[Any]:
        """Yield rows as column name to value, or lines; no more is read than ``limit`` of them need."""
        ...


def open_content(lake: Lake, ref: str, prefix: str) -> Content:
    """Return what stands at a prefix.

    Raises
    ------
    PathNotFound
        Nothing does.
    CommandError
        Several files that are no Parquet, or a binary file.
    """
    snapshot = lake.path(ref, prefix)
    files = [item.path for item in lake.list(snapshot.commit, prefix)]
    if files != [prefix]:
        files = [path for path in files if not path.rpartition("/")[2].startswith(("_", "."))]
    parquet = [path for path in files if path.endswith(".parquet")]
    if parquet:
        return _Parquet(snapshot, parquet)
    if len(files) != 1:
        some = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
        raise CommandError(
            f"{prefix!r} holds {len(files)} files, and no Parquet: name one of them ({some})"
            if files
            else f"{prefix!r} holds no data file; `lake-assets ls` shows what there is"
        )
    text = _Text(snapshot, files[0])
    text.refuse_binary()
    return text


def _place(snapshot: Snapshot, path: str) -> str:
    below = path[len(snapshot.prefix) :].lstrip("/")
    return f"{snapshot.root}/{below}" if below else snapshot.root


@dataclass(frozen=True, slots=True)
class _Parquet:
    snapshot: Snapshot
    paths: list[str]

    @property
    def columns(self) -> tuple[str, ...]:
        path = self.paths[0]
        with self._open(path) as file:
            return tuple(dict.fromkeys((*file.schema_arrow.names, *folder_columns(path))))

    def rows(self, limit: int | None) -> Iterator[dict[str, Any]]:
        import pyarrow

        left = limit
        for path in self.paths:
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

    def _open(self, path: str) -> Any:
        import pyarrow

        try:
            return open_parquet(_place(self.snapshot, path), self.snapshot.filesystem)
        except (pyarrow.ArrowException, OSError) as error:
            raise CommandError(f"{path!r} cannot be read as Parquet: {error}") from error


def folder_columns(path: str) -> dict[str, str | None]:
    """Return the columns that a file's folders name, in Hive's manner: ``date=2017-07-28/hour=08/…``."""
    pairs = (part.partition("=") for part in path.split("/")[:-1])
    return {
        name: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
        for name, equals, value in pairs
        if name and equals
    }


@dataclass(frozen=True, slots=True)
class _Text:
    snapshot: Snapshot
    path: str

    @property
    def columns(self) -> None:
        return None

    def refuse_binary(self) -> None:
        with self._open() as stream:
            if b"\0" in stream.read(_SNIFFED):
                raise CommandError(
                    f"{self.path!r} is a binary file, and only text is shown: `lake-assets path` says where it is"
                )

    def rows(self, limit: int | None) -> Iterator[str]:
        del limit  # Lines are read one by one.
        with self._open() as stream, io.TextIOWrapper(stream, "utf-8", errors="backslashreplace") as text:
            for line in text:
                yield line.rstrip("\n")

    def _open(self) -> io.BufferedReader:
        place = _place(self.snapshot, self.path)
        return io.BufferedReader(self.snapshot.filesystem.open_input_stream(place))
