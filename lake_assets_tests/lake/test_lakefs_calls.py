"""What an operation costs on lakeFS, in calls of its API: as many for ten objects as for thousands."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from lake_assets.lake.errors import MergeConflict, WriteRefused
from lake_assets.lake.lakefs import LakeFSLake, private
from lake_assets_tests import lakefs_server
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put, read
from lake_assets_tests.lakefs_server import CREDENTIALS

pytestmark = pytest.mark.services


@pytest.fixture
def lake() -> LakeFSLake:
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    return LakeFSLake(endpoint, *CREDENTIALS, repository)


def calls_of_publishing(lake: LakeFSLake, objects: int) -> Counter[str]:
    """Return the calls of branching, and of merging and cleaning up, with so many objects in the lake."""
    lake.create_branch("fill", "main")
    with lake.write("fill", "many") as write, ThreadPoolExecutor(8) as pool:

        def one(number: int) -> None:
            with write.filesystem.open_output_stream(f"{write.root}/{number:05}") as stream:
                stream.write(b"1")

        list(pool.map(one, range(objects)))
    lake.merge("fill", "main", audit=TESTS)
    lake.delete_branch("fill")
    before = Counter(lake.api.calls)
    lake.create_branch("work", "main")
    put(lake, "work", "one", {"a": str(objects)})
    lake.merge("work", "main", audit=TESTS)
    lake.delete_branch("work")
    return lake.api.calls - before


def test_branching_and_publishing_cost_the_same_for_ten_objects_and_for_pages_of_them(lake: LakeFSLake) -> None:
    calls_of_publishing(lake, 1)  # A folder's very first publication looks once more.
    few = calls_of_publishing(lake, 10)
    assert calls_of_publishing(lake, 2100) == few


def test_a_write_costs_six_calls_beside_the_data(lake: LakeFSLake) -> None:
    lake.create_branch("work", "main")
    put(lake, "work", "one", {"a": "1"})
    before = Counter(lake.api.calls)
    put(lake, "work", "one", {"b": "2"})
    made = lake.api.calls - before
    assert {call: count for call, count in made.items() if "objects" not in call} == {
        "POST branches": 1,
        "GET branches diff": 1,
        "POST branches commits": 1,
        "POST refs merge": 1,
        "GET refs commits": 1,
        "DELETE branches": 1,
    }


def test_a_tag_with_dots_is_merged_where_markers_collide(lake: LakeFSLake) -> None:
    for branch in ("ours", "theirs"):
        lake.create_branch(branch, "main")
        put(lake, branch, "t", {branch: "1"}, mode="append")
    lake.merge("ours", "main", audit=TESTS)
    lake.tag("v1.0", "theirs")
    lake.merge("v1.0", "main", audit=TESTS)
    assert [item.path for item in lake.list("main")] == ["t/ours", "t/theirs"]


def test_what_is_published_between_the_look_and_the_merge_is_a_conflict_and_is_kept(
    lake: LakeFSLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only markers collide when the merge looks; a moment later a file does."""
    for branch, name in (("ours", "a"), ("theirs", "b"), ("quicker", "b")):
        lake.create_branch(branch, "main")
        put(lake, branch, "t", {name: branch}, mode="append")
    lake.merge("ours", "main", audit=TESTS)
    look = lake._refuse_conflicts
    other = LakeFSLake(lake.repository.rpartition("/")[0], *CREDENTIALS, lake.repository.rpartition("/")[2])
    looks: list[str] = []

    def and_then_another_publishes(source: str, into: str) -> str:
        seen = look(source, into)
        if private.parse_name(source) and not looks:
            looks.append(other.merge("quicker", "main", audit=TESTS).id)
        return seen

    monkeypatch.setattr(lake, "_refuse_conflicts", and_then_another_publishes)
    with pytest.raises(MergeConflict, match="t/b"):
        lake.merge("theirs", "main", audit=TESTS)
    assert lake.head("main").id == looks[0]
    assert read(lake, "main", "t") == {"a": "ours", "b": "quicker"}


def test_removing_a_file_outside_of_what_is_written_is_refused(lake: LakeFSLake) -> None:
    lake.create_branch("work", "main")
    before = put(lake, "work", "t", {"p=1/a": "1", "p=2/a": "1"})

    def stray() -> None:
        with lake.write("work", "t", partitions=["p=1"]) as write:
            write.filesystem.delete_file(f"{write.root}/p=2/a")

    with pytest.raises(WriteRefused, match="t/p=2/a"):
        stray()
    assert lake.head("work") == before
