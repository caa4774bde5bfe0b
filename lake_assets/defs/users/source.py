"""The source of batches of users: Parquet files in a folder, over http(s) or in S3, or the generator."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from lake_assets import sources
from lake_assets.compute.row_groups import row_groups_of
from lake_assets.defs.users.batches import GeneratedBatch, as_users
from lake_assets.defs.users.naming import BATCH_FILES, SUFFIX
from lake_assets.defs.users.schema import COLUMNS
from lake_assets.sources import RetryLimits, Source, SourceError
from lake_assets.sources.links import Base, LinkRefused, show
from lake_assets.sources.opening import is_local, local_path, refuse_unclear
from lake_assets.text.masking import mask
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from lake_assets.compute.parts import Task
    from lake_assets.sources.s3 import S3Client

GENERATED = "generated"


class UsersSourceError(Exception):
    """A source or a batch cannot be read. The message contains the remedy.

    Parameters
    ----------
    reason
        The message. Secrets in it are masked, and control characters escaped.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(printable(mask(reason)))


class UsersSource(Protocol):
    """A source of batches of users."""

    def describe(self) -> str:
        """Return the name of the source for messages."""
        ...

    def url(self, batch: str) -> str:
        """Return the URL of a batch, for metadata."""
        ...

    def read(self, batch: str, folder: Path) -> Sequence[Task]:
        """Return the tasks that make the rows of a batch. Its schema is checked, but no row is read yet.

        Parameters
        ----------
        batch
            Key of the batch.
        folder
            A folder that exists until the tasks are done, for a file that must be fetched.

        Raises
        ------
        UsersSourceError
            There is no such batch, or it is not a Parquet file with this schema.
        """
        ...

    def batches(self) -> Iterator[tuple[str, str]] | None:
        """Yield key and version of each batch, sorted by key. None if the source cannot be listed.

        Raises
        ------
        UsersSourceError
            The source cannot be listed.
        """
        ...

    def why_unlisted(self) -> str:
        """Return why the source cannot be listed, and what to do instead."""
        ...

    def passed_over(self) -> Sequence[str]:
        """Describe the files that are skipped because of their names, each with reason and remedy."""
        ...


def open_source(
    spec: str,
    *,
    s3: Callable[[], S3Client] | None = None,
    limits: RetryLimits | None = None,
    links_outside: bool = False,
) -> UsersSource:
    """Return the source of a specification. Nothing is read or connected yet.

    Parameters
    ----------
    spec
        ``generated``, a folder (also as ``file://``), or an ``http(s)://`` or ``s3://`` URL, which may be a template
        with ``{batch}``.
    s3
        Makes the S3 client at first use.
    limits
        Limits of tries and times for http(s) and S3. None for the defaults.
    links_outside
        Whether links in a folder may lead out of it.

    Raises
    ------
    UsersSourceError
        The specification is not valid.
    """
    if spec == GENERATED:
        return GeneratedUsers()
    try:
        if is_local(spec):
            refuse_unclear(spec, BATCH_FILES.source)
            return FolderOfUsers(local_path(spec, BATCH_FILES.source), links_outside)
        return FetchedUsers(sources.open_source(spec, BATCH_FILES, s3=s3, limits=limits))
    except SourceError as error:
        raise UsersSourceError(str(error)) from error


class GeneratedUsers:
    """The generator as a source. It has a batch for every key."""

    def describe(self) -> str:
        """Return its name."""
        return GENERATED

    def url(self, batch: str) -> str:
        """Return a name that contains everything the batch depends on."""
        return f"{GENERATED}:{quote(batch)}"

    def read(self, batch: str, folder: Path) -> Sequence[Task]:
        """Return the task that generates the batch."""
        return [GeneratedBatch(batch)]

    def batches(self) -> None:
        """Return None, since there are infinitely many batches."""

    def why_unlisted(self) -> str:
        """Return the reason."""
        return "it has a batch for every key, so none is new"

    def passed_over(self) -> Sequence[str]:
        """Return nothing."""
        return ()


class FetchedUsers:
    """Files over http(s) or in S3, by default ``BASE/userdata1.parquet`` for batch ``userdata1``.

    Parameters
    ----------
    source
        The source of the files.
    """

    def __init__(self, source: Source[str]) -> None:
        self._source = source

    def describe(self) -> str:
        """Return the address, without credentials."""
        return self._source.describe()

    def url(self, batch: str) -> str:
        """Return the file's address, without credentials."""
        return self._source.url(batch)

    def read(self, batch: str, folder: Path) -> Sequence[Task]:
        """Fetch the batch's file, and return the tasks that read it."""
        _check_name(batch)
        try:
            fetched = self._source.fetch(batch, folder)
        except SourceError as error:
            raise UsersSourceError(str(error)) from error
        return _tasks(fetched.path, fetched.url)

    def batches(self) -> Iterator[tuple[str, str]] | None:
        """Yield the batches of the source. None for http(s), which has no listing."""
        try:
            listed = self._source.files()
        except SourceError as error:
            raise UsersSourceError(str(error)) from error
        return None if listed is None else ((batch, file.version) for batch, file in listed)

    def why_unlisted(self) -> str:
        """Return the reason."""
        return "http cannot be listed; run a batch by its name instead"

    def passed_over(self) -> Sequence[str]:
        """Return an empty tuple: files that are not batches are not listed."""
        return ()


