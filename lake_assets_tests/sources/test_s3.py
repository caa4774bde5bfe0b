from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

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

from .conftest import BODY, HOUR, NAME
from .servers import (
    Fault,
    FaultyServer,
    dropped_after_headers,
    dropped_before_headers,
    etag_of,
    status,
    truncated,
)

Stocks = Source[datetime]

Client = Callable[[], Any]
PASSING = [
    status(429),
    status(500),
    status(503),
    dropped_before_headers,
    dropped_after_headers,
    truncated(20),
]


@pytest.fixture
def source(s3_client: Client, quick: RetryLimits) -> Stocks:
    return open_source("s3://exchange/stocks", s3=s3_client, limits=quick)


def test_an_object_is_fetched_byte_for_byte_and_described(source: Stocks, into: Path) -> None:
    fetched = source.fetch(HOUR, into)
    assert fetched.path == into / "2017-07-28_BINS_XETR08.csv"
    assert fetched.path.read_bytes() == BODY
    assert fetched.url == f"s3://exchange/stocks/{NAME}" == source.url(HOUR)
    assert (fetched.size, fetched.rows, fetched.etag) == (len(BODY), 3, etag_of(BODY))
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()


def test_head_and_listing_agree(source: Stocks) -> None:
    head = source.head(HOUR)
    assert head is not None
    assert (head.size, head.etag) == (len(BODY), etag_of(BODY))
    assert list(source.files() or ()) == [(HOUR, head)]


def test_a_missing_object_is_none_or_an_error_naming_it(source: Stocks, s3_server: FaultyServer, into: Path) -> None:
    hour = HOUR.replace(hour=9)
    assert source.head(hour) is None
    with pytest.raises(SourceFileMissing, match="XETR09"):
        source.fetch(hour, into)
    assert len(s3_server.requests) == 2
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again_and_a_lasting_one_leaves_nothing(
    source: Stocks, s3_server: FaultyServer, into: Path, fault: Fault
) -> None:
    s3_server.faults.extend([fault] * 3)
    with pytest.raises((SourceUnavailable, TruncatedDownload), match="gave up after 3 tries"):
        source.fetch(HOUR, into)
    assert len(s3_server.requests) == 3
    assert list(into.iterdir()) == []
    s3_server.faults.append(fault)
    assert source.fetch(HOUR, into).sha256 == hashlib.sha256(BODY).hexdigest()


def test_a_truncated_object_names_both_lengths(source: Stocks, s3_server: FaultyServer, into: Path) -> None:
    s3_server.faults.extend([truncated(20)] * 3)
    with pytest.raises(TruncatedDownload, match=rf"expected {len(BODY)} bytes, got \d+ bytes") as caught:
        source.fetch(HOUR, into)
    assert caught.value.expected == len(BODY)
    assert caught.value.got <= 20


def test_a_refusal_is_not_tried_again(source: Stocks, s3_server: FaultyServer, into: Path) -> None:
    s3_server.faults.append(status(403))
    with pytest.raises(SourceError, match="status 403"):
        source.fetch(HOUR, into)
    assert len(s3_server.requests) == 1


def test_ten_thousand_objects_are_listed_in_ten_requests(source: Stocks, s3_server: FaultyServer) -> None:
    start = datetime(2018, 1, 1, tzinfo=timezone.utc).timestamp()
    hours = [datetime.fromtimestamp(start + 3600 * number, timezone.utc) for number in range(9_997)]
    for hour in hours:
        s3_server.files[f"/exchange/{source.url(hour).partition('exchange/')[2]}"] = b""
    s3_server.files["/exchange/stocks/README.txt"] = b""
    s3_server.files["/exchange/stocks/2018-01-01/_SUCCESS"] = b""
    s3_server.files[f"/exchange/stocks-of-others/{NAME}"] = b""
    assert source.head(HOUR) is not None
    listed = list(source.files() or ())
    assert [hour for hour, _ in listed] == [HOUR, *hours]
    assert len(s3_server.requests) == 1 + 10


def test_a_listing_is_tried_again(source: Stocks, s3_server: FaultyServer) -> None:
    s3_server.faults.append(status(503))
    assert len(list(source.files() or ())) == 1


def test_a_bucket_that_does_not_exist_is_said_to(s3_client: Client, quick: RetryLimits) -> None:
    with pytest.raises(SourceError, match="no such bucket"):
        open_source("s3://nowhere/stocks", s3=s3_client, limits=quick).files()


def test_without_credentials_the_remedy_is_botocores(
    monkeypatch: pytest.MonkeyPatch, s3_server: FaultyServer, tmp_path: Path, into: Path, quick: RetryLimits
) -> None:
    from lake_assets.resources.s3 import S3Settings

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    source = open_source("s3://exchange", s3=lambda: S3Settings(endpoint_url=s3_server.address).client(), limits=quick)
    with pytest.raises(SourceError, match="credentials"):
        source.fetch(HOUR, into)


@pytest.mark.parametrize("spec", ["s3://", "s3:///stocks", "s3://{date}/{hour}", "s3://AKIA:hunter2@bucket/x"])
def test_an_address_without_a_plain_bucket_is_refused_without_showing_it(spec: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(spec)
    assert "hunter2" not in str(caught.value)
