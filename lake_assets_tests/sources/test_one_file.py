"""One file is fetched by its address, and nothing secret of it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lake_assets.sources import RetryLimits, SourceError, SourceFileMissing, fetch_file
from lake_assets_tests.sources.servers import FaultyServer


def test_a_file_on_the_web_is_fetched(http: FaultyServer, into: Path, quick: RetryLimits) -> None:
    http.files["/a/b c.csv"] = b"x\n1\n"
    address = http.address.replace("http://", "http://me:geheim@") + "/a/b%20c.csv?token=T0ken&v=1#part"
    found = fetch_file(address, into, limits=quick)
    assert found.path.read_bytes() == b"x\n1\n"
    assert found.path.name.endswith(".csv")
    assert "geheim" not in found.url
    assert "T0ken" not in found.url
    method, path, headers = http.requests[-1]
    assert (method, path) == ("GET", "/a/b%20c.csv?token=T0ken&v=1")
    assert headers["authorization"].startswith("Basic ")


def test_a_file_in_a_bucket_is_fetched(
    s3_server: FaultyServer, s3_client: Callable[[], object], into: Path, quick: RetryLimits
) -> None:
    s3_server.files["/bucket/some/rows.csv"] = b"x\n1\n"
    found = fetch_file("s3://bucket/some/rows.csv", into, s3=s3_client, limits=quick)  # pyright: ignore[reportArgumentType]
    assert (found.path.name, found.size) == ("rows.csv", 4)


def test_what_is_not_there_is_an_error(http: FaultyServer, into: Path, quick: RetryLimits) -> None:
    with pytest.raises(SourceFileMissing, match=r"gone\.csv"):
        fetch_file(f"{http.address}/gone.csv", into, limits=quick)
    for address in (
        http.address,
        f"{http.address}/folder/",
        "https://",
        "s3://bucket",
        "ftp://host/rows.csv",
        "http://[",
    ):
        with pytest.raises(SourceError, match=r"^the address"):
            fetch_file(address, into, limits=quick)
