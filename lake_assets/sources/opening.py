"""Opening a source by its specification."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lake_assets.sources.contract import Key, Source, SourceError
from lake_assets.sources.retries import RetryLimits
from lake_assets.sources.template import Naming
from lake_assets.text.masking import unclear_user_part

if TYPE_CHECKING:
    from lake_assets.sources.s3 import S3Client

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_source(
    spec: str,
    naming: Naming[Key],
    *,
    s3: Callable[[], S3Client] | None = None,
    limits: RetryLimits | None = None,
    links_outside: bool = False,
) -> Source[Key]:
    """Return the source of a specification. Nothing is read or connected yet.

    Parameters
    ----------
    spec
        A base, or a template with the naming's placeholders. It is a local folder (also as ``file://``), an
        ``http(s)://`` URL or ``s3://bucket/prefix``.
    naming
        The naming of the files.
    s3
        Makes the S3 client at first use. The default is dagster-aws's S3 resource with the AWS credential chain.
    limits
        Limits of tries and times. None for the defaults.
    links_outside
        Whether links in a folder may lead out of it.

    Raises
    ------
    SourceError
        The specification is not valid.
    """
    spec = spec.strip()
    limits = limits or RetryLimits()
    refuse_unclear(spec, naming.source)
    match _scheme(spec):
        case "" | "file":
            from lake_assets.sources.local import LocalSource

            return LocalSource(local_path(spec, naming.source), naming, limits, links_outside)
        case "http" | "https":
            from lake_assets.sources.http import HttpSource

            return HttpSource(spec, naming, limits)
        case "s3":
            from lake_assets.sources.s3 import S3Source, default_client

            return S3Source(spec, naming, s3 or default_client, limits)
        case other:
            raise SourceError(
                f"{naming.source}: {other}:// is not supported; give a folder, file://, http://, https:// or s3://"
            )


def refuse_unclear(spec: str, source: str) -> None:
    """Refuse a specification that might be shown with a part of a password, or that controls a terminal.

    Parameters
    ----------
    spec
        The specification.
    source
        Name of the source in messages.

    Raises
    ------
    SourceError
        It contains control characters, or a user part that is not quoted. The message does not contain it.
    """
    if not spec.isprintable():
        raise SourceError(f"{source}: it contains control characters")
    if problem := unclear_user_part(spec):
        raise SourceError(f"{source}: {problem}")


def is_local(spec: str) -> bool:
    """Tell whether a specification is a path or a ``file://`` URL."""
    return _scheme(spec.strip()) in ("", "file")


def local_path(spec: str, source: str) -> str:
    """Return the path of a local source.

    Parameters
    ----------
    spec
        A path, or a ``file://`` URL.
    source
        Name of the source in messages.

    Raises
    ------
    SourceError
        The URL names another host.
    """
    if _scheme(spec) != "file":
        return spec
    parts = urlsplit(spec.replace("?", "%3F").replace("#", "%23"))
    if parts.netloc not in ("", "localhost"):
        raise SourceError(f"{source}: a file URL needs an absolute path, as in file:///data")
    return unquote(parts.path)


def _scheme(spec: str) -> str:
    scheme = _SCHEME.match(spec)
    return scheme[1].lower() if scheme else ""
