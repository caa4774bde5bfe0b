"""Whether so little is new that a query is interpreted: by the sizes of new files, and the number of new records."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lake_assets.defs.words.source import KafkaSource
from lake_assets.defs.words.text_files import little_is_new
from lake_assets.kafka.address import TopicAddress
from lake_assets.kafka.cluster import TopicState
from lake_assets.streaming.checkpoint_files import CheckpointFiles
from lake_assets.streaming.position import Position
from lake_assets.streaming.query import FEW_BYTES, FEW_RECORDS


@pytest.mark.parametrize(
    ("sizes", "little"),
    [
        ({}, True),
        ({"/read": FEW_BYTES * 100, "/new": FEW_BYTES}, True),
        ({"/read": 1, "/new": FEW_BYTES + 1}, False),
        ({"/read": 1, "/new": FEW_BYTES, "/newer": 1}, False),
        # What it holds is not known.
        ({"/read": 1, "/new.GZ": 1}, False),
        ({"/read.gz": 1, "/read": 1}, True),
    ],
)
def test_files_that_were_not_read_are_small(tmp_path: Path, sizes: dict[str, int], little: bool) -> None:
    log = tmp_path / "sources" / "0"
    log.mkdir(parents=True)
    read = [{"path": f"file://{path}", "timestamp": 1, "batchId": 0} for path in ("/read", "/read.gz")]
    (log / "0").write_text("\n".join(["v1", *map(json.dumps, read)]))
    assert little_is_new(sizes, CheckpointFiles.local(tmp_path)) == little


@pytest.mark.parametrize(
    ("read", "little"),
    [
        (None, False),
        ({"0": 9_000, "1": 500}, True),
        ({"0": 8_999, "1": 500}, False),
        # A new partition, and one that has lost what was not read.
        ({"0": 9_500}, True),
        ({"0": 9_999, "1": 0}, True),
    ],
)
def test_records_after_a_position_are_few(tmp_path: Path, read: dict[str, int] | None, little: bool) -> None:
    state = TopicState("lines", "id", earliest={0: 0, 1: 0}, latest={0: 9_000 + FEW_RECORDS, 1: 500})
    cluster: Any = SimpleNamespace(topic=lambda _: state)
    source = KafkaSource(TopicAddress.parse("kafka://localhost:9092/lines"), cluster)
    before = Position("words", "lines", "id", 0, read, {}, {}) if read is not None else None
    assert source.little_is_new(before, CheckpointFiles.local(tmp_path)) == little
