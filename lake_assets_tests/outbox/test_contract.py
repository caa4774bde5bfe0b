"""The outbox contract: each commit's updates are seen once, whoever is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lake_assets.outbox.contract import OutboxError, Update
from lake_assets.outbox.records import Fields
from lake_assets_tests.lake.backends import DEADLINE, kill, start
from lake_assets_tests.outbox.outboxes import (
    POINTS,
    OutboxSpec,
    deliver_and_die,
    deliver_for_ever,
    numbered,
)

DOG, CAT = Update("dog", 2), Update("cat", 1)


def test_an_outbox_that_was_never_used_has_delivered_nothing(outbox: OutboxSpec) -> None:
    assert outbox.open().delivered() is None
    with outbox.open().sender() as sender:
        assert sender.delivered is None
    assert outbox.open().delivered() is None
    assert outbox.read() == []


def test_a_commits_updates_are_read_with_the_words_that_are_gone_as_null(outbox: OutboxSpec) -> None:
    with outbox.open().sender() as sender:
        assert sender.deliver("one", [DOG, CAT]) == 2
        assert sender.deliver("two", [Update("dog", None)]) == 1
        assert sender.delivered == "two"
    assert outbox.open().delivered() == "two"
    assert outbox.read() == [DOG, CAT, Update("dog", None)]


def test_the_next_sender_goes_on_where_the_last_one_ended(outbox: OutboxSpec) -> None:
    for number, commit in enumerate(["one", "two", "three"]):
        with outbox.open().sender() as sender:
            assert sender.delivered == [None, "one", "two"][number]
            sender.deliver(commit, numbered(2, 2 * number))
    assert outbox.read() == list(numbered(6))


def test_a_commit_without_updates_moves_the_marker_only(outbox: OutboxSpec) -> None:
    with outbox.open().sender() as sender:
        assert sender.deliver("one", []) == 0
    with outbox.open().sender() as sender:
        assert sender.delivered == "one"
    assert outbox.read() == []


def test_words_of_any_kind_arrive_as_they_are(outbox: OutboxSpec) -> None:
    words = ['"', "\\", "a\nb\r\n", "Müller", "日本", "🐕", "\u2028", "\0", "null", "{}", " ", "x" * 100_000]
    updates = [Update(word, 2**62 + at) for at, word in enumerate(words)]
    with outbox.open().sender() as sender:
        sender.deliver("one", updates)
    assert outbox.read() == updates


def test_keys_and_values_of_any_kind_arrive_as_they_are(outbox: OutboxSpec) -> None:
    outbox = replace(outbox, fields=Fields())
    updates = [
        Update(["DE0007164600", 3], {"price": 1.5, "tags": ["a", None], "day": "2017-07-28"}),
        Update({"isin": "DE0007164600", "hour": 8}, [1, 2]),
        Update(7, True),
        Update(7.5, "text"),
        Update("", ""),
        Update("falsy", 0),
        Update("empty", {}),
    ]
    with outbox.open().sender() as sender:
        assert sender.deliver("one", updates) == len(updates)
    assert outbox.read() == updates


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_a_value_that_json_cannot_say_is_refused_and_nothing_is_sent(outbox: OutboxSpec, value: object) -> None:
    with outbox.open().sender() as sender, pytest.raises((ValueError, TypeError)):
        sender.deliver("one", [DOG, Update("cat", value)])
    assert outbox.open().delivered() is None
    assert outbox.read() == []


def test_where_the_updates_end_in_an_error_none_is_sent(outbox: OutboxSpec) -> None:
    def broken() -> Iterator[Update]:
        yield from numbered(10_000)
        raise ArithmeticError

    with outbox.open().sender() as sender:
        sender.deliver("one", [DOG])
        with pytest.raises(ArithmeticError):
            sender.deliver("two", broken())
        with pytest.raises(OutboxError, match="has failed: open another"):
            sender.deliver("two", [CAT])
    with outbox.open().sender() as sender:
        assert sender.delivered == "one"
        sender.deliver("two", [CAT])
    assert outbox.read() == [DOG, CAT]


def test_a_commit_of_more_updates_than_any_queue_holds_is_one_transaction(outbox: OutboxSpec) -> None:
    with outbox.open().sender() as sender:
        assert sender.deliver("one", numbered(250_000)) == 250_000
    assert outbox.read() == list(numbered(250_000))


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_the_next_sender_sends_what_is_missing_and_nothing_twice(outbox: OutboxSpec, point: str) -> None:
    with outbox.open().sender() as sender:
        sender.deliver("one", [DOG])
    killed = start(deliver_and_die, outbox, "two", 10_000, point)
    killed.join(DEADLINE)
    assert killed.exitcode == -9
    assert outbox.open().delivered() == ("two" if POINTS[point] else "one")
    assert outbox.read() == [DOG, *(numbered(10_000) if POINTS[point] else ())]
    with outbox.open().sender() as sender:
        assert sender.delivered == ("two" if POINTS[point] else "one")
        if sender.delivered == "one":
            sender.deliver("two", numbered(10_000))
        sender.deliver("three", [CAT])
    assert outbox.read() == [DOG, *numbered(10_000), CAT]


def test_senders_killed_at_any_moment_leave_each_update_once_and_in_order(outbox: OutboxSpec) -> None:
    count = 500
    for moment in range(6):
        before = int(outbox.open().delivered() or 0)
        sender = start(deliver_for_ever, outbox, count)
        end = time.monotonic() + DEADLINE
        while int(outbox.open().delivered() or 0) < before + 2:
            assert sender.is_alive()
            assert time.monotonic() < end, "the deadline has passed"
        # Somewhere within a transaction or its commit: one takes some milliseconds.
        sender.join(0.003 * moment)
        kill(sender)
    with outbox.open().sender() as last:
        delivered = int(last.delivered or 0)
    assert delivered >= 12
    assert outbox.read() == list(numbered(count * delivered, count))
