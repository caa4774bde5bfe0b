from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from dagster import EnvVar, asset, materialize

from lake_assets.defs.stocks.generator import HEADER, generate
from lake_assets.defs.stocks.source import S3Settings, StocksSourceResource, open_source
from lake_assets.sources import SourceError

from .conftest import BODY, HOUR, NAME
from .servers import FaultyServer


@pytest.mark.parametrize("spec", ["", "generated", "  "])
def test_without_a_source_files_are_generated(spec: str, into: Path) -> None:
    source = open_source(spec, generator_rows=100)
    fetched = source.fetch(HOUR, into)
    assert fetched.path.name == "2017-07-28_BINS_XETR08.csv"
    assert fetched.path.read_bytes() == b"".join(generate(HOUR, 100))
    assert (fetched.rows, fetched.url) == (100, f"generated:{NAME}?rows=100")
    head = source.head(HOUR)
    assert head is not None
    assert head.version == fetched.etag


def test_a_generated_files_version_depends_on_hour_and_rows() -> None:
    versions = {
        open_source("", generator_rows=rows).head(hour) for rows in (1, 2) for hour in (HOUR, HOUR.replace(hour=9))
    }
    assert len(versions) == 4


def test_outside_trading_hours_a_generated_file_is_there_and_holds_its_header(into: Path) -> None:
    night = HOUR.replace(hour=6)
    fetched = open_source("").fetch(night, into)
    assert fetched.path.read_bytes() == HEADER
    assert fetched.rows == 0


def test_the_generated_source_lists_nothing_unless_it_is_asked_for_days() -> None:
    assert list(open_source("generated").files() or ()) == []
    asked = open_source("generated:2017-07-28..2017-07-31")
    hours = [hour for hour, _ in asked.files() or ()]
    assert hours[0] == datetime(2017, 7, 28, 7, tzinfo=timezone.utc)
    assert hours[-1] == datetime(2017, 7, 31, 19, tzinfo=timezone.utc)
    assert len(hours) == 2 * 13, "a Friday and a Monday"
    assert [file for _, file in asked.files() or ()][1] == asked.head(HOUR)
    assert len(list(open_source("generated:2017-07-28").files() or ())) == 13


@pytest.mark.parametrize(
    "window",
    [
        "x",
        "2017-07-28..",
        "..",
        "2017-07-29..2017-07-28",
        "2000-01-01..2017-07-28",
        "2017-07-28..2017-07-29..2017-07-30",
    ],
)
def test_a_window_that_is_none_or_too_long_is_refused(window: str) -> None:
    with pytest.raises(SourceError, match=r"write generated:2017-07-24\.\.2017-07-28"):
        open_source(f"generated:{window}")


@pytest.mark.parametrize("spec", ["ftp://host/x", "s3a://bucket/x", "hdfs://x", "file://host/x"])
def test_a_scheme_that_is_not_supported_is_refused_with_what_is(spec: str) -> None:
    with pytest.raises(SourceError, match=r"s3://|file:///"):
        open_source(spec)


@pytest.mark.parametrize("spec", ["/data\0", "https://host/\nx"])
def test_control_characters_are_refused(spec: str) -> None:
    with pytest.raises(SourceError, match="control characters"):
        open_source(spec)


def test_importing_the_sources_imports_nothing_heavy() -> None:
    code = (
        "import sys, dagster; before = set(sys.modules); import lake_assets.defs.stocks.source as s;"
        "s.StocksSourceResource().open(); s.open_source('s3://bucket');"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"boto3", "dagster_aws", "numpy", "pandas", "pyarrow", "httpx"}
    assert not heavy & set(done.stdout.split())


def test_a_run_may_name_another_source_than_the_resource(tmp_path: Path) -> None:
    resource = StocksSourceResource(source=str(tmp_path), generator_rows=5)
    assert resource.open().describe().startswith(str(tmp_path))
    assert resource.open("").describe().startswith(str(tmp_path))
    assert resource.open("generated").url(HOUR).endswith("rows=5")


def test_the_resource_reads_s3_with_secrets_from_the_environment(
    s3_server: FaultyServer, monkeypatch: pytest.MonkeyPatch, into: Path
) -> None:
    monkeypatch.setenv("STOCKS_SOURCE", "s3://exchange/stocks")
    monkeypatch.setenv("STOCKS_S3_SECRET", "hunter2")
    fetched: list[bytes] = []

    @asset
    def stocks(stocks_source: StocksSourceResource) -> None:
        fetched.append(stocks_source.open().fetch(HOUR, into).path.read_bytes())
        assert "hunter2" not in repr(stocks_source)

    resource = StocksSourceResource(
        source=EnvVar("STOCKS_SOURCE"),
        s3=S3Settings(
            endpoint_url=s3_server.address,
            aws_access_key_id="ann",
            aws_secret_access_key=EnvVar("STOCKS_S3_SECRET"),
        ),
    )
    assert materialize([stocks], resources={"stocks_source": resource}).success
    assert fetched == [BODY]
    assert "Credential=ann/" in s3_server.requests[0][2]["authorization"]


def test_the_resource_does_not_show_its_source() -> None:
    assert "hunter2" not in repr(StocksSourceResource(source="https://ann:hunter2@host/x"))
