"""Which commit changed a folder last: the same answer as from all of history, and soon without reading it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake, newest
from lake_assets.lake.lakefs import LakeFSLake, known
from lake_assets.lake.lakefs import newest as lakefs_newest
from lake_assets.lake.newest import Answer, Found
from lake_assets.lake.permissions import Sharing
from lake_assets_tests.audits import TESTS
from lake_assets_tests.depth import examples
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place, put


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commits each question compared; answers are written down from the fourth on."""
    found: list[int] = []
    ask = newest.newest_change

    def counted(*arguments: Any) -> Found | None:
        answer = ask(*arguments)
        assert answer is not None
        found.append(answer.compared)
        return answer

    monkeypatch.setattr(newest, "newest_change", counted)
    monkeypatch.setattr(newest, "MANY", 3)
    return found


@pytest.fixture
def lake(home: Path, read: list[int]) -> Iterator[GitLake]:
    del read
    lake = GitLake(home)
    publish(lake, "old", "1")
    for number in range(5):
        publish(lake, "new", str(number))
    yield lake
    lake.close()


def publish(lake: Lake, prefix: str, text: str) -> str:
    lake.create_branch("run", "main")
    put(lake, "run", prefix, {"a": text})
    merged = lake.merge("run", "main", audit=TESTS)
    lake.delete_branch("run")
    return merged.id


def of_all_history(lake: Lake, prefix: str, ref: str = "main") -> str | None:
    return next((commit.id for commit in lake.log(ref, None, prefix)), None)


def newest_of(lake: Lake, prefix: str, ref: str = "main") -> str | None:
    return next((commit.id for commit in lake.log(ref, 1, prefix)), None)


@pytest.mark.parametrize("prefix", ["old", "old/a", "never"])
def test_it_is_read_from_all_of_history_once(lake: GitLake, home: Path, read: list[int], prefix: str) -> None:
    expected = of_all_history(lake, prefix)
    assert newest_of(lake, prefix) == expected
    publish(lake, "new", "another")
    assert newest_of(GitLake(home), prefix) == expected
    assert read[0] > 10
    assert read[1:] == [2]


def test_what_changes_it_after_that_is_seen(lake: GitLake) -> None:
    before = newest_of(lake, "old")
    publish(lake, "old", "2")
    assert newest_of(lake, "old") == of_all_history(lake, "old") != before


@pytest.mark.parametrize("left", ["", "\0" * 83, "0" * 40 + " " + "f" * 40 + "\n", "half of a li"])
def test_what_a_power_loss_left_of_an_answer_is_no_answer(
    lake: GitLake, home: Path, read: list[int], left: str
) -> None:
    expected = newest_of(lake, "old")
    (answer,) = (home / "lake.git" / "lake_assets.newest").iterdir()
    answer.write_text(left)
    assert newest_of(lake, "old") == expected
    assert read[1] == read[0]
    assert newest_of(lake, "old") == expected
    assert read[2] == 0


def test_a_lake_that_may_only_be_read_answers_all_the_same(
    lake: GitLake, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sharing: Sharing, path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Sharing, "make_folder", refuse)
    assert newest_of(lake, "old") == of_all_history(lake, "old")
    assert newest_of(lake, "old") == of_all_history(lake, "old")
    assert read[0] == read[1]


def test_answers_that_nobody_asks_for_go_with_the_garbage(lake: GitLake, home: Path) -> None:
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
PREFIXES = ("t", "t/0", "t/1", "t/1/p=1", "never")


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=examples(12))
@given(steps=STEPS)
def test_runs_side_by_side_get_the_answer_of_all_history(
    backend: str, steps: list[tuple[int, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is branched, written, merged and asked in whatever order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newest, "MANY", 0)
        patch.setattr(lakefs_newest, "_AT_ONCE", 2)
        lake = LakeSpec(backend, fresh_place(backend, tmp_path_factory.mktemp("side-by-side"))).open()

        def ask(ref: str) -> None:
            # As a process that knows nothing yet.
            known.known_of.cache_clear()
            found = {prefix: newest_of(lake, prefix, ref) for prefix in PREFIXES}
            assert found == {prefix: of_all_history(lake, prefix, ref) for prefix in PREFIXES}

        for number, (run, step, folder) in enumerate(steps):
            name = f"run-{run}"
            if name not in lake.branches():
                lake.create_branch(name, "main")
            if step == "ask":
                ask(name)
                ask("main")
            elif step == "write":
                options: dict[str, Any] = {"partitions": [f"p={run}"]} if run else {"mode": "append"}
                put(lake, name, f"t/{folder}", {f"p={run}/{number}": "1"}, **options)
            else:
                lake.merge(name, "main", audit=TESTS)
                lake.delete_branch(name)
        ask("main")
        lake.close()


@pytest.mark.parametrize("line", ["", "1", "f" * 40, f"{'f' * 40} -", f"{'f' * 40} {'e' * 40}", f"{'g' * 40} -\n"])
def test_half_of_an_answer_is_none(line: str) -> None:
    assert Answer.parse(line) is None


@pytest.mark.services
def test_on_lakefs_pages_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lakefs_newest, "_AT_ONCE", 4)
    lake = LakeSpec("lakefs", fresh_place("lakefs", tmp_path)).open()
    assert isinstance(lake, LakeFSLake)
    publish(lake, "old", "1")
    for number in range(6):
        publish(lake, "new", str(number))
    expected = of_all_history(lake, "old")
    costs: list[dict[str, int]] = []
    for _ in range(2):
        before = Counter(lake.api.calls)
        assert newest_of(lake, "old") == expected
        costs.append(dict(lake.api.calls - before))
        publish(lake, "new", "another")
    assert costs[0]["GET refs commits"] > 3
    assert costs[0]["POST metadata"] == 1
    # A page of the log, the commit if it is not known, and what the repository says of itself, which is kept a while.
    assert costs[1].pop("GET metadata", 1) == 1
    assert costs[1] in ({"GET refs commits": 1}, {"GET refs commits": 2})
    # The format stands beside.
    assert lake.format == LakeSpec("lakefs", lake.repository).open().format  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.services
def test_on_lakefs_the_server_is_asked_of_commits_that_do_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older program's, or somebody's own: of a few one by one, of many at once."""
    lake = LakeSpec("lakefs", fresh_place("lakefs", tmp_path)).open()
    assert isinstance(lake, LakeFSLake)
    publish(lake, "old", "1")
    with monkeypatch.context() as patch:
        patch.setattr(known.Written, "render", lambda written: "[]")
        patch.setattr(known.Written, "parse", classmethod(lambda *_: None))
        for number in range(3):
            publish(lake, "new", str(number))
        for most in (20, 1):
            patch.setattr(lakefs_newest, "_COMPARED", most)
            for prefix in ("old", "new", "never"):
                known.known_of.cache_clear()
                assert newest_of(lake, prefix) == of_all_history(lake, prefix)


@pytest.mark.services
def test_on_lakefs_few_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lakefs_newest, "_AT_ONCE", 1)
    monkeypatch.setattr(lakefs_newest, "_MOST", 3)
    lake = LakeSpec("lakefs", fresh_place("lakefs", tmp_path)).open()
    assert isinstance(lake, LakeFSLake)
    publish(lake, "old", "1")
    publish(lake, "new", "1")
    for number in range(12):
        assert newest_of(lake, f"never-{number}") is None
    assert newest_of(lake, "old") == of_all_history(lake, "old")
    notes = lake.api.call("GET", "/metadata")
    assert notes.pop("lake_assets_format") == str(lake.format)
    assert 1 <= len(notes) <= 4
