"""A proxy before a real lakeFS server that answers, or does not, as networks and busy servers do."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Fault:
    """What happens to the first request that matches, and to no other unless it lasts.

    Parameters
    ----------
    kind
        ``429``, ``500``, ``503``: the answer, without asking the server. ``drop before``, ``drop after``: the
        connection ends before or after the server acted. ``500 after``: the server acted, the answer says it did not.
        ``slow``: the answer takes a second. ``drip``: it comes byte by byte, for half a minute. ``half``: half of it,
        as if that were all.
    request
        Regular expression of method and path.
    lasting
        Whether it happens to every request that matches.
    """

    kind: str
    request: str
    lasting: bool = False
    met: threading.Event = field(default_factory=threading.Event)


class FaultyProxy:
    """Passes requests on to a server, with one fault at a time; use it as a context manager."""

    def __init__(self, endpoint: str, rewrite: Callable[[bytes], bytes] | None = None) -> None:
        """``rewrite`` changes the JSON of answers."""
        self._rewrite = rewrite
        self._upstream = urlsplit(endpoint).netloc
        self.fault: Fault | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def inject(self, kind: str, request: str, *, lasting: bool = False) -> Fault:
        """Let the next request that matches meet a fault, or each of them."""
        self.fault = Fault(kind, request, lasting)
        return self.fault

    def _take(self, request: str) -> str:
        with self._lock:
            if self.fault is None or not re.search(self.fault.request, request):
                return ""
            if self.fault.met.is_set() and not self.fault.lasting:
                return ""
            self.fault.met.set()
            return self.fault.kind

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _pass(self) -> None:
                kind = proxy._take(f"{self.command} {self.path}")
                body = self._body()
                if kind.isdigit():
                    self._answer(int(kind), [("Content-Type", "application/json")], b'{"message": "injected"}')
                    return
                if kind == "drop before":
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection(proxy._upstream, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                if body:
                    headers["Content-Length"] = str(len(body))
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if proxy._rewrite is not None and answer.getheader("Content-Type", "").startswith("application/json"):
                    content = proxy._rewrite(content)
                if kind == "drop after":
                    self.close_connection = True
                    return
                if kind == "slow":
                    time.sleep(1)
                if kind == "half":
                    content = content[: len(content) // 2]
                if kind == "drip":
                    self._drip(answer.status, answer.getheaders(), content)
                    return
                if kind == "500 after":
                    self._answer(500, [("Content-Type", "application/json")], b'{"message": "injected"}')
                    return
                self._answer(answer.status, answer.getheaders(), content)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                    parts: list[bytes] = []
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(parts)
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _drip(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                """Answer slowly from the first byte of the header on, until the other side has gone."""
                lines = [f"{name}: {value}" for name, value in headers if name.lower() not in _HOP]
                head = "\r\n".join([f"HTTP/1.1 {status} Dripping", *lines, f"Content-Length: {len(content)}", "", ""])
                self.close_connection = True
                with suppress(OSError):
                    for byte in (head.encode() + content)[:60]:
                        self.wfile.write(bytes([byte]))
                        if proxy._closing.wait(0.5):
                            return

            def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                self.send_response_only(status)
                length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
                for name, value in headers:
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


_HOP = frozenset({"content-length", "transfer-encoding", "connection", "expect"})