class FolderOfUsers:
    """A folder whose file ``userdata1.parquet`` is the batch ``userdata1``.

    The files are read where they are, so they can have any size. Spark's workers must see the folder.
    """

    def __init__(self, folder: str, links_outside: bool = False) -> None:
        self._folder = Path(folder).expanduser().absolute()
        self._base = Base(os.path.realpath(self._folder), links_outside)

    def describe(self) -> str:
        """Return the folder."""
        return str(self._folder)

    def url(self, batch: str) -> str:
        """Return a ``file://`` URL."""
        return f"file://{quote(os.fsencode(self._path(batch)))}"

    def read(self, batch: str, folder: Path) -> Sequence[Task]:
        """Return the tasks that read the batch's file."""
        path = self._path(batch)
        try:
            self._base.real(str(path))
        except LinkRefused as refused:
            raise UsersSourceError(str(refused)) from refused
        except OSError:
            pass  # The next line says what is wrong with it.
        return _tasks(path, str(path))

    def batches(self) -> Iterator[tuple[str, str]]:
        """Yield the batches of the folder. A version consists of the file's size, modification time and inode.

        A file that has several names by links is one batch: of its own name, or else of the first.
        """
        for name, status in self._listed({}):
            version = f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"
            yield name.removesuffix(SUFFIX), version

    def why_unlisted(self) -> str:
        """Return an empty text, since a folder can always be listed."""
        return ""

    def passed_over(self) -> Sequence[str]:
        """Describe the Parquet files that are no batches because of their names, and the links that are not."""
        refused: dict[str, str] = {}
        for _ in self._listed(refused):
            pass
        named = sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        return [
            *(f"{self._folder}/{name!r} is not a batch: {why}; rename it" for name in named if (why := _fault(name))),
            *refused.values(),
        ]

    def _listed(self, refused: dict[str, str]) -> Iterator[tuple[str, os.stat_result]]:
        """Yield name and status of each batch's file, sorted by name. Add the links that are none to ``refused``."""
        try:
            files = [path for path in self._folder.iterdir() if _is_batch(path.name)]
        except OSError as error:
            raise UsersSourceError(
                f"{self._folder}: cannot be listed ({error.strerror}); check USERS_SOURCE"
            ) from error
        found: dict[str, tuple[str, os.stat_result]] = {}
        for path in sorted(files, key=lambda path: (path.is_symlink(), path.name)):
            try:
                real = self._base.real(str(path))
                status = Path(real).stat()
            except LinkRefused as error:
                refused[path.name] = str(error)
                continue
            except OSError:
                continue  # It was removed, or is a link to what was.
            if not stat.S_ISREG(status.st_mode):
                continue
            if real in found:
                like = f"it is a link to the file of {found[real][0]}; remove either"
                refused[path.name] = f"{show(path)} is not a batch: {like}"
            else:
                found[real] = path.name, status
        yield from sorted(found.values(), key=lambda item: item[0])

    def _path(self, batch: str) -> Path:
        _check_name(batch)
        return self._folder / f"{batch}{SUFFIX}"


def _tasks(path: Path, name: str) -> Sequence[Task]:
    from pyarrow.fs import LocalFileSystem

    _check_schema(path, name)
    return row_groups_of(LocalFileSystem(), str(path), [column.name for column in COLUMNS], as_users)


def _check_name(batch: str) -> None:
    if not batch or "/" in batch or _fault(batch):
        raise UsersSourceError(
            f"batch {batch!r} is not a valid file name: it must not be empty, contain '/' or a control character, or "
            "begin with '.' or '_'"
        )


def _fault(name: str) -> str | None:
    """Return why a file's name cannot be that of a batch, which becomes the key of a partition. None if it can."""
    if name.startswith((".", "_")):
        return "engines ignore such names"
    return None if printable(name) == name else "it has control characters"


def _is_batch(name: str) -> bool:
    return name.endswith(SUFFIX) and not _fault(name)


def _check_schema(path: Path, name: str) -> None:
    """Compare the columns in a file's footer with the schema.

    Parameters
    ----------
    path
        The file.
    name
        Name of the file in messages.

    Raises
    ------
    UsersSourceError
        The file is missing, cannot be opened, is not a Parquet file, or has other columns.
    """
    import pyarrow
    import pyarrow.parquet as pq

    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "there is no such file"
            raise UsersSourceError(f"{name}: {what}; a batch is the file of its name in USERS_SOURCE")
        with pq.ParquetFile(path) as file:
            schema: Any = file.schema
            stored = [schema.column(index) for index in range(len(schema))]
    except (pyarrow.ArrowException, OSError) as error:
        # For a footer that it cannot decode, Arrow raises an OSError without errno.
        refused = isinstance(error, OSError) and error.errno is not None
        what = "cannot be read" if refused else "is not a complete Parquet file"
        raise UsersSourceError(f"{name} {what}: {error}") from error
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
        raise UsersSourceError(f"{name} does not have the columns of users: {'; '.join(differences)}")


def _type(column: Any) -> str:
    """Return the Spark type of a stored column, or its Parquet type if there is no matching Spark type."""
    kind = json.loads(column.logical_type.to_json())
    stored = (column.physical_type, kind["Type"])
    if stored == ("INT64", "Timestamp") and kind["timeUnit"] == "nanoseconds":
        # pandas writes this unless `coerce_timestamps="us"` is given.
        return "timestamp in nanoseconds, which Spark cannot read"
    simple = {
        ("INT96", "None"): "timestamp",
        ("INT64", "Timestamp"): "timestamp",
        ("INT32", "None"): "int",
        ("DOUBLE", "None"): "double",
        ("BYTE_ARRAY", "String"): "string",
    }
    return simple.get(stored, " ".join(word for word in stored if word != "None"))
