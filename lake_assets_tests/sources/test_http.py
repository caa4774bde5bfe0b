from __future__ import annotations

import hashlib
import logging
import time
from datetime import datetime
from email.utils import formatdate
from pathlib import Path

import certifi
import pytest

from lake_assets.defs.stocks.source import open_source
from lake_assets.sources import (
    RetryLimits,
    Source,
    SourceError,
    SourceFileMissing,
    SourceUnavailable,
    TruncatedDownload,
)
from lake_assets.sources import http as http_source
from lake_assets.sources.status import seconds_to_wait

from .conftest import BODY, HOUR, NAME
from .servers import (
    Fault,
    FaultyServer,
    Handler,
    chunked,
    chunked_and_cut,
    dripping,
    dropped_after_headers,
    dropped_before_headers,
    etag_of,
    silent,
    status,
    truncated,
)

Stocks = Source[datetime]

PASSING = [
    *(status(code) for code in (408, 425, 429, 500, 502, 503, 504)),
    dropped_before_headers,
    dropped_after_headers,
    truncated(20),
    truncated(0),
    chunked_and_cut,
]


@pytest.fixture
def source(http: FaultyServer, quick: RetryLimits) -> Stocks:
    return open_source(http.address, limits=quick)


def test_a_file_is_fetched_byte_for_byte_and_described(source: Stocks, http: FaultyServer, into: Path) -> None:
    fetched = source.fetch(HOUR, into)
    assert fetched.path == into / "2017-07-28_BINS_XETR08.csv"
    assert fetched.path.read_bytes() == BODY
    assert fetched.url == f"{http.address}/{NAME}"
    assert (fetched.size, fetched.rows, fetched.etag) == (len(BODY), 3, etag_of(BODY))
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert [(method, path) for method, path, _ in http.requests] == [("GET", f"/{NAME}")]
    assert http.requests[0][2]["accept-encoding"] == "identity"


def test_head_says_size_etag_and_time_and_none_for_a_missing_file(source: Stocks, http: FaultyServer) -> None:
    head = source.head(HOUR)
    assert head is not None
    assert (head.size, head.etag, head.version) == (len(BODY), etag_of(BODY), etag_of(BODY))
    assert head.modified is not None
    assert head.modified.isoformat() == "2017-07-28T20:00:00+00:00"
    assert source.head(HOUR.replace(hour=9)) is None
    assert [method for method, _, _ in http.requests] == ["HEAD", "HEAD"]


@pytest.mark.parametrize("code", [405, 501])
@pytest.mark.parametrize("ranges", [True, False])
def test_where_head_is_not_allowed_one_byte_is_asked_for(
    source: Stocks, http: FaultyServer, code: int, ranges: bool
) -> None:
    def one_byte(handler: Handler, body: bytes) -> None:
        assert handler.headers["range"] == "bytes=0-0"
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-0/{len(body)}")
        handler.send_header("Content-Length", "1")
        handler.send_header("ETag", etag_of(body))
        handler.end_headers()
        handler.wfile.write(body[:1])

    http.faults.extend([status(code), one_byte] if ranges else [status(code)])
    head = source.head(HOUR)
    assert head is not None
    assert (head.size, head.etag) == (len(BODY), etag_of(BODY))
    assert [method for method, _, _ in http.requests] == ["HEAD", "GET"]
    http.faults.append(status(code))
    assert source.head(HOUR.replace(hour=9)) is None


def test_where_head_is_not_allowed_an_empty_file_has_no_first_byte(source: Stocks, http: FaultyServer) -> None:
    http.faults.extend([status(405), status(416, Content_Range="bytes */0")])
    head = source.head(HOUR)
    assert head is not None
    assert head.size == 0


@pytest.mark.parametrize("encoding", ["identity", "Identity", "IDENTITY", " identity "])
def test_a_plain_file_may_be_said_to_be_one_in_any_case(
    source: Stocks, http: FaultyServer, into: Path, encoding: str
) -> None:
    http.faults.append(lambda handler, body: handler.answer(200, body, Content_Encoding=encoding))
    assert source.fetch(HOUR, into).size == len(BODY)


