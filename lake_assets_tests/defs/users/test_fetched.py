"""Users over http(s) and from S3, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.defs.users.batch_files import UsersSourceError
from lake_assets.defs.users.generator import generate
from lake_assets.defs.users.source import FetchedUsers, open_source
from lake_assets.sources import RetryLimits
from lake_assets_tests.defs.users.files import add, read
from lake_assets_tests.sources.servers import FaultyServer, Handler, S3Handler, running, status

QUICK = RetryLimits(tries=2, first_wait=0.01, longest_wait=0.02)


@pytest.fixture
def http() -> Iterator[FaultyServer]:
    with running(Handler) as server:
        yield server


@pytest.fixture
def s3() -> Iterator[FaultyServer]:
    with running(S3Handler) as server:
        yield server


def client(server: FaultyServer) -> Callable[[], Any]:
    from lake_assets.resources.s3 import S3Settings

    return lambda: S3Settings(
        endpoint_url=server.address, aws_access_key_id="test", aws_secret_access_key="test"
    ).client()


def content(folder: Path, batch: str, table: pyarrow.Table | None = None) -> bytes:
    return add(folder, batch, table).read_bytes()


def test_a_batch_has_the_same_rows_from_a_folder_by_url_and_from_s3(
    http: FaultyServer, s3: FaultyServer, tmp_path: Path
) -> None:
    body = content(tmp_path, "week 1?")
    http.files["/seed/week 1?.parquet"] = body
    http.files["/seed/users-week 1?"] = body
    s3.files["/bucket/seed/week 1?.parquet"] = body
    expected = read(open_source(str(tmp_path)), "week 1?", tmp_path)
    for source in (
        open_source(tmp_path.as_uri()),
        open_source(f"{http.address}/seed"),
        open_source(f"{http.address}/seed/users-{{batch}}?token=s3same"),
        open_source("s3://bucket/seed", s3=client(s3)),
    ):
        folder = tmp_path / "fetched"
        folder.mkdir(exist_ok=True)
        assert read(source, "week 1?", folder).equals(expected)
        assert "s3same" not in source.url("week 1?") + source.describe()


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_timestamps_of_any_writer_are_the_same_moment(http: FaultyServer, tmp_path: Path, unit: str) -> None:
    table = generate("week1")
    index = table.schema.get_field_index("registration_dttm")
    moment = table["registration_dttm"].cast(pyarrow.timestamp(unit))
    pq.write_table(table.set_column(index, "registration_dttm", moment), tmp_path / "week1.parquet")
    http.files["/week1.parquet"] = (tmp_path / "week1.parquet").read_bytes()
    folder = tmp_path / "fetched"
    folder.mkdir()
    found = [read(open_source(spec), "week1", folder) for spec in (str(tmp_path), http.address)]
    assert found[0].equals(found[1])


def test_a_file_that_is_missing_or_refused_is_named_by_its_address(http: FaultyServer, tmp_path: Path) -> None:
    source = open_source(f"{http.address}/seed", limits=QUICK)
    with pytest.raises(UsersSourceError, match=r"/seed/week1\.parquet: there is no such file"):
        source.read("week1", tmp_path)
    http.faults.append(status(403))
    with pytest.raises(UsersSourceError, match="check the credentials"):
        source.read("week1", tmp_path)
    http.faults.extend([status(503)] * 2)
    with pytest.raises(UsersSourceError, match="gave up after 2 tries"):
        source.read("week1", tmp_path)


def test_a_file_of_other_columns_is_refused_by_its_address(http: FaultyServer, tmp_path: Path) -> None:
    http.files["/week1.parquet"] = content(tmp_path, "week1", generate("week1").drop_columns("email"))
    http.files["/week2.parquet"] = b"id,email\n"
    source = open_source(http.address)
    with pytest.raises(
        UsersSourceError, match=r"^http://.*/week1\.parquet does not have .*email \(string\) is missing"
    ):
        source.read("week1", tmp_path)
    with pytest.raises(UsersSourceError, match=r"^http://.*/week2\.parquet is not a complete Parquet file"):
        source.read("week2", tmp_path)


@pytest.mark.parametrize("batch", ["../week1", ".week1", "_week1", "", "a/b"])
def test_a_batch_that_cannot_be_a_files_name_is_not_asked_for(http: FaultyServer, tmp_path: Path, batch: str) -> None:
    with pytest.raises(UsersSourceError, match="is not a valid file name"):
        open_source(http.address).read(batch, tmp_path)
    assert http.requests == []


def test_http_cannot_be_listed_and_s3_lists_its_batches(http: FaultyServer, s3: FaultyServer, tmp_path: Path) -> None:
    source = open_source(http.address)
    assert source.batches() is None
    assert "http cannot be listed" in source.why_unlisted()
    for key in ("week2.parquet", "week1.parquet", "_hidden.parquet", "notes.txt", "below/week3.parquet"):
        s3.files[f"/bucket/seed/{key}"] = key.encode()
    first = dict(open_source("s3://bucket/seed", s3=client(s3)).batches() or ())
    assert list(first) == ["week1", "week2"]
    s3.files["/bucket/seed/week2.parquet"] = b"changed"
    second = dict(open_source("s3://bucket/seed", s3=client(s3)).batches() or ())
    assert first["week1"] == second["week1"]
    assert first["week2"] != second["week2"]


@pytest.mark.parametrize(
    "spec", ["ftp://host/x", "https://", "https://host/{day}.parquet", "file://host/x", "s3://AKIA:hunter2@bucket/x"]
)
def test_what_is_not_a_source_is_refused_with_the_settings_name(spec: str) -> None:
    with pytest.raises(UsersSourceError, match="USERS_SOURCE") as error:
        open_source(spec)
    assert "hunter2" not in str(error.value)


def test_nothing_is_asked_before_a_batch_is_read() -> None:
    assert isinstance(open_source("https://host.invalid/seed"), FetchedUsers)
