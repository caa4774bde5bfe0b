"""The contract of a source: where the files of a domain come from, whatever keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar


class Ordered(Protocol):
    """A value that can be sorted."""

    def __lt__(self, other: Any, /) -> bool:
        """Tell whether it comes before another."""
        ...


Key = TypeVar("Key", bound=Ordered)


class SourceError(Exception):
    """A source that cannot be used as it is configured, or that refused. Never holds credentials."""


class SourceFileMissing(SourceError):
    """The source has no such file."""


class SourceUnavailable(SourceError):
    """The source did not answer, or asked to come back later; worth another try.

    Parameters
    ----------
    retry_after
        Seconds the source asked to wait, where it did.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class TruncatedDownload(SourceError):
    """Fewer (or more) bytes arrived than the source announced.

    Parameters
    ----------
    expected
        Announced length in bytes, None where the source announced none.
    got
        Bytes that arrived.
    """

    def __init__(self, url: str, expected: int | None, got: int) -> None:
        announced = "a complete body" if expected is None else f"{expected} bytes"
        super().__init__(f"{url}: truncated, expected {announced}, got {got} bytes")
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as its source announces it, unread: size in bytes, ETag, aware UTC time of change."""

    url: str
    size: int | None
    etag: str | None
    modified: datetime | None

    @property
    def version(self) -> str:
        """What stays the same while the file does: its ETag, otherwise its size and time of change."""
        if self.etag:
            return self.etag
        return f"{self.size}@{self.modified.isoformat() if self.modified else ''}"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file as it was fetched.

    Parameters
    ----------
    path
        Where it lies now.
    url
        Where it came from, without credentials.
    etag
        The version that the source announced with these bytes, equal to :attr:`SourceFile.etag`.
    sha256
        Hex digest of the bytes.
    size
        Length in bytes.
    rows
        Lines after the header; the last one counts with or without its newline.
    """

    path: Path
    url: str
    etag: str | None
    sha256: str
    size: int
    rows: int


class Source(Protocol[Key]):
    """Files of a domain, one for each key, such as an hour.

    Every failure of the source is a :class:`SourceError`; an ``OSError`` is the disk that is written to.
    """

    def url(self, key: Key) -> str:
        """Return where the file of a key is, for metadata: without credentials, so not for opening."""
        ...

    def describe(self) -> str:
        """Return the source's name for messages, without credentials."""
        ...

    def fetch(self, key: Key, into: Path) -> FetchedFile:
        """Stream the file into the folder ``into``, in constant memory; a failed fetch leaves nothing there.

        Parameters
        ----------
        key
            Which file.
        into
            The folder; made where it is missing.

        Raises
        ------
        SourceFileMissing
            There is no such file.
        SourceUnavailable, TruncatedDownload
            Every try within the bounds failed.
        SourceError
            The source refused.
        """
        ...

    def head(self, key: Key) -> SourceFile | None:
        """Return what the source says of a file, or None where there is no such file."""
        ...

    def files(self) -> Iterator[tuple[Key, SourceFile]] | None:
        """List what the source has, ordered by key; None where it cannot be listed (http)."""
        ...
