"""What is wrong with an address, a key or a repository's name is one line with its reason, before anything is done."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lake_assets.lake.errors import LakeError, LakeUnavailable
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.resources.lake import LakeFS
from lake_assets_tests import lakefs_server
from lake_assets_tests.lake.backends import put, read
from lake_assets_tests.lake.faults import FaultyProxy
from lake_assets_tests.lakefs_server import CREDENTIALS

SECRET = "Pa55-Word"


def refused(endpoint: str, repository: str = "lake", deadline: float = 3, keys: tuple[str, str] = CREDENTIALS) -> str:
    """Return the one line by which a lake is not opened."""
    began = time.monotonic()
    with pytest.raises(LakeError) as caught:
        LakeFSLake(endpoint, *keys, repository, deadline=deadline)
    text = str(caught.value)
    assert time.monotonic() - began < deadline + 2
    assert "\n" not in text
    assert keys[1] not in text
    assert "(0: " not in text
    return text


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (f"http://bob:{SECRET}@127.0.0.1:9", "has a user or password in it: give them as LAKEFS_ACCESS_KEY_ID"),
        (f"http://bob:{SECRET}/x@127.0.0.1:9", "LAKEFS_ENDPOINT"),
        (f"http://bob:{SECRET}#@127.0.0.1:9", "LAKEFS_ENDPOINT"),
        ("http://127.0.0.1:9/api/v1", "has a path or a query: give the server alone, http://127.0.0.1:9"),
        (f"http://127.0.0.1:9?token={SECRET}", "has a path or a query"),
        (f"http://127.0.0.1:9#{SECRET}", "has a path or a query"),
        ("127.0.0.1:8000", "is no address of a server: give it like http://"),
        ("localhost:8000", "is no address of a server"),
        ("s3://bucket", "is no address of a server"),
        ("http://:8000", "is no address of a server"),
        ("http://127.0.0.1:port", "is no address of a server"),
        ("http://127.0.0.1:99999", "is no address of a server"),
        ("http://127.0.0.1:8000\n", "is no address of a server"),
        ("http://сервер:8000", "is no address of a server"),
        ("", "is no address of a server"),
    ],
)
def test_an_endpoint_that_is_no_server_s_address_is_refused_without_showing_a_secret(
    endpoint: str, reason: str
) -> None:
    text = refused(endpoint)
    assert reason in text
    assert SECRET not in text


def test_a_password_in_the_endpoint_is_not_in_the_resource_s_repr() -> None:
    resource = LakeFS(endpoint=f"http://bob:{SECRET}@host", access_key_id="a", secret_access_key="b")
    assert SECRET not in repr(resource)
    assert SECRET not in str(resource)


@pytest.mark.parametrize("name", ["Lake", "my_lake", "a", "lake/one", "-lake", "", "l" * 64, "озеро", "lake.one"])
def test_a_repository_name_that_lakefs_refuses_is_named_with_the_rule(name: str) -> None:
    assert "is no name of a lakeFS repository: 3 to 63 lower-case letters" in refused("http://127.0.0.1:9", name)


@pytest.mark.parametrize("secret", ["секрет", "key\n", "", "schlüssel"])
def test_a_secret_that_no_key_of_lakefs_is_is_named_by_its_setting(secret: str) -> None:
    with pytest.raises(LakeUnavailable, match=r"LAKEFS_SECRET_ACCESS_KEY .*: copy it again") as caught:
        LakeFSLake("http://127.0.0.1:9", CREDENTIALS[0], secret, "lake")
    assert not secret or secret not in str(caught.value)


class Answer(BaseHTTPRequestHandler):
    """Answers every request with what its server holds."""

    def _answer(self) -> None:
        status, kind, content, extra = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def web_server(
    status: int, kind: str, content: bytes, context: ssl.SSLContext | None = None, **extra: str
) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.answer = (status, kind, content, extra)  # type: ignore[attr-defined]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "kind", "content"),
    [
        (200, "text/html", b"<html>Welcome to nginx</html>"),
        (404, "text/html", b"<html>not found</html>"),
        (404, "text/plain", b"404 page not found"),
        (403, "text/html", b"<html>Forbidden</html>"),
        (400, "text/plain", b"Bad Request"),
        (401, "text/html", b"<html>who are you</html>"),
        (405, "text/plain", b""),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"status": "ok"}'),
        (200, "application/json", b"null"),
        (404, "application/json", b'{"detail": "Not Found"}'),
        (200, "text/plain", b"pong"),
        (204, "text/plain", b""),
    ],
)
def test_a_web_server_that_is_not_lakefs_is_said_to_be_none(status: int, kind: str, content: bytes) -> None:
    with web_server(status, kind, content) as endpoint:
        assert "is not lakeFS" in refused(endpoint)


def test_a_server_that_sends_its_callers_on_is_named_with_the_other_address() -> None:
    elsewhere = f"https://bob:{SECRET}@lakefs.example.com/api?token={SECRET}"
    with web_server(301, "text/html", b"moved", Location=elsewhere) as endpoint:
        text = refused(endpoint)
    assert "sends its callers on to https://lakefs.example.com (301): give that address" in text
    assert SECRET not in text


def test_half_of_a_json_document_is_named(proxy: FaultyProxy) -> None:
    proxy.inject("half", "stat", lasting=True)
    assert "not a whole JSON document; gave up after 1 s" in refused(proxy.endpoint, deadline=1)


@pytest.mark.services
def test_tls_on_a_plain_port_is_named() -> None:
    endpoint = lakefs_server.shared_endpoint().replace("http://", "https://")
    assert "does not speak TLS at this port: begin LAKEFS_ENDPOINT with http://" in refused(endpoint)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that no authority signed, with its key."""
    both = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-days", "2", *names]
    made = subprocess.run(command, capture_output=True, check=True)
    both.write_bytes(made.stdout)
    return both


