"""Where batches of users come from: a folder of Parquet files, or the generator."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from lake_assets.defs.users.generator import generate
from lake_assets.defs.users.schema import COLUMNS, spark_schema
from lake_assets.spark.session import AS_NAMED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

GENERATED = "generated"
SUFFIX = ".parquet"


class UsersSourceError(Exception):
    """A source, or a batch of it, that cannot be read; says what to do."""


class UsersSource(Protocol):
    """Batches of users, each by its key."""

    def describe(self) -> str:
        """Return the source's name for messages."""
        ...

    def url(self, batch: str) -> str:
        """Return where a batch is, for metadata."""
        ...

    def read(self, spark: SparkSession, batch: str) -> DataFrame:
        """Return a batch; its schema is checked, its rows are not read yet.

        Raises
        ------
        UsersSourceError
            There is no such batch, or it is no Parquet file of this schema.
        """
        ...

    def batches(self) -> Iterator[tuple[str, str]] | None:
        """Yield key and version of each batch, sorted; None where batches are without end.

        Raises
        ------
        UsersSourceError
            The source cannot be listed.
        """
        ...

    def passed_over(self) -> Sequence[str]:
        """Return the files that are no batch because of their names, each with the reason and what to do about it."""
        ...


def open_source(source: str) -> UsersSource:
    """Return the source of this name: a folder, or ``generated``."""
    return GeneratedUsers() if source == GENERATED else FolderOfUsers(source)


class GeneratedUsers:
    """The generator as a source: it has every batch."""

    def describe(self) -> str:
        """Return its name."""
        return GENERATED

    def url(self, batch: str) -> str:
        """Return a name that says all the batch depends on."""
        return f"{GENERATED}:{quote(batch)}"

    def read(self, spark: SparkSession, batch: str) -> DataFrame:
        """Generate the batch."""
        return spark.createDataFrame(generate(batch), spark_schema())

    def batches(self) -> None:
        """Return None: listing would never end."""

    def passed_over(self) -> Sequence[str]:
        """Return nothing."""
        return ()


class FolderOfUsers:
    """A folder: its file ``userdata1.parquet`` is batch ``userdata1``.

    Spark opens the files where they lie, so that their size does not matter; its workers must see the folder.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).expanduser().absolute()

    def describe(self) -> str:
        """Return the folder."""
        return str(self._folder)

    def url(self, batch: str) -> str:
        """Return a ``file://`` URL."""
        return f"file://{quote(os.fsencode(self._path(batch)))}"

    def read(self, spark: SparkSession, batch: str) -> DataFrame:
        """Open the batch's file."""
        path = self._path(batch)
        _check_schema(path)
        return spark.read.options(**AS_NAMED).schema(spark_schema()).parquet(f"file://{path}")

    def batches(self) -> Iterator[tuple[str, str]]:
        """Yield what the folder has; a version changes with the file's size, time of change or identity."""
        try:
            with os.scandir(self._folder) as entries:
                found = sorted((entry for entry in entries if _is_batch(entry)), key=lambda entry: entry.name)
        except OSError as error:
            raise UsersSourceError(
                f"{self._folder}: cannot be listed ({error.strerror}); check USERS_SOURCE"
            ) from error
        for entry in found:
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            version = f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"
            yield entry.name.removesuffix(SUFFIX), version

    def passed_over(self) -> Sequence[str]:
        """Return the Parquet files that Spark would not read."""
        hidden = sorted(path.name for path in self._folder.glob(f"[._]*{SUFFIX}"))
        return [f"{self._folder}/{name!r} is no batch: Spark passes over such names; rename it" for name in hidden]

    def _path(self, batch: str) -> Path:
        name = batch + SUFFIX
        if "/" in batch or name.startswith((".", "_")):
            # Spark passes over files so named without a word.
            raise UsersSourceError(f"batch {batch!r} is no file's name: it may not hold '/' or begin with '.' or '_'")
        return self._folder / name


def _is_batch(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(SUFFIX) and not entry.name.startswith((".", "_")) and entry.is_file()


def _check_schema(path: Path) -> None:
    """Compare a file's columns with ours, by its footer.

    Raises
    ------
    UsersSourceError
        It is missing, cannot be opened, is no Parquet file, or its columns are others.
    """
    import pyarrow
    import pyarrow.parquet as pq

    try:
        if not path.is_file():
            what = "is no file" if path.exists() else "there is no such file"
            raise UsersSourceError(f"{path}: {what}; a batch is the file of its name in USERS_SOURCE")
        with pq.ParquetFile(path) as file:
            schema: Any = file.schema
            stored = [schema.column(index) for index in range(len(schema))]
    except (pyarrow.ArrowException, OSError) as error:
        # Arrow has an error of the system's kind, without its number, for a footer that it cannot decode.
        refused = isinstance(error, OSError) and error.errno is not None
        what = "cannot be read" if refused else "is no whole Parquet file"
        raise UsersSourceError(f"{path} {what}: {error}") from error
    found = {column.path: _type(column) for column in stored}
    expected = {column.name: column.type for column in COLUMNS}
    differences = [f"{name} ({kind}) is missing" for name, kind in expected.items() if name not in found]
    differences += [f"{name} ({kind}) is not expected" for name, kind in found.items() if name not in expected]
    differences += [
        f"{name} is {found[name]}, not {kind}"
        for name, kind in expected.items()
        if name in found and found[name] != kind
    ]
    if differences:
        raise UsersSourceError(f"{path} has not the columns of users: {'; '.join(differences)}")


def _type(column: Any) -> str:
    """Return the Spark type of a stored column, or its Parquet type where it is none of ours."""
    kind = json.loads(column.logical_type.to_json())
    stored = (column.physical_type, kind["Type"])
    if stored == ("INT64", "Timestamp") and kind["timeUnit"] == "nanoseconds":
        # What pandas writes unless it is told `coerce_timestamps="us"`.
        return "timestamp in nanoseconds, which Spark cannot read"
    simple = {
        ("INT96", "None"): "timestamp",
        ("INT64", "Timestamp"): "timestamp",
        ("INT32", "None"): "int",
        ("DOUBLE", "None"): "double",
        ("BYTE_ARRAY", "String"): "string",
    }
    return simple.get(stored, " ".join(word for word in stored if word != "None"))
