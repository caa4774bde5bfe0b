"""What an operation costs on lakeFS, in calls of its API: as many for ten objects as for thousands."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from lake_assets.lake.audit import Audit, Entry
from lake_assets.lake.contract import WriteMode
from lake_assets.lake.errors import InvalidName, MergeConflict, Unaudited, WriteRefused
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


@pytest.mark.soak
def test_branching_and_publishing_cost_the_same_for_ten_objects_and_for_pages_of_them(lake: LakeFSLake) -> None:
    calls_of_publishing(lake, 1)  # A folder's very first publication looks once more.
    few = calls_of_publishing(lake, 10)
    assert calls_of_publishing(lake, 2100) == few


def beside_the_data(lake: LakeFSLake, before: Counter[str]) -> dict[str, int]:
    """Return the calls since then that were none for objects."""
    return {call: count for call, count in (lake.api.calls - before).items() if "objects" not in call}


def test_a_write_costs_five_calls_beside_the_data_and_one_for_its_commit(lake: LakeFSLake) -> None:
    lake.create_branch("work", "main")
    put(lake, "work", "one", {"a": "1"})
    before = Counter(lake.api.calls)
    with lake.write("work", "one") as write, write.filesystem.open_output_stream(f"{write.root}/b") as stream:
        stream.write(b"2")
    assert beside_the_data(lake, before) == {
        "POST branches": 1,
        "GET branches diff": 1,
        "POST branches commits": 1,
        "POST refs merge": 1,
        "DELETE branches": 1,
    }
    before = Counter(lake.api.calls)
    assert write.commit is not None
    assert beside_the_data(lake, before) == {"GET refs commits": 1}
    assert write.commit.id == write.commit_id == lake.head("work").id


def test_publishing_looks_at_main_twice_and_compares_once(lake: LakeFSLake) -> None:
    lake.create_branch("work", "main")
    head = put(lake, "work", "one", {"a": "1"})
    before = Counter(lake.api.calls)
    paths = lake.incoming(head.id, "main")
    audit = Audit(head.id, (Entry("one", None, "one"),), None, paths)
    lake.merge(head.id, "main", audit=audit)
    assert beside_the_data(lake, before) == {
        "GET refs merge": 2,
        "GET refs diff": 1,
        "POST refs merge": 1,
        "GET refs commits": 1,
    }


def test_what_came_to_main_since_the_audit_is_seen(lake: LakeFSLake) -> None:
    """A comparison is kept, and where a branch points is not."""
    for branch in ("work", "quicker"):
        lake.create_branch(branch, "main")
    head = put(lake, "work", "one", {"a": "1"})
    put(lake, "quicker", "one", {"b": "1"}, mode="append")
    audit = Audit(head.id, (Entry("one", None, "one"),), None, lake.incoming(head.id, "main"))
    lake.merge("quicker", "main", audit=TESTS)
    with pytest.raises((Unaudited, MergeConflict)):
        lake.merge(head.id, "main", audit=audit)
    assert read(lake, "main", "one") == {"b": "1"}


def test_what_a_write_of_this_process_changed_is_known_without_a_call(lake: LakeFSLake) -> None:
    lake.create_branch("work", "main")
    made = put(lake, "work", "one/two", {"p=1/a": "1"}, partitions=["p=1"])
    beside = put(lake, "work", "other", {"a": "1"})
    server = {prefix: next(lake.log("work", 1, prefix)) for prefix in ("one", "one/two", "other")}
    assert server == {"one": made, "one/two": made, "other": beside}
    before = Counter(lake.api.calls)
    assert next(lake.log(made.id, 1, "one")) == next(lake.log(made.id, 1, "one/two")) == made
    assert lake.unreached([beside.id], [made.id, beside.id]) == ()
    assert lake.api.calls == before
    assert next(lake.log(beside.id, 1, "one")) == made
    assert lake.unreached([made.id, "main"], [made.id, beside.id]) == (beside.id,)


def test_a_write_that_landed_on_anothers_is_asked_for(lake: LakeFSLake) -> None:
    """It may have brought nothing to its folder that the other had not brought already."""
    lake.create_branch("work", "main")
    with lake.write("work", "one") as write:
        with write.filesystem.open_output_stream(f"{write.root}/a") as stream:
            stream.write(b"1")
        put(lake, "work", "two", {"a": "1"})
    assert write.commit is not None
    before = Counter(lake.api.calls)
    assert next(lake.log(write.commit_id, 1, "one")) == write.commit
    assert beside_the_data(lake, before) == {"GET refs commits": 1, "GET refs diff": 1}


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


@pytest.mark.parametrize("counts", [(1, 30), pytest.param((1, 30, 300), marks=pytest.mark.soak)])
@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_calls_grow_by_one_at_most_with_each_folder_that_a_write_changes(
    lake: LakeFSLake, mode: WriteMode, counts: tuple[int, ...]
) -> None:
    """One for each folder, and eleven besides."""
    lake.create_branch("work", "main")
    calls: dict[int, int] = {}
    for number, count in enumerate(counts):
        partitions = [f"day={day:03}" for day in range(count)]
        for again in range(2):
            before = lake.api.calls.total()
            files = {f"{partition}/{number}-{again}": "1" for partition in partitions}
            put(lake, "work", "many", files, mode=mode, partitions=partitions)
            calls[count] = lake.api.calls.total() - before
            assert calls[count] <= count + 11
    assert calls[counts[-1]] - calls[counts[-2]] <= counts[-1] - counts[-2]


@pytest.mark.soak
def test_a_write_of_few_folders_among_many_reads_only_those(lake: LakeFSLake) -> None:
    lake.create_branch("work", "main")
    every = [f"day={day:04}" for day in range(1200)]
    with lake.write("work", "many", partitions=every) as write, ThreadPoolExecutor(8) as pool:

        def one(partition: str) -> None:
            with write.filesystem.open_output_stream(f"{write.root}/{partition}/a") as stream:
                stream.write(b"1")

        list(pool.map(one, every))
    before = lake.api.calls.total()
    few = ["day=0003", "day=0600", "day=1199"]
    put(lake, "work", "many", {f"{partition}/b": "2" for partition in few}, partitions=few)
    assert lake.api.calls.total() - before <= 2 * len(few) + 11
    assert len(read(lake, "work", "many")) == 1200
    assert read(lake, "work", "many/day=0600") == {"b": "2"}


@pytest.mark.parametrize(
    "prefix", ["\U0010ffff", "\U0010ffff/t", "\U0010ffff.lake", "\U0010ffff.lake/t", "\U0010ffffz"]
)
def test_a_path_behind_the_object_that_ends_each_merge_is_refused(lake: LakeFSLake, prefix: str) -> None:
    lake.create_branch("work", "main")
    with pytest.raises(InvalidName, match="sorts behind the object that ends each merge"):
        put(lake, "work", prefix, {"a": "1"})
    with pytest.raises(InvalidName, match="sorts behind"):
        put(lake, "work", "t", {"a": "1"}, beside=[prefix])


@pytest.mark.parametrize("prefix", ["\U0010fffe", "\U0010fffez", "\ufffd", "~"])
def test_a_path_before_it_is_not(lake: LakeFSLake, prefix: str) -> None:
    lake.create_branch("work", "main")
    put(lake, "work", prefix, {"a": "1"})
    lake.merge("work", "main", audit=TESTS)
    assert read(lake, "main", prefix) == {"a": "1"}
