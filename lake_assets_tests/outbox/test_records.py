"""How an update is spelled, which readers of delivered topics and files rely on."""

from __future__ import annotations

import pytest

from lake_assets.outbox.contract import Update
from lake_assets.outbox.records import Fields, key_bytes


def test_word_counts_are_spelled_as_they_have_been() -> None:
    counts = Fields("word", "count")
    assert counts.encode(Update("dog", 2)) == b'{"word":"dog","count":2}'
    assert counts.encode(Update("Müller", None)) == '{"word":"Müller","count":null}'.encode()
    assert key_bytes("Müller") == "Müller".encode()


def test_equal_keys_are_equal_bytes() -> None:
    assert key_bytes({"b": 1, "a": 2}) == key_bytes({"a": 2, "b": 1}) == b'{"a":2,"b":1}'
    assert key_bytes(["a", 1]) == b'["a",1]'


def test_one_name_for_two_things_is_refused() -> None:
    with pytest.raises(ValueError, match="give them two names"):
        Fields("value", "value")