def test_it_cannot_be_listed(source: Stocks) -> None:
    assert source.files() is None


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again(source: Stocks, http: FaultyServer, into: Path, fault: Fault) -> None:
    http.faults.append(fault)
    fetched = source.fetch(HOUR, into)
    assert fetched.path.read_bytes() == BODY
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert [path.name for path in into.iterdir()] == [fetched.path.name]
    assert len(http.requests) == 2


@pytest.mark.parametrize("fault", PASSING)
def test_a_lasting_fault_ends_after_the_tries_and_leaves_nothing(
    source: Stocks, http: FaultyServer, into: Path, fault: Fault
) -> None:
    http.faults.extend([fault] * 10)
    with pytest.raises((SourceUnavailable, TruncatedDownload), match="gave up after 3 tries"):
        source.fetch(HOUR, into)
    assert len(http.requests) == 3
    assert list(into.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "error"),
    [(404, SourceFileMissing), (410, SourceFileMissing), (403, SourceError), (401, SourceError)],
)
def test_a_final_answer_is_not_tried_again(
    source: Stocks, http: FaultyServer, into: Path, code: int, error: type[SourceError]
) -> None:
    http.faults.append(status(code))
    with pytest.raises(error, match=rf"{NAME}.*status {code}") as caught:
        source.fetch(HOUR, into)
    assert type(caught.value) is error
    assert len(http.requests) == 1
    assert list(into.iterdir()) == []


def test_a_silent_source_is_hung_up_on_and_tried_again(http: FaultyServer, into: Path) -> None:
    source = open_source(http.address, limits=RetryLimits(tries=2, first_wait=0.01, read_timeout=0.3))
    http.faults.append(silent)
    source.fetch(HOUR, into).path.unlink()
    http.faults.extend([silent] * 2)
    with pytest.raises(SourceUnavailable, match=r"no answer.*gave up after 2 tries"):
        source.fetch(HOUR, into)
    assert list(into.iterdir()) == []


def test_a_truncated_download_names_both_lengths(source: Stocks, http: FaultyServer, into: Path) -> None:
    http.faults.extend([truncated(20)] * 3)
    with pytest.raises(TruncatedDownload, match=rf"expected {len(BODY)} bytes, got 20 bytes") as caught:
        source.fetch(HOUR, into)
    assert (caught.value.expected, caught.value.got) == (len(BODY), 20)


def test_a_chunked_answer_needs_no_length(source: Stocks, http: FaultyServer, into: Path) -> None:
    http.faults.append(chunked)
    assert source.fetch(HOUR, into).size == len(BODY)


def test_nobody_listening_is_unavailable(into: Path, quick: RetryLimits) -> None:
    with pytest.raises(SourceUnavailable, match=r"no answer.*gave up after 3 tries"):
        open_source("http://127.0.0.1:9", limits=quick).fetch(HOUR, into)


def test_retry_after_is_waited_for(source: Stocks, http: FaultyServer, into: Path) -> None:
    http.faults.append(status(503, Retry_After="1"))
    before = time.monotonic()
    source.fetch(HOUR, into)
    assert time.monotonic() - before >= 1


def test_retry_after_past_the_deadline_gives_up_at_once(source: Stocks, http: FaultyServer, into: Path) -> None:
    http.faults.append(status(429, Retry_After="3600"))
    before = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"status 429.*gave up after 1 try"):
        source.fetch(HOUR, into)
    assert time.monotonic() - before < 30


def test_a_body_that_drips_ends_at_the_deadline(http: FaultyServer, into: Path) -> None:
    http.files[f"/{NAME}"] = BODY * 100
    http.faults.append(dripping)
    before = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"too slow: not done in 0\.5 s"):
        open_source(http.address, limits=RetryLimits(deadline=0.5)).fetch(HOUR, into)
    assert time.monotonic() - before < 30
    assert list(into.iterdir()) == []


