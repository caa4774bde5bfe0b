"""The source of batches of users: Parquet files in a folder, over http(s) or in S3, or the generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from lake_assets import sources
from lake_assets.defs.users.batch_files import UsersSourceError, check_name, tasks_of
from lake_assets.defs.users.batches import GeneratedBatch
from lake_assets.defs.users.folder_source import FolderOfUsers
from lake_assets.defs.users.naming import BATCH_FILES
from lake_assets.sources import RetryLimits, Source, SourceError
from lake_assets.sources.opening import is_local, local_path, refuse_unclear

if TYPE_CHECKING:
    from lake_assets.compute.parts import Task
    from lake_assets.sources.s3 import S3Client


GENERATED = "generated"


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
        check_name(batch)
        try:
            fetched = self._source.fetch(batch, folder)
        except SourceError as error:
            raise UsersSourceError(str(error)) from error
        return tasks_of(fetched.path, fetched.url)

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
