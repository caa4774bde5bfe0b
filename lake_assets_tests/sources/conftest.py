"""A faulty http server, a faulty S3 server, and bounds short enough to be tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from lake_assets.sources import RetryLimits

from .servers import FaultyServer, Handler, S3Handler, running

HOUR = datetime(2017, 7, 28, 8, tzinfo=timezone.utc)
NAME = "2017-07-28/2017-07-28_BINS_XETR08.csv"
BODY = b"ISIN,Mnemonic\n" + b'"CH0011075394","ZFIN"\n' * 3


@pytest.fixture
def quick() -> RetryLimits:
    return RetryLimits(tries=3, first_wait=0.01, longest_wait=0.02, deadline=60, connect_timeout=10, read_timeout=10)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def http() -> Iterator[FaultyServer]:
    with running(Handler) as server:
        server.files[f"/{NAME}"] = BODY
        yield server


@pytest.fixture
def s3_server() -> Iterator[FaultyServer]:
    with running(S3Handler) as server:
        server.files[f"/exchange/stocks/{NAME}"] = BODY
        yield server


@pytest.fixture
def s3_client(s3_server: FaultyServer) -> Callable[[], object]:
    from lake_assets.resources.s3 import S3Settings

    return lambda: S3Settings(
        endpoint_url=s3_server.address, aws_access_key_id="test", aws_secret_access_key="test"
    ).client()
