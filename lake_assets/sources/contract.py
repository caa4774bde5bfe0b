"""The contract of a source of files, which may be a folder, a web server or a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lake_assets.text.masking import mask
from lake_assets.text.printable import printable


class Ordered(Protocol):
    """A value that can be sorted."""

    def __lt__(self, other: Any, /) -> bool:
        """Tell whether it comes before another."""
        ...


Key = TypeVar("Key", bound=Ordered)


class SourceError(Exception):
    """The source is not configured correctly, or refused the request. The message never contains credentials.

    Parameters
    ----------
    reason
        The message. Secrets in it are masked, and control characters escaped.
    status
        The HTTP status, if the source answered with one.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(printable(mask(reason)))
        self.status = status


class SourceFileMissing(SourceError):
    """The source has no such file."""


class SourceUnavailable(SourceError):
    """The source did not answer, or asked to retry later. Another try may succeed.

    Parameters
    ----------
    reason
        The message.
    retry_after
        Seconds to wait, if the source asked for it.
    status
        The HTTP status, if the source answered with one.
    """

    def __init__(self, reason: str, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(reason, status)
        self.retry_after = retry_after


class TruncatedDownload(SourceError):
    """The number of received bytes differs from the announced length.

    Parameters
    ----------
    url
        The file.
    expected
        Announced length in bytes. None if the source announced none.
    got
        Number of received bytes.
    """

    def __init__(self, url: str, expected: int | None, got: int) -> None:
        announced = "a complete body" if expected is None else f"{expected} bytes"
        super().__init__(f"{url}: truncated, expected {announced}, got {got} bytes")
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The description of a file by its source. The file is not read.

    Parameters
    ----------
    url
        Its URL, without credentials.
    size
        Size in bytes.
    etag
        ETag.
    modified
        Time of the last change, in UTC.
    """

    url: str
    size: int | None
    etag: str | None
    modified: datetime | None

    @property
    def version(self) -> str:
        """A value that changes when the file changes: the ETag if there is one, otherwise size and time of change."""
        if self.etag:
            return self.etag
        return f"{self.size}@{self.modified.isoformat() if self.modified else ''}"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A fetched file.

    Parameters
    ----------
    path
        Path of the local copy.
    url
        Its URL, without credentials.
    etag
        ETag of these bytes, as in :attr:`SourceFile.etag`.
    sha256
        Hex digest of the bytes.
    size
        Length in bytes.
    rows
        Number of lines after the header. The last line counts with or without a newline.
    """

    path: Path
    url: str
    etag: str | None
    sha256: str
    size: int
    rows: int


class Source(Protocol[Key]):
    """Files of a domain, one for each key, such as an hour.

    Every failure of the source is a :class:`SourceError`. An ``OSError`` comes from the local disk.
    """

    def url(self, key: Key) -> str:
        """Return the URL of a key's file, for metadata. It has no credentials, so it may not be usable for opening.

        Parameters
        ----------
        key
            Key of the file.
        """
        ...

    def describe(self) -> str:
        """Return the source's name for messages, without credentials."""
        ...

    def fetch(self, key: Key, into: Path) -> FetchedFile:
        """Stream a file into a folder, in constant memory. A failed fetch leaves nothing there.

        Parameters
        ----------
        key
            Key of the file.
        into
            The folder. It is created if it is missing.

        Raises
        ------
        SourceFileMissing
            There is no such file.
        SourceUnavailable, TruncatedDownload
            All tries failed.
        SourceError
            The source refused the request.
        """
        ...

    def head(self, key: Key) -> SourceFile | None:
        """Return the source's description of a file, or None if there is no such file.

        Parameters
        ----------
        key
            Key of the file.
        """
        ...

    def files(self, passed_over: Callable[[str], object] = str) -> Iterator[tuple[Key, SourceFile]] | None:
        """List the source's files, sorted by key. None if the source cannot be listed (http).

        Parameters
        ----------
        passed_over
            Called for each file or folder that cannot be read: with its name, the reason and the remedy.
        """
        ...