def test_a_file_compressed_on_the_way_is_refused(source: Stocks, http: FaultyServer, into: Path) -> None:
    http.faults.append(status(200, Content_Encoding="gzip"))
    with pytest.raises(SourceError, match="sent as gzip"):
        source.fetch(HOUR, into)


def test_a_redirect_is_followed(source: Stocks, http: FaultyServer, into: Path) -> None:
    http.faults.append(status(302, Location=f"/{NAME}?moved"))
    assert source.fetch(HOUR, into).size == len(BODY)


def test_a_template_may_stand_in_the_query(http: FaultyServer, into: Path, quick: RetryLimits) -> None:
    http.files["/download"] = BODY
    source = open_source(f"{http.address}/download?day={{date}}&hour={{hour}}", limits=quick)
    assert source.url(HOUR) == f"{http.address}/download?day=2017-07-28&hour=08"
    assert source.fetch(HOUR, into).path.name == "download"
    assert http.requests[0][1] == "/download?day=2017-07-28&hour=08"


def test_a_base_keeps_its_query_behind_the_file(http: FaultyServer, into: Path, quick: RetryLimits) -> None:
    open_source(f"{http.address}/?version=2", limits=quick).fetch(HOUR, into)
    assert http.requests[0][1] == f"/{NAME}?version=2"


def test_credentials_are_sent_and_never_shown(
    http: FaultyServer, into: Path, quick: RetryLimits, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = http.address.replace("//", "//ann:hunter2@") + "/?token=s3same"
    source = open_source(secret, limits=quick)
    fetched = source.fetch(HOUR, into)
    _, path, headers = http.requests[0]
    assert headers["authorization"] == "Basic YW5uOmh1bnRlcjI="
    assert path.endswith("?token=s3same")

    shown = [source.describe(), source.url(HOUR), repr(source), repr(fetched), repr(source.head(HOUR))]
    for fault in (status(503), status(403), status(404), truncated(3), dropped_before_headers):
        http.faults.clear()
        http.faults.extend([fault] * 3)
        with pytest.raises(SourceError) as caught:
            source.fetch(HOUR, into)
        shown.append(f"{caught.value} {caught.value!r} {caught.value.__cause__}")
    shown.append(caplog.text)
    assert "HTTP Request" in caplog.text
    for text in shown:
        assert "hunter2" not in text
        assert "YW5uOmh1bnRlcjI=" not in text
        assert "s3same" not in text
    assert source.describe() == f"{http.address}/{{date}}/{{date}}_BINS_XETR{{hour}}.csv?token=***"


@pytest.mark.parametrize("spec", ["http://", "https:///x", "http://{date}/{hour}", "http://ann:hunter2@[::1"])
def test_an_address_without_a_fixed_host_is_refused(spec: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(spec)
    assert "hunter2" not in str(caught.value)


def test_a_port_that_is_none_is_refused_when_asked(into: Path, quick: RetryLimits) -> None:
    with pytest.raises(SourceError, match="the request failed"):
        open_source("http://127.0.0.1:port", limits=quick).fetch(HOUR, into)


@pytest.mark.parametrize("text", [None, "", "soon", "-1", "1.5", "inf", "9" * 400, "Fri, 99 Jul 2017 20:00:00 GMT"])
def test_a_retry_after_that_is_no_time_is_ignored(text: str | None) -> None:
    assert seconds_to_wait(text) is None


def test_a_retry_after_may_be_a_date() -> None:
    assert seconds_to_wait(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert seconds_to_wait(formatdate(time.time() - 100, usegmt=True)) == 0


def test_certificates_are_read_once_and_again_when_they_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "authorities.pem"
    place.write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(place))
    first = http_source._tls(http_source._state("SSL_CERT_FILE"))
    assert http_source._tls(http_source._state("SSL_CERT_FILE")) is first
    place.write_bytes(place.read_bytes() + b"\n")
    assert http_source._tls(http_source._state("SSL_CERT_FILE")) is not first
