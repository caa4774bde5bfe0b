"""Servers on loopback whose answers can be spoiled: plain http, and the three S3 calls a source makes."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Fault = Callable[["Handler", bytes], None]
LAST_MODIFIED = "Fri, 28 Jul 2017 20:00:00 GMT"


def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


class FaultyServer(ThreadingHTTPServer):
    """Serves ``files`` (path to bytes); each request uses up one of ``faults`` while there are any.

    A path in ``always`` has its fault each time.
    """

    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.files: dict[str, bytes] = {}
        self.faults: deque[Fault] = deque()
        self.always: dict[str, Fault] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.over = Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        body = self.server.files.get(path)
        if path in self.server.always:
            self.server.always[path](self, body or b"")
        elif self.server.faults:
            self.server.faults.popleft()(self, body or b"")
        elif body is None:
            self.answer(404, b"no such file")
        else:
            self.answer(200, body)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.start(status, len(body), body, **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def start(self, status: int, length: int | None, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("ETag", etag_of(body))
        self.send_header("Last-Modified", LAST_MODIFIED)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def drop(self) -> None:
        """End the connection with a reset, as a crashed server does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()


class S3Handler(Handler):
    """GetObject, HeadObject and ListObjectsV2, path style; ``files`` are ``/bucket/key``."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if query.get("list-type") == ["2"]:
            self.list_objects(query)
        elif status == 404:
            super().answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            super().answer(status, body, **headers)

    def list_objects(self, query: dict[str, list[str]]) -> None:
        bucket = urlsplit(self.path).path.strip("/")
        prefix = f"/{bucket}/{query.get('prefix', [''])[0]}"
        keys = sorted(path for path in self.server.files if path.startswith(prefix))
        if not any(path.startswith(f"/{bucket}/") for path in self.server.files):
            return super().answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        start = int(query.get("continuation-token", ["0"])[0])
        page = keys[start : start + 1000]
        more = start + 1000 < len(keys)
        items = "".join(
            f"<Contents><Key>{escape(key.removeprefix(f'/{bucket}/'))}</Key>"
            f"<LastModified>2017-07-28T20:00:00.000Z</LastModified>"
            f"<ETag>{escape(etag_of(self.server.files[key]))}</ETag>"
            f"<Size>{len(self.server.files[key])}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{start + 1000}</NextContinuationToken>" if more else ""
        return super().answer(
            200,
            f'<?xml version="1.0"?><ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>'
            f"{token}{items}</ListBucketResult>".encode(),
        )


@contextmanager
def running(handler: type[Handler]) -> Iterator[FaultyServer]:
    server = FaultyServer(handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def status(code: int, **headers: str) -> Fault:
    return lambda handler, _: Handler.answer(handler, code, b"<Error/>", **headers)


def dropped_before_headers(handler: Handler, _: bytes) -> None:
    handler.drop()


def dropped_after_headers(handler: Handler, body: bytes) -> None:
    handler.start(200, len(body), body)
    handler.drop()


def truncated(at: int) -> Fault:
    """The body ends early, in good order: a proxy that gave up."""

    def fault(handler: Handler, body: bytes) -> None:
        handler.start(200, len(body), body)
        handler.wfile.write(body[:at])
        handler.close_connection = True

    return fault


def chunked_and_cut(handler: Handler, body: bytes) -> None:
    handler.start(200, None, body, Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%s\r\n" % (10, body[:10]))
    handler.close_connection = True


def chunked(handler: Handler, body: bytes) -> None:
    handler.start(200, None, body, Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


def silent(handler: Handler, body: bytes) -> None:
    """The body stops half way, and the connection stays open."""
    handler.start(200, len(body), body)
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.server.over.wait(30)


def dripping(handler: Handler, body: bytes) -> None:
    """Never silent for long, and never done."""
    handler.start(200, len(body), body)
    for index in range(len(body)):
        try:
            handler.wfile.write(body[index : index + 1])
        except OSError:
            return
        if handler.server.over.wait(0.01):
            return


def endless_lines(block: bytes, times: int) -> Fault:
    """A large body, made of one block over and over."""

    def fault(handler: Handler, body: bytes) -> None:
        handler.start(200, len(block) * times)
        for _ in range(times):
            handler.wfile.write(block)

    return fault
