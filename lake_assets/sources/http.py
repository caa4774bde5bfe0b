"""Files over http(s)."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Generic, Literal, NamedTuple, cast
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
from lake_assets.text.masking import mask, mask_path, mask_query


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
        shown = parts._replace(path=mask_path(parts.path), query=mask_query(parts.query))
        self._shown = Template(urlunsplit(shown), naming, _quoted)
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
        """Return what the server says of a file, or None if there is no such file.

        Where the server does not allow HEAD, its answer to a GET of one byte is taken.
        """
        try:
            return self._limits.keep_trying(lambda deadline: self._headers(key, deadline))
        except SourceFileMissing:
            return None

    def files(self, passed_over: Callable[[str], object] = str) -> None:
        """Return None, since http has no listing. Use :meth:`head` with the expected keys."""

    def _download(self, key: Key, into: Path, deadline: Deadline) -> FetchedFile:
        url = self.url(key)
        with self._client(deadline) as client:
            received = deadline.watch(self._ask(client, "GET", key), url)
            answer = cast(_Answer, next(received))
            if answer.status != 200:
                raise answer.error(url)
            encoding = answer.headers.get("content-encoding", "identity")
            if encoding.strip().lower() not in ("identity", ""):
                raise SourceError(f"{url}: sent as {encoding}, although the plain file was requested")
            return save_stream(
                cast(Iterator[bytes], received),
                into,
                self._template.file_name(unquote(urlsplit(url).path), key),
                url=url,
                etag=answer.headers.get("etag"),
                expected=answer.length,
            )

    def _headers(self, key: Key, deadline: Deadline) -> SourceFile:
        url = self.url(key)
        with self._client(deadline) as client:
            answer = cast(_Answer, next(deadline.watch(self._ask(client, "HEAD", key), url)))
            size = answer.length
            if answer.status in _HEAD_NOT_ALLOWED:
                answer = cast(_Answer, next(deadline.watch(self._ask(client, "GET", key, _ONE_BYTE), url)))
                size = answer.whole_length
            # No range of an empty file can be satisfied.
            if answer.status not in (200, 206) and not (answer.status == 416 and size == 0):
                raise answer.error(url)
            modified = http_date(answer.headers.get("last-modified"))
            return SourceFile(url, size, answer.headers.get("etag"), modified)

    def _client(self, deadline: Deadline) -> httpx.Client:
        """Return a client. Its end closes its connection, for which another thread may still wait."""
        left = max(deadline.left, 0.001)
        return httpx.Client(
            auth=self._auth,
            timeout=httpx.Timeout(
                min(self._limits.read_timeout, left), connect=min(self._limits.connect_timeout, left)
            ),
            follow_redirects=True,
            verify=_tls(*map(_state, ("SSL_CERT_FILE", "SSL_CERT_DIR")), os.environ.get("SSLKEYLOGFILE")),
            # The uncompressed bytes, whose length and checksum are known.
            headers={"accept-encoding": "identity"},
        )

    def _ask(
        self, client: httpx.Client, method: Literal["GET", "HEAD"], key: Key, headers: Mapping[str, str] | None = None
    ) -> Iterator[_Answer | bytes]:
        """Send one request; yield the answer's status and headers, then its body. Translate errors of the transport."""
        url = self.url(key)
        try:
            with client.stream(method, self._template.at(key), headers=headers) as response:
                answer = _Answer(response.status_code, response.headers)
                yield answer
                try:
                    yield from response.iter_raw()
                except (httpx.RemoteProtocolError, httpx.ReadError) as error:
                    raise TruncatedDownload(url, answer.length, response.num_bytes_downloaded) from error
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            # Their messages may contain parts of the address.
            raise SourceError(f"{url}: the request failed ({type(error).__name__})") from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise SourceUnavailable(f"{url}: no answer ({reason})") from error


@lru_cache(maxsize=4)
def _tls(*_states: object) -> ssl.SSLContext:
    """Return what checks certificates. It takes 30 ms to read them, so that is done once for each state of theirs."""
    return httpx.create_ssl_context()


def _state(variable: str) -> tuple[str, int, int, int] | None:
    """Return the place that a variable names, and what changes if its certificates are replaced; None if unset."""
    place = os.environ.get(variable)
    if not place:
        return None
    try:
        found = Path(place).stat()
    except OSError:
        return place, 0, 0, 0
    return place, found.st_mtime_ns, found.st_size, found.st_ino


_HEAD_NOT_ALLOWED = (405, 501)
_ONE_BYTE = {"range": "bytes=0-0"}


class _Answer(NamedTuple):
    """Status and headers of an answer."""

    status: int
    headers: Mapping[str, str]

    def error(self, url: str) -> SourceError:
        """Return the error that the status stands for."""
        return error_for(self.status, url, self.headers.get("retry-after"))

    @property
    def length(self) -> int | None:
        """Length of the body, if it is announced."""
        return _number(self.headers.get("content-length", ""))

    @property
    def whole_length(self) -> int | None:
        """Length of the whole file, of which the body may be a part."""
        if self.status == 200:
            return self.length
        return _number(self.headers.get("content-range", "").rpartition("/")[2])


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,19}", text) else None


def _quoted(text: str) -> str:
    return quote(text, safe="")


class _NoSecrets(logging.Filter):
    """Masks the URLs that httpx logs at level INFO."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                mask(str(argument)) if isinstance(argument, httpx.URL) else argument for argument in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_NoSecrets())
