"""What only the outbox in a file has to stand: full disks, other people's files, two senders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.outbox.contract import OutboxDamaged, OutboxTaken, OutboxUnavailable, Update
from lake_assets.outbox.lines import MARKER, LinesOutbox, read_committed
from lake_assets_tests.depth import examples
from lake_assets_tests.outbox.outboxes import COUNTS, numbered

DOG, CAT = Update("dog", 2), Update("cat", 1)


def outbox(path: Path, deadline: float = 30.0) -> LinesOutbox:
    return LinesOutbox(path, "a lake", deadline, COUNTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counts.jsonl"


def deliver(path: Path, commit: str, *updates: Update) -> None:
    with outbox(path).sender() as sender:
        sender.deliver(commit, updates)


def test_the_lines_are_plain_json(path: Path) -> None:
    deliver(path, "one", DOG, Update("Müller", None))
    assert path.read_text() == '{"word":"dog","count":2}\n{"word":"Müller","count":null}\n'


def test_the_second_of_two_senders_waits_for_the_first_and_then_says_so(path: Path) -> None:
    with outbox(path).sender() as first:
        assert outbox(path).delivered() is None
        with pytest.raises(OutboxTaken, match="another run"), outbox(path, deadline=0.2).sender():
            pass
        first.deliver("one", [DOG])
        assert outbox(path).delivered() == "one"
    with outbox(path, deadline=0.2).sender() as second:
        assert second.delivered == "one"


def test_a_file_that_was_removed_is_delivered_anew(path: Path) -> None:
    deliver(path, "one", DOG)
    path.unlink()
    assert outbox(path).delivered() is None
    assert list(read_committed(path, COUNTS)) == []
    deliver(path, "two", CAT)
    assert list(read_committed(path, COUNTS)) == [CAT]


def test_somebodys_own_file_is_left_as_it_is(path: Path) -> None:
    path.write_text("my notes\n")
    with pytest.raises(OutboxDamaged, match="no marker file"), outbox(path).sender():
        pass
    assert path.read_text() == "my notes\n"


def test_a_file_that_lost_delivered_lines_is_refused(path: Path) -> None:
    deliver(path, "one", DOG, CAT)
    path.write_text('{"word":"dog","count":2}\n')
    with pytest.raises(OutboxDamaged, match="another program wrote to it"), outbox(path).sender():
        pass
    with pytest.raises(OutboxDamaged, match="another program wrote to it"):
        list(read_committed(path, COUNTS))


def test_a_marker_that_is_none_is_named_with_the_remedy(path: Path) -> None:
    deliver(path, "one", DOG)
    marker = path.with_name(path.name + MARKER)
    marker.write_text("{")
    with pytest.raises(OutboxDamaged, match="remove it"):
        outbox(path).delivered()
    with pytest.raises(OutboxDamaged, match="remove it"), outbox(path).sender():
        pass


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, remedy in (("", "not a folder"), ("file/below", "choose another path")):
        with pytest.raises(OutboxUnavailable, match=remedy), outbox(tmp_path / place).sender():
            pass


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small disk (tmpfs) can be mounted: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_marker_where_it_was_and_its_space_is_given_back(disk: Path) -> None:
    path = disk / "counts.jsonl"
    deliver(path, "one", DOG)
    with pytest.raises(OutboxUnavailable, match="No space left on device: free space"), outbox(path).sender() as sender:
        sender.deliver("two", numbered(100_000))
    assert outbox(path).delivered() == "one"
    assert list(read_committed(path, COUNTS)) == [DOG]
    assert os.stat(path).st_size < 100  # noqa: PTH116
    deliver(path, "two", CAT)
    assert list(read_committed(path, COUNTS)) == [DOG, CAT]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=examples(50))
@given(batches=st.lists(st.lists(st.builds(Update, words, st.none() | st.integers(0, 2**63 - 1))), max_size=4))
def test_whatever_is_delivered_is_read_again(tmp_path: Path, batches: list[list[Update]]) -> None:
    path = tmp_path / "counts.jsonl"
    path.unlink(missing_ok=True)
    with outbox(path).sender() as sender:
        for number, batch in enumerate(batches):
            sender.deliver(str(number), batch)
    assert list(read_committed(path, COUNTS)) == [update for batch in batches for update in batch]
