"""Lines of text files in S3: which objects are read, and how they are named; reading them is in the cluster's tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets.defs.words.bucket import BucketSource
from lake_assets.defs.words.source import open_source
from lake_assets.resources.kafka import KafkaResource
from lake_assets.streaming.checkpoint_files import CheckpointFiles
from lake_assets.streaming.lines import blocks_of, lines_of
from lake_assets.streaming.position import Position
from lake_assets.streaming.query import StreamSourceError
from lake_assets_tests.defs.words.bucket import Bucket
from lake_assets_tests.lakefs_server import CREDENTIALS

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.lake.close()


@pytest.fixture
def source(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketSource]:
    bucket.use(monkeypatch)
    source = open_source(f"s3://{bucket.folder}/", KafkaResource())
    assert isinstance(source, BucketSource)
    yield source
    bucket.filesystem.delete_dir_contents(bucket.folder, missing_dir_ok=True)


def test_objects_of_the_prefix_are_read_and_hidden_ones_are_named(bucket: Bucket, source: BucketSource) -> None:
    read = {bucket.put(name, b"dog\n") for name in ("a.txt", "deep/er/b c%20.txt", "08:00.txt", "ä.txt")}
    read.add(bucket.put("good.gz", gzip.compress(b"dog\n")))
    passed_over = [bucket.put(name, b"dog\n") for name in ("_a.txt", ".b/c.txt", "bad.gz", "packed.zst")]
    with bucket.filesystem.open_output_stream(f"{bucket.folder}2/other.txt") as stream:
        stream.write(b"not of the prefix")
    assert source.files().keys() == read
    assert sorted(line.partition(": ")[0] for line in source.passed_over()) == sorted(f"s3://{p}" for p in passed_over)


def test_lines_are_read_from_objects_as_from_files(bucket: Bucket, source: BucketSource) -> None:
    text = b"\xef\xbb\xbfdog\r\ncat bird\n\nlast"
    for name, data in (("a.txt", text), ("a.gz", gzip.compress(text))):
        path = bucket.put(name, data)
        found = lines_of(blocks_of(path, 0, 1 << 20, 1 << 20, bucket.filesystem), 1 << 20)
        assert [line for lines in found for line in lines] == [b"dog", b"cat bird", b"", b"last"]
    assert source.name == f"s3://{bucket.folder}"


def test_an_object_that_was_changed_after_it_was_read_is_a_loss(
    bucket: Bucket, source: BucketSource, tmp_path: Path
) -> None:
    paths = [bucket.put(name, b"dog\n") for name in ("a b.txt", "c.txt")]
    log = tmp_path / "sources" / "0"
    log.mkdir(parents=True)
    times = {path: round(time * 1000) for path, time in source.files().items()}
    stale = {paths[0]: times[paths[0]] - 1, paths[1]: times[paths[1]]}
    entries = [
        {"path": f"s3a://{path.replace(' ', '%20')}", "timestamp": time, "batchId": 0} for path, time in stale.items()
    ]
    (log / "0").write_text("\n".join(["v1", *map(json.dumps, entries)]))
    position = Position("words", source.name, source.id, 0, {}, {}, {}, None)
    loss = source.loss(position, CheckpointFiles.local(tmp_path))
    assert loss.places == (f"s3://{paths[0]} was changed after it was read",)


def test_the_id_is_of_this_bucket_in_this_store(bucket: Bucket, source: BucketSource) -> None:
    bucket.put("a.txt", b"dog\n")
    assert source.id == f"{bucket.endpoint}/{bucket.folder}"


@pytest.mark.parametrize(
    "address", ["s3://", "s3:///x", "s3://key:secret@bucket/x", "s3://bucket/a//b", "s3://bucket/.."]
)
def test_an_address_that_is_none_is_refused_without_its_secrets(address: str) -> None:
    with pytest.raises(StreamSourceError) as refused:
        open_source(address, KafkaResource())
    assert "secret" not in str(refused.value)
    assert "WORDS_SOURCE" in str(refused.value)


def test_a_bucket_that_is_not_there_and_a_store_that_does_not_answer_are_one_line(
    bucket: Bucket, source: BucketSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    del source
    monkeypatch.setenv("WORDS_SOURCE", "")
    for address in ("s3://no-such-bucket/lines", f"s3://{bucket.name}/incoming/none"):
        with pytest.raises(StreamSourceError) as failed:
            _ = open_source(address, KafkaResource()).id
        assert "\n" not in str(failed.value)
        assert address in str(failed.value)
        assert CREDENTIALS[1] not in str(failed.value)
    assert CREDENTIALS[1] not in repr(open_source(address, KafkaResource()))
