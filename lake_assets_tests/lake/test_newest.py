"""Which commit changed a folder last: the same answer as from all of history, and soon without reading it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygit2 import Commit as GitCommit

from lake_assets.lake.embedded import EmbeddedLake, newest
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commits each question compared; answers are written down from the fourth on."""
    found: list[int] = []
    ask = newest.newest_change

    def counted(*arguments: Any) -> tuple[GitCommit | None, int]:
        answer = ask(*arguments)
        found.append(answer[1])
        return answer

    monkeypatch.setattr(newest, "newest_change", counted)
    monkeypatch.setattr(newest, "MANY", 3)
    return found


@pytest.fixture
def lake(home: Path, read: list[int]) -> Iterator[EmbeddedLake]:
    del read
    lake = EmbeddedLake(home)
    publish(lake, "old", "1")
    for number in range(5):
        publish(lake, "new", str(number))
    yield lake
    lake.close()


def publish(lake: EmbeddedLake, prefix: str, text: str) -> str:
    lake.create_branch("run", "main")
    put(lake, "run", prefix, {"a": text})
    merged = lake.merge("run", "main", audit=TESTS)
    lake.delete_branch("run")
    return merged.id


def of_all_history(lake: EmbeddedLake, prefix: str) -> str | None:
    return next((commit.id for commit in lake.log("main", None, prefix)), None)


def newest_of(lake: EmbeddedLake, prefix: str) -> str | None:
    return next((commit.id for commit in lake.log("main", 1, prefix)), None)


@pytest.mark.parametrize("prefix", ["old", "old/a", "never"])
def test_it_is_read_from_all_of_history_once(lake: EmbeddedLake, home: Path, read: list[int], prefix: str) -> None:
    expected = of_all_history(lake, prefix)
    assert newest_of(lake, prefix) == expected
    publish(lake, "new", "another")
    assert newest_of(EmbeddedLake(home), prefix) == expected
    assert read[0] > 10
    assert read[1:] == [2]


def test_what_changes_it_after_that_is_seen(lake: EmbeddedLake) -> None:
    before = newest_of(lake, "old")
    publish(lake, "old", "2")
    assert newest_of(lake, "old") == of_all_history(lake, "old") != before


@pytest.mark.parametrize("left", ["", "\0" * 83, "0" * 40 + " " + "f" * 40 + "\n", "half of a li"])
def test_what_a_power_loss_left_of_an_answer_is_no_answer(
    lake: EmbeddedLake, home: Path, read: list[int], left: str
) -> None:
    expected = newest_of(lake, "old")
    (answer,) = (home / "lake.git" / "lake_assets.newest").iterdir()
    answer.write_text(left)
    assert newest_of(lake, "old") == expected
    assert read[1] == read[0]
    assert newest_of(lake, "old") == expected
    assert read[2] == 0


def test_a_lake_that_may_only_be_read_answers_all_the_same(
    lake: EmbeddedLake, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(newest, "make_folder", refuse)
    assert newest_of(lake, "old") == of_all_history(lake, "old")
    assert newest_of(lake, "old") == of_all_history(lake, "old")
    assert read[0] == read[1]


def test_answers_that_nobody_asks_for_go_with_the_garbage(lake: EmbeddedLake, home: Path) -> None:
    expected = newest_of(lake, "old")
    newest_of(lake, "never")
    folder = home / "lake.git" / "lake_assets.newest"
    os.utime(min(folder.iterdir()), (0, 0))
    lake.collect_garbage(timedelta(days=1))
    assert len(list(folder.iterdir())) == 1
    lake.collect_garbage(timedelta(0))
    assert list(folder.iterdir()) == []
    assert newest_of(lake, "old") == expected
    subprocess.run(["git", "-C", str(home / "lake.git"), "fsck", "--strict"], check=True, capture_output=True)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["write", "merge", "ask"]), st.integers(0, 1)), max_size=25
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_runs_side_by_side_get_the_answer_of_all_history(
    steps: list[tuple[int, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is branched, written, merged and asked in whatever order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newest, "MANY", 0)
        lake = EmbeddedLake(tmp_path_factory.mktemp("side-by-side") / "lake")
        for number, (run, step, folder) in enumerate(steps):
            name = f"run-{run}"
            if step == "ask":
                for prefix in ("0", "1"):
                    assert newest_of(lake, prefix) == of_all_history(lake, prefix)
                continue
            if name not in lake.branches():
                lake.create_branch(name, "main")
            if step == "write":
                put(lake, name, str(folder), {f"{run}-{number}": "1"}, mode="append")
            else:
                lake.merge(name, "main", audit=TESTS)
                lake.delete_branch(name)
        for prefix in ("0", "1"):
            assert newest_of(lake, prefix) == of_all_history(lake, prefix)
        lake.close()
