"""Files over http(s)."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Generic, Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from lake_assets.sources.contract import (
    FetchedFile,
    Key,
    SourceError,
    SourceFile,
    SourceFileMissing,
    SourceUnavailable,
    TruncatedDownload,
)
from lake_assets.sources.retries import Deadline, RetryLimits
from lake_assets.sources.saving import save_stream
from lake_assets.sources.status import error_for, http_date
from lake_assets.sources.template import Naming, Template
from lake_assets.text.masking import mask, mask_query


class HttpSource(Generic[Key]):
    """An http(s) base URL or template. It cannot be listed.

    Parameters
    ----------
    location
        The URL. User and password in it are sent as basic authentication. They are never shown, and neither are the
        values in its query, except those with a placeholder.
    naming
        The naming of its files.
    limits
        Limits of tries and times.
    """

    def __init__(self, location: str, naming: Naming[Key], limits: RetryLimits) -> None:
        try:
            parts = urlsplit(location)
        except ValueError:
            raise SourceError(f"{naming.source}: the http address is not well formed") from None  # may quote it
        if not parts.hostname or "{" in parts.netloc or "}" in parts.netloc:
            raise SourceError(f"{naming.source}: an http address needs a host, without placeholders")
        self._auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
        if "{" not in parts.path + parts.query and "}" not in parts.path + parts.query:
            parts = parts._replace(path=Template(parts.path, naming).text)  # a base: the layout goes before the query
        self._template = Template(urlunsplit(parts), naming, _quoted)
        self._shown = Template(urlunsplit(parts._replace(query=mask_query(parts.query))), naming, _quoted)
        self._limits = limits

    def url(self, key: Key) -> str:
        """Return the address without credentials."""
        return self._shown.at(key)

    def describe(self) -> str:
        """Return the address with its placeholders and without credentials."""
        return self._shown.text

    def fetch(self, key: Key, into: Path) -> FetchedFile:
        """Stream the file. Each try starts from the beginning."""
        return self._limits.keep_trying(lambda deadline: self._download(key, into, deadline))

    def head(self, key: Key) -> SourceFile | None:
        """Return the file's headers, or None if there is no such file."""
        try:
            return self._limits.keep_trying(lambda deadline: self._headers(key, deadline))
        except SourceFileMissing:
            return None

    def files(self) -> None:
        """Return None, since http has no listing. Use :meth:`head` with the expected keys."""

    def _download(self, key: Key, into: Path, deadline: Deadline) -> FetchedFile:
        url = self.url(key)
        with self._ask("GET", key, deadline) as response:
            if response.status_code != 200:
                raise error_for(response.status_code, url, response.headers.get("retry-after"))
            encoding = response.headers.get("content-encoding", "identity")
            if encoding != "identity":
                raise SourceError(f"{url}: sent as {encoding}, although the plain file was requested")
            length = _length(response)
            return save_stream(
                deadline.watch(_chunks(response, url, length)),
                into,
                self._template.file_name(unquote(urlsplit(url).path), key),
                url=url,
                etag=response.headers.get("etag"),
                expected=length,
            )

    def _headers(self, key: Key, deadline: Deadline) -> SourceFile:
        url = self.url(key)
        with self._ask("HEAD", key, deadline) as response:
            if response.status_code != 200:
                raise error_for(response.status_code, url, response.headers.get("retry-after"))
            modified = http_date(response.headers.get("last-modified"))
            return SourceFile(url, _length(response), response.headers.get("etag"), modified)

    @contextmanager
    def _ask(self, method: Literal["GET", "HEAD"], key: Key, deadline: Deadline) -> Generator[httpx.Response]:
        """Send one request, and translate errors of the transport."""
        left = max(deadline.left, 0.001)
        timeout = httpx.Timeout(min(self._limits.read_timeout, left), connect=min(self._limits.connect_timeout, left))
        try:
            with (
                httpx.Client(
                    auth=self._auth,
                    timeout=timeout,
                    follow_redirects=True,
                    verify=self._tls,
                    # The uncompressed bytes, whose length and checksum are known.
                    headers={"accept-encoding": "identity"},
                ) as client,
                client.stream(method, self._template.at(key)) as response,
            ):
                yield response
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            # Their messages may contain parts of the address.
            raise SourceError(f"{self.url(key)}: the request failed ({type(error).__name__})") from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise SourceUnavailable(f"{self.url(key)}: no answer ({reason})") from error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _chunks(response: httpx.Response, url: str, length: int | None) -> Iterator[bytes]:
    try:
        yield from response.iter_raw()
    except (httpx.RemoteProtocolError, httpx.ReadError) as error:
        raise TruncatedDownload(url, length, response.num_bytes_downloaded) from error


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


class _NoSecrets(logging.Filter):
    """Masks the URLs that httpx logs at level INFO."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                mask(str(argument)) if isinstance(argument, httpx.URL) else argument for argument in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_NoSecrets())
