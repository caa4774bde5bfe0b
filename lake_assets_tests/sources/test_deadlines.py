"""A request ends at its deadline, whatever the server does with its bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lake_assets.defs.stocks.source import open_source
from lake_assets.resources.s3 import S3Settings
from lake_assets.sources import RetryLimits, SourceUnavailable
from lake_assets.sources.retries import Deadline

from .conftest import HOUR

SHORT = RetryLimits(tries=3, first_wait=0.01, deadline=0.6, read_timeout=10, connect_timeout=10)
HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "status": (b"", b"HTTP/1.1 200 " + b"O" * 10_000),
    "headers": (HEAD, b"X-Drip: " + b"x" * 10_000),
    "body": (HEAD + b"Content-Length: 10000\r\n\r\n", b"x" * 10_000),
    "size of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5;" + b"x" * 10_000),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Drip: " + b"x" * 10_000),
    "nothing": (b"", b""),
}
"""What is sent at once, and what drips after it."""


@contextmanager
def ends_in_time() -> Iterator[None]:
    before = time.monotonic()
    yield
    assert time.monotonic() - before < 8


@contextmanager
def dripping(at_once: bytes, drips: bytes) -> Iterator[str]:
    """Serve a byte each hundredth of a second to whoever connects."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.sendall(at_once)
            for byte in drips:
                if over.wait(0.01):
                    return
                connection.sendall(bytes([byte]))
            over.wait(30)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()


def spec_and_client(scheme: str, address: str) -> dict[str, Any]:
    if scheme != "s3":
        return {"spec": f"{scheme}://{address}"}
    settings = S3Settings(endpoint_url=f"http://{address}", aws_access_key_id="test", aws_secret_access_key="test")
    return {"spec": "s3://exchange/stocks", "s3": settings.client}


@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize("drip", DRIPS)
def test_a_fetch_ends_at_its_deadline(scheme: str, drip: str, into: Path) -> None:
    with dripping(*DRIPS[drip]) as address:
        source = open_source(**spec_and_client(scheme, address), limits=SHORT)
        with ends_in_time(), pytest.raises(SourceUnavailable, match=r"too slow: not done in 0\.6 s"):
            source.fetch(HOUR, into)
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize("drip", ["status", "headers", "nothing"])
def test_a_question_ends_at_its_deadline(scheme: str, drip: str) -> None:
    with dripping(*DRIPS[drip]) as address:
        source = open_source(**spec_and_client(scheme, address), limits=SHORT)
        with ends_in_time(), pytest.raises(SourceUnavailable, match=r"too slow: not done in 0\.6 s"):
            source.head(HOUR)


def test_a_handshake_ends_at_the_deadline(into: Path) -> None:
    # The header of a TLS record of 16 kB.
    with dripping(b"\x16\x03\x03\x3f\xff", b"\2" * 10_000) as address:
        source = open_source(f"https://{address}", limits=SHORT)
        with ends_in_time(), pytest.raises(SourceUnavailable, match=r"too slow|no answer"):
            source.fetch(HOUR, into)


def test_the_name_of_a_host_is_waited_for_no_longer(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30))
    with ends_in_time(), pytest.raises(SourceUnavailable, match="too slow"):
        open_source("http://slow.invalid", limits=SHORT).fetch(HOUR, into)
    over.set()


def test_the_connection_is_closed_so_that_nothing_waits_on(into: Path) -> None:
    with dripping(*DRIPS["headers"]) as address:
        with pytest.raises(SourceUnavailable):
            open_source(f"http://{address}", limits=SHORT).fetch(HOUR, into)
        for thread in threading.enumerate():
            if thread.name.startswith(f"receive http://{address}"):
                thread.join(10)
                assert not thread.is_alive()


def test_what_is_received_in_time_is_passed_on_with_its_errors() -> None:
    def chunks() -> Iterator[int]:
        yield from range(100)
        raise KeyError("end")

    received = Deadline(30).watch(chunks(), "numbers")
    assert [next(received) for _ in range(100)] == list(range(100))
    with pytest.raises(KeyError, match="end"):
        next(received)


def test_who_stops_taking_stops_the_receiver() -> None:
    ended = threading.Event()

    def chunks() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    received = Deadline(30).watch(chunks(), "numbers")
    assert [next(received) for _ in range(3)] == [1, 1, 1]
    del received
    assert ended.wait(10)
