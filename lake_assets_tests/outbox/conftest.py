"""One fixture is all that an outbox needs to be put through the contract suite."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.outbox.outboxes import OutboxSpec


@pytest.fixture(params=["lines", pytest.param("kafka", marks=pytest.mark.services)])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> OutboxSpec:
    """An outbox of each kind that nothing was delivered to."""
    if request.param == "lines":
        return OutboxSpec(str(tmp_path / "out" / "counts.jsonl"))
    return fresh_topic(request.getfixturevalue("kafka"))


@pytest.fixture
def topic(kafka: KafkaBroker) -> OutboxSpec:
    """An outbox in a topic that is not there yet."""
    return fresh_topic(kafka)


def fresh_topic(kafka: KafkaBroker) -> OutboxSpec:
    return OutboxSpec(f"kafka://{kafka.servers}/counts-{uuid4().hex}")
