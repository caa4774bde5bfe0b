"""From a source's specification to the source."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lake_assets.sources.contract import SourceError, StocksSource
from lake_assets.sources.retries import RetryLimits

if TYPE_CHECKING:
    from lake_assets.sources.s3 import S3Client

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_source(
    spec: str,
    *,
    s3: Callable[[], S3Client] | None = None,
    limits: RetryLimits | None = None,
) -> StocksSource:
    """Return the source that ``spec`` names; nothing is read or connected to yet.

    Parameters
    ----------
    spec
        A base, or a template with ``{date}`` and ``{hour}``: a local folder (or ``file://``), ``http(s)://``,
        ``s3://bucket/prefix``.
    s3
        Makes the S3 client, at first use; by default dagster-aws's S3 resource with the AWS credential chain.
    limits
        Bounds of tries and times; the default's where None.

    Raises
    ------
    SourceError
        ``spec`` names no source.

    Examples
    --------
    >>> open_source("https://host/stocks/{date}_BINS_XETR{hour}.csv?token=abc").describe()
    'https://host/stocks/{date}_BINS_XETR{hour}.csv?token=***'
    """
    spec = spec.strip()
    limits = limits or RetryLimits()
    if not spec.isprintable():
        raise SourceError("stocks source: it holds control characters")
    scheme = _SCHEME.match(spec)
    match scheme[1].lower() if scheme else "":
        case "":
            from lake_assets.sources.local import LocalSource

            return LocalSource(spec, limits)
        case "file":
            from lake_assets.sources.local import LocalSource

            parts = urlsplit(spec.replace("?", "%3F").replace("#", "%23"))
            if parts.netloc not in ("", "localhost"):
                raise SourceError("stocks source: a file address has an absolute path, as in file:///data/stocks")
            return LocalSource(unquote(parts.path), limits)
        case "http" | "https":
            from lake_assets.sources.http import HttpSource

            return HttpSource(spec, limits)
        case "s3":
            from lake_assets.sources.s3 import S3Source, aws_client

            return S3Source(spec, s3 or aws_client, limits)
        case other:
            raise SourceError(
                f"stocks source: {other}:// is not supported; give a folder, file://, http://, "
                "https://, s3:// or generated"
            )