def test_a_certificate_that_is_not_accepted_is_named_and_not_tried_again(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with web_server(200, "text/html", b"", context) as endpoint:
        assert "its certificate is not accepted (self-signed certificate): set SSL_CERT_FILE" in refused(endpoint)


def test_plain_http_on_a_tls_port_is_named(certificate: Path) -> None:
    # What a server written in Go says there, and lakeFS is one.
    with web_server(400, "text/plain", b"Client sent an HTTP request to an HTTPS server.\n") as endpoint:
        assert "speaks TLS at this port: begin LAKEFS_ENDPOINT with https://" in refused(endpoint)


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    with FaultyProxy(lakefs_server.shared_endpoint()) as proxy:
        yield proxy


class BreakingTLS:
    """A TLS server before a plain one, which breaks its first handshakes."""

    def __init__(self, endpoint: str, certificate: Path, broken: int) -> None:
        self._upstream = endpoint.rpartition("/")[2].split(":")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.broken = broken

    def __enter__(self) -> BreakingTLS:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                met, _ = self._listening.accept()
                if self.broken:
                    self.broken -= 1
                    met.recv(100)
                    met.close()
                    continue
                threading.Thread(target=self._pass, args=(met,), daemon=True).start()

    def _pass(self, met: socket.socket) -> None:
        there = (self._upstream[0], int(self._upstream[1]))
        with (
            suppress(OSError),
            self._context.wrap_socket(met, server_side=True) as ours,
            socket.create_connection(there) as theirs,
        ):

            def back() -> None:
                with suppress(OSError):
                    while block := theirs.recv(1 << 16):
                        ours.sendall(block)

            threading.Thread(target=back, daemon=True).start()
            while block := ours.recv(1 << 16):
                theirs.sendall(block)


@pytest.mark.services
def test_a_broken_handshake_is_tried_again(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    repository = lakefs_server.fresh_repository().rpartition("/")[2]
    with BreakingTLS(lakefs_server.shared_endpoint(), certificate, broken=2) as tls:
        lake = LakeFSLake(tls.endpoint, *CREDENTIALS, repository, deadline=20)
        assert lake.branches() == ("main",)
        assert tls.broken == 0


# One deadline over all tries


DATA = {"a": "1" * 3_000_000}

ACTS: list[tuple[str, Callable[[LakeFSLake], object]]] = [
    (r"GET /api/.*/refs/work[/]commits", lambda lake: lake.head("work")),
    (r"(PUT|POST) /test-.*/t/a", lambda lake: put(lake, "work", "t", {"a": "2"})),
    (r"GET /test-.*/t/a", lambda lake: read(lake, "work", "t")),
]


@pytest.mark.services
@pytest.mark.parametrize("kind", ["drip", pytest.param("503", marks=pytest.mark.soak)])
@pytest.mark.parametrize(("request_", "act"), ACTS, ids=["api", "write", "read"])
def test_a_call_or_its_data_ends_within_the_deadline(
    proxy: FaultyProxy, kind: str, request_: str, act: Callable[[LakeFSLake], object]
) -> None:
    repository = lakefs_server.fresh_repository().rpartition("/")[2]
    lake = LakeFSLake(proxy.endpoint, *CREDENTIALS, repository, deadline=3)
    lake.create_branch("work", "main")
    put(lake, "work", "t", DATA)
    fault = proxy.inject(kind, request_, lasting=True)
    began = time.monotonic()
    with pytest.raises(LakeUnavailable) as caught:
        act(lake)
    assert fault.met.is_set()
    assert time.monotonic() - began < 8
    assert "\n" not in str(caught.value)
    proxy.fault = None
    assert read(lake, "work", "t") == DATA
