"""Fetching one file by its address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from lake_assets.sources.contract import FetchedFile, SourceError
from lake_assets.sources.opening import open_source, refuse_unclear
from lake_assets.sources.retries import RetryLimits

if TYPE_CHECKING:
    from lake_assets.sources.s3 import S3Client


class _ByName:
    """The naming of files whose names are given."""

    source = "the address"
    layout = "{name}"
    placeholders: Mapping[str, str] = {"name": "[^/]+"}

    def values(self, key: str) -> Mapping[str, str]:
        return {"name": key}

    def key(self, values: Mapping[str, str]) -> str | None:
        return values["name"]


def fetch_file(
    address: str, into: Path, *, s3: Callable[[], S3Client] | None = None, limits: RetryLimits | None = None
) -> FetchedFile:
    """Stream a file into a folder, in constant memory. A failed fetch leaves nothing there.

    Parameters
    ----------
    address
        Its address: ``http(s)://`` or ``s3://bucket/key``. A user part, and the query, are sent and never shown.
    into
        The folder. It is created if it is missing.
    s3
        Makes the S3 client at first use. The default is dagster-aws's S3 resource with the AWS credential chain.
    limits
        Limits of tries and times. None for the defaults.

    Raises
    ------
    SourceFileMissing
        There is no such file.
    SourceUnavailable, TruncatedDownload
        All tries failed.
    SourceError
        The address is not valid, or the source refused the request.
    """
    address = address.strip()
    refuse_unclear(address, _ByName.source)
    base, name = _parted(address)
    if not name or not base.partition("://")[2]:
        raise SourceError(f"{_ByName.source}: it names no file: {address}")
    return open_source(base, _ByName(), s3=s3, limits=limits).fetch(name, into)


def _parted(address: str) -> tuple[str, str]:
    """Return the address of the file's folder, and the file's name."""
    if address.lower().startswith("s3://"):
        folder, _, name = address.rpartition("/")
        return folder, name
    try:
        parts = urlsplit(address)
    except ValueError:
        raise SourceError(f"{_ByName.source}: it is not well formed") from None  # may quote it
    folder, _, name = parts.path.rpartition("/")
    return urlunsplit(parts._replace(path=folder, fragment="")), unquote(name)
