"""Killed and concurrent writers, on every store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lake_assets.nosql.contract import NoSQLStore
from lake_assets_tests.nosql.writers import (
    DEADLINE,
    Place,
    add_own,
    count,
    counts,
    feed,
    kill,
    open_at,
    spawn,
    started,
    versions,
)


@pytest.fixture(params=["dynamodb", "lmdb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place for a store that several processes open."""
    if request.param == "lmdb":
        return tmp_path / "store"
    options: dict[str, Any] = request.getfixturevalue("dynamodb").options(lease_seconds=5.0)
    return options


def values(store: NoSQLStore, column: str) -> set[Any]:
    return {value for batch in store.scan("t") for value in batch.column(column).to_pylist()}


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_counters_are_exact_however_often_their_writer_is_killed_and_retries(place: Place, kills: int) -> None:
    # So many that no writer ends before it is killed.
    rows, batches = 400, 300 if isinstance(place, Path) else 6
    store = open_at(place)
    store.write("t", counts(rows), key=["k"])
    for point in range(kills):
        begun = spawn.Event()
        writer = started(count, place, batches, rows, begun)
        assert begun.wait(DEADLINE)
        # Somewhere within one of the next batches.
        writer.join(0.02 * (point % 10))
        kill(writer)
    last = started(count, place, batches, rows, None)
    last.join(DEADLINE)
    assert last.exitcode == 0
    assert values(store, "n") == {1 + batches}
    assert store.row_count("t") == rows
    store.close()


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_a_table_whose_writer_was_killed_is_whole_or_says_that_it_is_not_and_the_next_write_mends_it(
    place: Place, kills: int
) -> None:
    rows = 3000
    store = open_at(place)
    store.write("t", versions(0, rows), key=["k"], source_commit="0")
    for point in range(kills):
        begun = spawn.Event()
        writer = started(feed, place, rows, begun)
        assert begun.wait(DEADLINE)
        writer.join(0.15 + 0.1 * point % 1)
        kill(writer)
        commit = store.source_commit("t") or ""
        found = values(store, "version")
        assert commit.startswith("unfinished-") or found == {int(commit)}
        assert store.row_count("t") == rows
        store.write(
            "t",
            versions(-point, rows),
            key=["k"],
            mode="overwrite",
            source_commit=str(-point),
            expected_commit=commit,
            check_expected=True,
        )
        assert values(store, "version") == {-point}
        assert store.source_commit("t") == str(-point)
    store.close()


def test_an_append_of_a_person_does_not_end_what_a_killed_sink_left_unfinished(dynamodb: Any) -> None:
    place = dynamodb.options(lease_seconds=5.0)
    store = open_at(place)
    store.write("t", versions(0, 2000), key=["k"], source_commit="0")
    commit = "0"
    while not commit.startswith("unfinished-"):
        begun = spawn.Event()
        writer = started(feed, place, 2000, begun)
        assert begun.wait(DEADLINE)
        writer.join(0.5)
        kill(writer)
        commit = store.source_commit("t") or ""
    store.write("t", pd.DataFrame({"k": ["mine"], "version": [9], "text": ["y"]}), key=["k"])
    assert store.source_commit("t") == commit
    assert store.row_count("t") == 2001
    store.delete("t", ["mine"])
    assert (store.source_commit("t"), store.row_count("t")) == (commit, 2000)
    store.close()


def test_writers_of_one_table_lose_nothing_of_each_other(place: Place) -> None:
    rounds = 8
    writers = [started(add_own, place, name, rounds) for name in ("a", "b", "c")]
    for writer in writers:
        writer.join(DEADLINE)
        assert writer.exitcode == 0
    store = open_at(place)
    assert store.row_count("t") == 3 * rounds == sum(batch.num_rows for batch in store.scan("t"))
    assert len(store.history("t")) == 3 * rounds
    store.close()
