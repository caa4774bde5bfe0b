"""`new_stock_files` on a real S3 server with 10,000 objects: listing, fetching and corrections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from dagster import DagsterInstance, build_sensor_context

from lake_assets import definitions, environments
from lake_assets.defs.stocks.generator import generate
from lake_assets.defs.stocks.partitions import partition_key
from lake_assets.defs.stocks.resources import stocks_source
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.s3_server import KEYS, S3Server

pytestmark = pytest.mark.soak
FIRST = datetime(2018, 1, 2, 8, tzinfo=timezone.utc)
OBJECTS = 10_000


@pytest.fixture
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


def key_of(hour: datetime) -> str:
    return f"xetra/{hour:%Y-%m-%d}/{hour:%Y-%m-%d}_BINS_XETR{hour:%H}.csv"


def test_a_bucket_of_10000_objects_is_listed_in_one_tick_and_fetched(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fresh("embedded", tmp_path, monkeypatch)
    client = server.client()
    client.create_bucket(Bucket="exchange")
    hours = [FIRST + timedelta(hours=number) for number in range(OBJECTS)]
    header = b"ISIN,Mnemonic\n"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda hour: client.put_object(Bucket="exchange", Key=key_of(hour), Body=header), hours))
    client.put_object(Bucket="exchange", Key=key_of(hours[0]), Body=b"".join(generate(hours[0], 50)))
    monkeypatch.setenv("STOCKS_SOURCE", "s3://exchange/xetra")
    for name, value in {
        "S3_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": KEYS[0],
        "AWS_SECRET_ACCESS_KEY": KEYS[1],
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.ephemeral() as instance:
        defs = definitions.definitions(environments.resources())
        repository = defs.get_repository_def()

        tags: dict[str, str] = {}

        def tick(cursor: str | None) -> tuple[list[str], str | None]:
            resources = {"stocks_source": stocks_source(), "lake": environments.resources()["lake"]}
            with build_sensor_context(
                instance=instance, cursor=cursor, repository_def=repository, resources=resources
            ) as context:
                data = repository.get_sensor_def("new_stock_files").evaluate_tick(context)
            assert data.run_requests, data.skip_message
            tags.update(data.run_requests[0].tags)
            return [request.partition_key or "" for request in data.run_requests], data.cursor

        began = time.process_time()
        asked, cursor = tick(None)
        assert asked == [partition_key(hour) for hour in hours[:100]]
        result = defs.resolve_job_def("stocks").execute_in_process(partition_key=asked[0], instance=instance, tags=tags)
        assert result.success
        # What is published is not asked for again, until its object changes.
        assert asked[0] not in tick(cursor)[0]
        client.put_object(Bucket="exchange", Key=key_of(hours[0]), Body=b"".join(generate(hours[0], 51)))
        assert tick(cursor)[0][0] == asked[0]
        assert time.process_time() - began < 60
