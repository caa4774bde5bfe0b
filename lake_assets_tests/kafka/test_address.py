"""Where a topic is, as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.kafka import TopicAddress

_HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True) | st.just("[::1]")
_SERVERS = st.tuples(_HOSTS, st.integers(1, 65535)).map(lambda server: f"{server[0]}:{server[1]}")
_TOPICS = st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True).filter(lambda name: name not in {".", ".."})


@given(st.lists(_SERVERS, min_size=1, max_size=4).map(",".join), _TOPICS)
def test_an_address_is_read_back_from_its_text(servers: str, topic: str) -> None:
    address = TopicAddress(servers, topic)
    assert TopicAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "does not begin with kafka://"),
        ("/srv/lines", "does not begin with kafka://"),
        ("http://a:9092/t", "does not begin with kafka://"),
        ("kafka:a:9092/t", "does not begin with kafka://"),
        ("kafka://a/t", "'a' is not host:port"),
        ("kafka://a:9092,/t", "'' is not host:port"),
        ("kafka://a:0/t", "'a:0' is not host:port"),
        ("kafka://a:65536/t", "'a:65536' is not host:port"),
        ("kafka://:9092/t", "':9092' is not host:port"),
        ("kafka://a:9092", "name is missing"),
        ("kafka://a:9092/", "name is missing"),
        ("kafka://a:9092/..", "'..' is not a valid topic name"),
        ("kafka://a:9092/t/u", "'t/u' is not a valid topic name"),
        ("kafka://a:9092/wörter", "is not a valid topic name"),
        ("kafka://a:9092/" + "t" * 250, "is not a valid topic name"),
        ("kafka://a:9092/t\n", "is not a valid topic name"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_an_example(url: str, what: str) -> None:
    with pytest.raises(ValueError, match="an example is kafka://") as refused:
        TopicAddress.parse(url)
    assert what in str(refused.value)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="KAFKA_SASL_PASSWORD") as refused:
        TopicAddress.parse("kafka://user:word@a:9092/t")
    assert "user:word" not in str(refused.value)
