"""A proxy before DynamoDB Local: it counts the items that reach the server, and throttles, drops or delays answers."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["throttled", "dropped", "lost", "slow"]
"""Refused by the server, never received by it, done without an answer, or done late."""

_THROTTLED = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"})


class Proxy:
    """The proxy of one server.

    Parameters
    ----------
    endpoint
        Endpoint of the server.
    """

    def __init__(self, endpoint: str) -> None:
        self.server = urlsplit(endpoint).netloc
        self.written: Counter[str] = Counter()
        self.fault: Fault | None = None
        self.every = 4
        self.faults = 0
        self._requests = 0
        self._lock = threading.Lock()
        self.endpoint = ""

    def fault_of_next(self) -> Fault | None:
        """Return what becomes of the next request."""
        with self._lock:
            self._requests += 1
            if self.fault is None or self._requests % self.every:
                return None
            self.faults += 1
            return self.fault

    def count(self, operation: str, body: Any) -> None:
        """Count the items that a request writes, by table."""
        with self._lock:
            if operation == "BatchWriteItem":
                self.written.update({table: len(items) for table, items in body["RequestItems"].items()})
            elif operation == "TransactWriteItems":
                writes = [change.get("Put") or change.get("Delete") or {} for change in body["TransactItems"]]
                self.written.update(write["TableName"] for write in writes if write)
            elif operation in ("PutItem", "DeleteItem", "UpdateItem"):
                self.written[body["TableName"]] += 1

    def written_to(self, table: str) -> int:
        """Return how many items of a table of ours were written or deleted."""
        return sum(count for name, count in self.written.items() if name.endswith(f".{table}"))


@contextmanager
def proxied(endpoint: str) -> Generator[Proxy]:
    """Run a proxy of a server."""
    proxy = Proxy(endpoint)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.proxy.fault_of_next()
        if fault == "throttled":
            self._answer(400, _THROTTLED.encode(), [("Content-Type", "application/x-amz-json-1.0")])
            return
        if fault == "dropped":
            self.close_connection = True
            return
        connection = http.client.HTTPConnection(self.proxy.server, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        connection.request("POST", "/", body, headers | {"Host": self.proxy.server})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status == 200:
            self.proxy.count(self.headers["X-Amz-Target"].partition(".")[2], json.loads(body))
        if fault == "lost":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(0.3)
        kept = [
            (name, value) for name, value in answer.getheaders() if name.lower().startswith(("x-amz", "content-type"))
        ]
        self._answer(answer.status, content, kept)

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
