"""What every lake promises, on every backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lake_assets.lake.audit import RECORD, record
from lake_assets.lake.contract import Commit, Diff, Lake
from lake_assets.lake.errors import (
    AlreadyExists,
    InvalidName,
    LakeError,
    MergeConflict,
    PathNotFound,
    ProtectedBranch,
    RefNotFound,
    WriteConflict,
    WriteRefused,
)
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import LakeSpec, paths, put, read

NO_COMMIT = "0123456789" * 4


# Branches, tags and commits


def test_a_fresh_lake_has_main_and_nothing_in_it(lake_backend: LakeSpec) -> None:
    lake = lake_backend.open()
    assert lake.branches() == ("main",)
    assert list(lake.list("main")) == []
    assert lake.fingerprint("main", "") is None
    with pytest.raises(PathNotFound):
        lake.path("main", "")


def test_opening_a_lake_twice_opens_the_same_lake(lake: Lake, lake_backend: LakeSpec) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    assert lake_backend.open().head("work") == commit


def test_a_branch_starts_at_its_source_and_goes_its_own_way(lake: Lake) -> None:
    first = put(lake, "work", "stocks", {"a": "1"})
    assert lake.create_branch("other", "work") == first
    put(lake, "other", "stocks", {"a": "2"})
    assert read(lake, "work", "stocks") == {"a": "1"}
    assert lake.branches() == ("main", "other", "work")


def test_a_branch_can_start_at_a_tag_or_commit(lake: Lake) -> None:
    first = put(lake, "work", "stocks", {"a": "1"})
    put(lake, "work", "stocks", {"a": "2"})
    lake.tag("v1.0", first.id)
    assert lake.create_branch("from-tag", "v1.0") == first
    assert lake.create_branch("from-commit", first.id) == first


def test_branching_moves_no_data(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1", "b/c": "2"})
    lake.create_branch("other", "work")
    assert list(lake.list("other")) == list(lake.list("work"))


def test_a_branch_is_made_once_wherever_it_points(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    for source in ("main", "work"):
        with pytest.raises(AlreadyExists, match="work"):
            lake.create_branch("work", source)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a.b", "a..b", "HEAD", "ä", "a\n", NO_COMMIT, "x" * 300])
def test_a_name_that_no_backend_can_keep_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(InvalidName):
        lake.create_branch(name, "main")
    with pytest.raises(RefNotFound):
        lake.head(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".a", "a..b", "a.", "a.lock", "HEAD"])
def test_a_tag_name_that_cannot_be_kept_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(InvalidName):
        lake.tag(name, "main")


def test_commits_of_a_deleted_branch_stay_readable_by_id(lake: Lake) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    lake.delete_branch("work")
    assert lake.branches() == ("main",)
    assert lake.head(commit.id) == commit
    assert read(lake, commit.id, "stocks") == {"a": "1"}
    with pytest.raises(RefNotFound):
        lake.head("work")
    with pytest.raises(RefNotFound):
        lake.delete_branch("work")


def test_a_tag_never_moves(lake: Lake) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    assert lake.tag("v1", "work") == commit
    assert lake.tag("v1", commit.id) == commit
    put(lake, "work", "stocks", {"a": "2"})
    with pytest.raises(AlreadyExists, match="v1"):
        lake.tag("v1", "work")
    assert lake.tags() == {"v1": commit.id}
    assert read(lake, "v1", "stocks") == {"a": "1"}


@pytest.mark.parametrize("ref", ["nowhere", NO_COMMIT, "0123456", "../main", "refs/heads/main", "main~1"])
def test_an_unknown_ref_is_named(lake: Lake, ref: str) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    attempts = [
        lambda: lake.head(ref),
        lambda: list(lake.log(ref)),
        lambda: list(lake.list(ref)),
        lambda: lake.path(ref, "stocks"),
        lambda: lake.fingerprint(ref, "stocks"),
        lambda: lake.diff("main", ref),
        lambda: lake.merge(ref, "main", audit=TESTS),
        lambda: lake.merge("work", ref),
        lambda: lake.revert(ref, "work"),
        lambda: lake.create_branch("new", ref),
        lambda: lake.tag("new", ref),
        lambda: lake.changes(ref),
        lambda: put(lake, ref, "stocks", {}),
    ]
    for attempt in attempts:
        with pytest.raises(RefNotFound) as caught:
            attempt()
        assert caught.value.ref
        assert caught.value.repository == lake.repository


def test_a_commit_says_what_it_was_told(lake: Lake) -> None:
    before = lake.head("work")
    metadata = {
        "run_id": "7c9e",
        "dagster/asset": "stocks",
        "::lakefs::Dagster::url[url:ui]": "http://localhost:3000/runs/7c9e",
        "note": "two\nlines: ü, 雪",
        "empty": "",
    }
    commit = put(lake, "work", "stocks", {"a": "1"}, message="Stocks of 08:00\n\nBody.", metadata=metadata)
    assert lake.head("work") == commit
    assert commit.message == "Stocks of 08:00\n\nBody."
    assert commit.metadata == metadata
    assert commit.parents == (before.id,)
    assert commit.committed_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - commit.committed_at) < timedelta(minutes=5)


def test_metadata_may_be_added_while_writing(lake: Lake) -> None:
    with lake.write("work", "stocks", metadata={"run": "7"}) as write:
        with write.filesystem.open_output_stream(f"{write.root}/a") as stream:
            stream.write(b"1")
        write.metadata["rows"] = "1"
    assert write.commit is not None
    assert write.commit.metadata == {"run": "7", "rows": "1"}


def test_metadata_that_are_no_strings_are_refused(lake: Lake) -> None:
    before = lake.head("work")
    with pytest.raises(TypeError, match="rows"):
        put(lake, "work", "stocks", {"a": "1"}, metadata={"rows": 1})
    assert lake.head("work") == before


def test_the_log_is_newest_first_and_can_be_limited(lake: Lake) -> None:
    start = [commit.id for commit in lake.log("work")]
    made = [put(lake, "work", "stocks", {"a": str(number)}).id for number in range(5)]
    assert [commit.id for commit in lake.log("work")] == [*reversed(made), *start]
    assert [commit.id for commit in lake.log("work", limit=2)] == [made[4], made[3]]
    assert list(lake.log("work", limit=0)) == []


def test_the_log_of_a_prefix_has_only_the_commits_that_changed_it(lake: Lake) -> None:
    first = put(lake, "work", "stocks/csv", {"a": "1"})
    put(lake, "work", "stocks/csv2", {"a": "1"})
    put(lake, "work", "words", {"a": "1"})
    second = put(lake, "work", "stocks/csv", {"a": "2"})
    lake.merge("work", "main", audit=TESTS)
    assert [commit.id for commit in lake.log("main", prefix="stocks/csv")] == [second.id, first.id]
    assert [commit.id for commit in lake.log("main", prefix="stocks/csv", limit=1)] == [second.id]
    assert list(lake.log("main", prefix="users")) == []


# Reading


def test_objects_are_listed_by_path_with_size_checksum_and_place(lake: Lake) -> None:
    put(lake, "work", "stocks", {"b": "22", "a/z": "1", "a.x": "333", "a-x": ""})
    found = list(lake.list("work", "stocks"))
    assert [item.path for item in found] == ["stocks/a-x", "stocks/a.x", "stocks/a/z", "stocks/b"]
    assert [item.size for item in found] == [0, 3, 1, 2]
    assert len({item.checksum for item in found}) == 4
    assert all(item.physical_address for item in found)


def test_a_prefix_matches_whole_folder_names_or_one_file(lake: Lake) -> None:
    put(lake, "work", "stocks", {"csv/a": "1", "csv2/a": "2", "csv.txt": "3"})
    assert paths(lake, "work", "stocks/csv") == ["stocks/csv/a"]
    assert paths(lake, "work", "stocks/csv/") == ["stocks/csv/a"]
    assert paths(lake, "work", "stocks/csv.txt") == ["stocks/csv.txt"]
    assert paths(lake, "work", "stocks/cs") == []
    assert paths(lake, "work", "stocks/csv/a/b") == []


def test_a_single_file_can_be_opened(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a.csv": "ISIN", "b.csv": "ISIN"})
    for name in ("a.csv", "b.csv"):
        snapshot = lake.path("work", f"stocks/{name}")
        assert snapshot.root.endswith(name)
        assert snapshot.uri.endswith(name)
        with snapshot.filesystem.open_input_stream(snapshot.root) as stream:
            assert stream.read() == b"ISIN"


def test_a_snapshot_is_pinned_to_the_commit_of_its_moment(lake: Lake) -> None:
    first = put(lake, "work", "stocks", {"a": "1", "b": "1"})
    snapshot = lake.path("work", "stocks")
    put(lake, "work", "stocks", {"a": "2"})
    assert (snapshot.commit, snapshot.prefix) == (first.id, "stocks")
    with snapshot.filesystem.open_input_stream(f"{snapshot.root}/a") as stream:
        assert stream.read() == b"1"
    assert read(lake, first.id, "stocks") == {"a": "1", "b": "1"}
    assert read(lake, "work", "stocks") == {"a": "2"}


def test_a_snapshot_outlives_its_branch(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    snapshot = lake.path("work", "stocks")
    lake.delete_branch("work")
    with snapshot.filesystem.open_input_stream(f"{snapshot.root}/a") as stream:
        assert stream.read() == b"1"


def test_a_missing_prefix_is_named(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    with pytest.raises(PathNotFound, match="stocks/b"):
        lake.path("work", "stocks/b")
    assert lake.fingerprint("work", "stocks/b") is None


def test_a_fingerprint_names_the_content_and_nothing_else(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    one = lake.fingerprint("work", "stocks")
    put(lake, "work", "words", {"a": "1"})
    assert lake.fingerprint("work", "stocks") == one
    put(lake, "work", "stocks", {"a": "2"})
    assert lake.fingerprint("work", "stocks") not in (one, None)
    put(lake, "work", "stocks", {"a": "1"})
    assert lake.fingerprint("work", "stocks") == one


def test_a_diff_says_what_came_went_and_changed(lake: Lake) -> None:
    put(lake, "work", "stocks", {"same": "1", "gone": "1", "other": "1", "file/now/folder": "1"})
    lake.create_branch("next", "work")
    put(lake, "next", "stocks", {"same": "1", "new": "1", "other": "2", "file": "1"})
    diff = lake.diff("work", "next")
    assert diff == Diff(
        added=("stocks/file", "stocks/new"),
        removed=("stocks/file/now/folder", "stocks/gone"),
        changed=("stocks/other",),
    )
    back = lake.diff("next", "work")
    assert (back.added, back.removed, back.changed) == (diff.removed, diff.added, diff.changed)
    assert lake.diff("work", "next", "stocks/other") == Diff(changed=("stocks/other",))
    assert not lake.diff("work", "next", "words")
    assert not lake.diff("work", "work")


def test_a_listing_begins_behind_a_path(lake: Lake) -> None:
    names = ["a.b", "a/b", "a/c", "a0", "é", "\U0001f415/x", "day=1/a", "day=10/a", "day=1/b"]
    put(lake, "work", "t", dict.fromkeys(names, "1"))
    every = paths(lake, "work", "t")
    for after in ["", "t", "t/", *every, "t/a/", "t/a/zz", "t/day=\U0010ffff", "t/day=1", "t0", "u"]:
        assert [item.path for item in lake.list("work", "t", after)] == [path for path in every if path > after]
        assert [item.path for item in lake.list("work", "", after)] == [path for path in every if path > after]
    assert [item.path for item in lake.list("work", "t/a0", "t/a")] == ["t/a0"]
    assert list(lake.list("work", "t/a0", "t/a0")) == []


# Writing


def test_overwrite_replaces_its_prefix_alone(lake: Lake) -> None:
    put(lake, "work", "stocks/csv", {"a": "1", "b": "1"})
    put(lake, "work", "stocks/csv2", {"a": "1"})
    put(lake, "work", "stocks/csv", {"c": "2"})
    assert paths(lake, "work") == ["stocks/csv/c", "stocks/csv2/a"]


def test_overwriting_with_nothing_empties_the_prefix(lake: Lake) -> None:
    put(lake, "work", "stocks/csv", {"a": "1"})
    put(lake, "work", "words", {"a": "1"})
    put(lake, "work", "stocks/csv", {})
    assert paths(lake, "work") == ["words/a"]


def test_append_adds_and_replaces_nothing(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1", "d/a": "1"})
    put(lake, "work", "stocks", {"b": "2", "d/b": "2"}, mode="append")
    assert read(lake, "work", "stocks") == {"a": "1", "b": "2", "d/a": "1", "d/b": "2"}
    before = lake.head("work")
    with pytest.raises(WriteRefused, match="stocks/d/a"):
        put(lake, "work", "stocks", {"c": "3", "d/a": "3"}, mode="append")
    assert lake.head("work") == before


def test_overwriting_partitions_replaces_just_their_folders(lake: Lake) -> None:
    put(lake, "work", "t", {"day=1/a": "1", "day=2/a": "1", "day=3/hour=1/a": "1", "day=3/hour=2/a": "1"})
    parts = ["day=1", "day=3/hour=2", "day=4"]
    put(lake, "work", "t", {"day=1/b": "2", "day=4/b": "2"}, partitions=parts)
    assert paths(lake, "work") == ["t/day=1/b", "t/day=2/a", "t/day=3/hour=1/a", "t/day=4/b"]


def put_beside(
    lake: Lake, branch: str, files: Mapping[str, str], removed: Iterable[str] = (), **options: Any
) -> Commit | None:
    """Write text files by their paths in the lake: at `t`, and in the folders beside it."""
    with lake.write(branch, "t", **options) as write:
        for path, text in files.items():
            places = {"t": write.root, **write.beside}
            folder = next(folder for folder in places if path.startswith(f"{folder}/"))
            place = places[folder] + path[len(folder) :]
            write.filesystem.create_dir(place.rpartition("/")[0], recursive=True)
            with write.filesystem.open_output_stream(place) as stream:
                stream.write(text.encode())
        write.removed |= set(removed)
    return write.commit


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_folders_beside_the_prefix_are_updated_in_the_same_commit(lake: Lake, mode: Any) -> None:
    before = {"state/t/1": "1", "state/t/2": "1", "state/t/deep/3": "1", "state/t2/1": "1", "of/1": "1", "t/a": "1"}
    for folder in ("state", "of", "t"):
        put(lake, "work", folder, {path[len(folder) + 1 :]: "1" for path in before if path.startswith(f"{folder}/")})
    head = lake.head("work")
    commit = put_beside(
        lake,
        "work",
        {"t/b": "2", "state/t/2": "2", "state/t/4": "2", "of/new/2": "2"},
        removed=["state/t/1", "state/t/none", "t/a", "state/t2/1", "elsewhere"],
        mode=mode,
        beside=["state/t", "of"],
        metadata={"made": "together"},
    )
    assert commit is not None
    assert (commit.parents, commit.metadata["made"]) == ((head.id,), "together")
    assert lake.head("work") == commit
    kept = before if mode == "append" else {path: text for path, text in before.items() if path != "t/a"}
    changed = {"t/b": "2", "state/t/2": "2", "state/t/4": "2", "of/new/2": "2"}
    assert read(lake, "work", "") == {path: text for path, text in (kept | changed).items() if path != "state/t/1"}


def test_a_folder_beside_may_be_new_or_all_that_changes_or_unchanged(lake: Lake) -> None:
    first = put_beside(lake, "work", {"t/a": "1", "state/t/1": "1"}, beside=["state/t"])
    again = put_beside(lake, "work", {"t/a": "1", "state/t/1": "1"}, beside=["state/t"])
    assert again == first
    put_beside(lake, "work", {"t/a": "1", "state/t/2": "1"}, removed=["state/t/1"], beside=["state/t"])
    assert read(lake, "work", "") == {"t/a": "1", "state/t/2": "1"}
    last = put_beside(lake, "work", {}, removed=["state/t/2"], partitions=[], beside=["state/t"])
    assert last == lake.head("work")
    assert read(lake, "work", "") == {"t/a": "1"}


def test_a_folder_beside_lies_in_no_other_one_that_is_written(lake: Lake) -> None:
    for beside in (["t"], ["t/state"], [""], ["state", "state/t"], ["state", "state"], ["../x"]):
        with pytest.raises(InvalidName), lake.write("work", "t", beside=beside):
            pass
    with pytest.raises(InvalidName), lake.write("work", "t/day=1", beside=["t"]):
        pass
    put(lake, "work", "t", {"a": "1"})
    with pytest.raises(WriteRefused, match="t/a"), lake.write("work", "u", beside=["t/a"]):
        pass


def test_two_writes_of_one_folder_beside_conflict_and_do_not_mix(lake: Lake) -> None:
    put_beside(lake, "work", {"t/a": "1", "state/t/1": "1"}, beside=["state/t"])
    lake.create_branch("other", "work")
    put_beside(lake, "work", {"state/t/2": "1"}, partitions=[], beside=["state/t"])
    put_beside(lake, "other", {"state/t/3": "1"}, partitions=[], beside=["state/t"])
    with pytest.raises(MergeConflict) as conflict:
        lake.merge("other", "work")
    assert set(conflict.value.paths) >= {"state/t/3"}
    writing = lake.write("work", "t", partitions=[], beside=["state/t"])
    writing.__enter__().removed.add("state/t/1")
    put(lake, "work", "state/t", {"9": "1"}, mode="append")
    with pytest.raises(WriteConflict, match="state/t"):
        writing.__exit__(None, None, None)


def test_a_file_outside_the_partitions_is_refused(lake: Lake) -> None:
    before = lake.head("work")
    for stray in ("day=2/a", "a", "day=10/a"):
        with pytest.raises(WriteRefused, match=stray):
            put(lake, "work", "t", {"day=1/a": "1", stray: "1"}, partitions=["day=1"])
    assert lake.head("work") == before


def test_a_write_that_changes_nothing_makes_no_commit(lake: Lake) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    assert put(lake, "work", "stocks", {"a": "1"}, message="again") == commit
    assert put(lake, "work", "stocks", {"a": "1"}, mode="append") == commit
    assert put(lake, "work", "empty", {}) == commit
    assert lake.head("work") == commit


def test_a_write_that_fails_leaves_the_branch_as_it_was(lake: Lake) -> None:
    before = lake.head("work")

    def fail() -> None:
        with lake.write("work", "stocks") as write:
            with write.filesystem.open_output_stream(f"{write.root}/a") as stream:
                stream.write(b"1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lake.head("work") == before
    assert list(lake.list("work")) == []


def test_nothing_of_a_write_is_seen_before_it_ends(lake: Lake, lake_backend: LakeSpec) -> None:
    reader = lake_backend.open()
    with lake.write("work", "stocks") as write:
        with write.filesystem.open_output_stream(f"{write.root}/a") as stream:
            stream.write(b"1")
        assert list(reader.list("work")) == []
        assert reader.changes("main") == ()
    assert paths(reader, "work") == ["stocks/a"]
    assert reader.changes("work") == ()


def test_the_markers_of_engines_are_dropped(lake: Lake) -> None:
    markers = ("_SUCCESS", "._SUCCESS.crc", ".part-0.parquet.crc", "day=1/.part-0.parquet.crc")
    put(lake, "work", "stocks", {"part-0.parquet": "1", "day=1_$folder$": "", **dict.fromkeys(markers, "x")})
    assert paths(lake, "work") == ["stocks/part-0.parquet"]


@pytest.mark.parametrize("folder", ["_temporary/0", "__magic/job", "day=1/_temporary", ".spark-staging-1"])
def test_an_unfinished_write_is_refused(lake: Lake, folder: str) -> None:
    before = lake.head("work")
    with pytest.raises(WriteRefused, match="unfinished"):
        put(lake, "work", "stocks", {"a": "1", f"{folder}/a": "1"})
    assert lake.head("work") == before


BAD_PATHS = [
    "/a",
    "a//b",
    "../a",
    "a/../b",
    "a/./b",
    ".git/a",
    "a/.GIT",
    "a/.gitattributes",
    "a\nb",
    "a\\b",
    "a\0b",
]


@pytest.mark.parametrize("path", [*BAD_PATHS, "", "/", "x" * 300, "\ud800"])
def test_a_path_that_the_lake_cannot_keep_is_refused(lake: Lake, path: str) -> None:
    before = lake.head("work")
    with pytest.raises(InvalidName):
        put(lake, "work", path, {"a": "1"})
    with pytest.raises(InvalidName):
        put(lake, "work", "t", {}, partitions=[path])
    assert lake.head("work") == before


@pytest.mark.parametrize("path", BAD_PATHS)
def test_such_a_path_is_refused_to_readers_too(lake: Lake, path: str) -> None:
    attempts = [
        lambda: lake.path("work", path),
        lambda: list(lake.list("work", path)),
        lambda: lake.fingerprint("work", path),
        lambda: lake.diff("main", "work", path),
        lambda: list(lake.log("work", prefix=path)),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidName):
            attempt()


def test_names_keep_unicode_spaces_and_percent_signs(lake: Lake) -> None:
    files = {"Zürich 雪/a b%3A=c.csv": "1", "day=2017-07-28/hour=08%3A00/x+y&z#.csv": "2"}
    put(lake, "work", "wörter", files)
    assert read(lake, "work", "wörter") == files
    assert paths(lake, "work") == sorted(f"wörter/{name}" for name in files)


def test_a_mode_that_is_none_is_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match="errorifexists"):
        put(lake, "work", "stocks", {}, mode="errorifexists")


def test_a_writer_whose_prefix_changed_meanwhile_gets_a_conflict(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    write = lake.write("work", "stocks")
    place = write.__enter__()
    with place.filesystem.open_output_stream(f"{place.root}/mine") as stream:
        stream.write(b"1")
    other = put(lake, "work", "stocks/deeper", {"b": "2"}, mode="append")
    with pytest.raises(WriteConflict, match="stocks"):
        write.__exit__(None, None, None)
    assert lake.head("work") == other
    assert read(lake, "work", "stocks") == {"a": "1", "deeper/b": "2"}


def test_a_writer_of_another_partition_gets_none(lake: Lake) -> None:
    with lake.write("work", "t", partitions=["day=1"]) as write:
        write.filesystem.create_dir(f"{write.root}/day=1")
        with write.filesystem.open_output_stream(f"{write.root}/day=1/a") as stream:
            stream.write(b"1")
        put(lake, "work", "t", {"day=2/a": "2"}, partitions=["day=2"])
    assert read(lake, "work", "t") == {"day=1/a": "1", "day=2/a": "2"}


# Merging and reverting


def test_a_merge_brings_all_of_the_source_in_one_commit(lake: Lake) -> None:
    main = lake.head("main")
    put(lake, "work", "stocks", {"a": "1"})
    work = put(lake, "work", "words", {"b": "1"})
    merged = lake.merge("work", "main", message="Publish", metadata={"run": "7"}, audit=TESTS)
    assert merged == lake.head("main")
    assert merged.parents == (main.id, work.id)
    assert (merged.message, merged.metadata) == ("Publish", {"run": "7", RECORD: record(TESTS)})
    assert paths(lake, "main") == ["stocks/a", "words/b"]


def test_merging_what_is_merged_already_writes_nothing(lake: Lake) -> None:
    assert lake.merge("work", "main", audit=TESTS) == lake.head("main")
    commit = put(lake, "work", "stocks", {"a": "1"})
    merged = lake.merge("work", "main", audit=TESTS)
    assert lake.merge("work", "main", audit=TESTS) == merged
    assert lake.merge(commit.id, "main", audit=TESTS) == merged
    assert lake.merge("main", "main", audit=TESTS) == merged


def test_a_merge_keeps_what_the_destination_did_meanwhile(lake: Lake) -> None:
    put(lake, "work", "stocks/csv", {"a": "1", "gone": "1"})
    lake.merge("work", "main", audit=TESTS)
    lake.create_branch("other", "main")
    put(lake, "other", "stocks/parquet", {"b": "1"})
    lake.merge("other", "main", audit=TESTS)
    put(lake, "work", "stocks/csv", {"a": "2", "c": "1"})
    lake.merge("work", "main", audit=TESTS)
    assert read(lake, "main", "stocks") == {"csv/a": "2", "csv/c": "1", "parquet/b": "1"}


def test_a_merge_keeps_a_new_file_that_equals_one_that_the_other_side_removed(lake: Lake) -> None:
    """lakeFS's own merge loses it, where it is the last of a side."""
    put(lake, "work", "z", {"a": "1", "b": "1"})
    lake.merge("work", "main", audit=TESTS)
    put(lake, "work", "z", {})
    lake.create_branch("other", "main")
    put(lake, "other", "t", {"a": "1"})
    lake.merge("other", "main", audit=TESTS)
    lake.merge("work", "main", audit=TESTS)
    assert paths(lake, "main") == ["t/a"]


def _both_sides(lake: Lake, base: dict[str, str]) -> None:
    put(lake, "work", "t", base)
    lake.merge("work", "main", audit=TESTS)
    lake.create_branch("ours", "main")
    lake.create_branch("theirs", "main")


def test_the_same_change_on_both_sides_is_no_conflict(lake: Lake) -> None:
    _both_sides(lake, {"p/a": "1", "p/b": "1"})
    for branch in ("ours", "theirs"):
        put(lake, branch, "t/p", {"a": "2", "c": "2"})
    lake.merge("ours", "main", audit=TESTS)
    lake.merge("theirs", "main", audit=TESTS)
    assert read(lake, "main", "t") == {"p/a": "2", "p/c": "2"}


@pytest.mark.parametrize(
    ("ours", "theirs", "conflict"),
    [
        ({"p/a": "2"}, {"p/a": "3"}, "t/p/a"),
        ({"p/a": "2"}, {}, "t/p/a"),
        ({}, {"p/a": "3"}, "t/p/a"),
        ({"p/a": "1", "p/x": "2"}, {"p/a": "1", "p/x/y": "3"}, "t/p/x"),
    ],
    ids=["changed twice", "theirs deleted", "ours deleted", "file and folder"],
)
def test_both_sides_changing_one_path_conflict(
    lake: Lake, ours: dict[str, str], theirs: dict[str, str], conflict: str
) -> None:
    _both_sides(lake, {"p/a": "1", "q/a": "1"})
    put(lake, "ours", "t", {"q/a": "1", **ours})
    put(lake, "theirs", "t", {"q/a": "1", **theirs})
    main = lake.merge("ours", "main", audit=TESTS)
    with pytest.raises(MergeConflict) as caught:
        lake.merge("theirs", "main", audit=TESTS)
    assert conflict in caught.value.paths
    assert conflict in str(caught.value)
    assert not any(path.startswith("t/q") for path in caught.value.paths)
    assert lake.head("main") == main


@pytest.mark.parametrize("base", [{}, {"day=1/part-0": "0"}], ids=["new", "replaced"])
def test_two_overwrites_of_one_partition_never_mix(lake: Lake, base: dict[str, str]) -> None:
    """Spark names its files at random, so no path is changed twice."""
    _both_sides(lake, {"day=0/part-0": "0", **base})
    put(lake, "ours", "t", {"day=1/part-ours": "1"}, partitions=["day=1"])
    put(lake, "theirs", "t", {"day=1/part-theirs": "2"}, partitions=["day=1"])
    main = lake.merge("ours", "main", audit=TESTS)
    with pytest.raises(MergeConflict, match="t/day=1/part-"):
        lake.merge("theirs", "main", audit=TESTS)
    assert lake.head("main") == main


def test_appends_on_both_sides_both_land(lake: Lake) -> None:
    _both_sides(lake, {"a": "1"})
    put(lake, "ours", "t", {"b": "2"}, mode="append")
    put(lake, "theirs", "t", {"c": "3"}, mode="append")
    lake.merge("ours", "main", audit=TESTS)
    lake.merge("theirs", "main", audit=TESTS)
    assert read(lake, "main", "t") == {"a": "1", "b": "2", "c": "3"}


def test_partitions_overwritten_on_both_sides_both_land(lake: Lake) -> None:
    _both_sides(lake, {"day=1/a": "1", "day=2/a": "1"})
    put(lake, "ours", "t", {"day=1/b": "2"}, partitions=["day=1"])
    put(lake, "theirs", "t", {"day=2/b": "2"}, partitions=["day=2"])
    lake.merge("ours", "main", audit=TESTS)
    lake.merge("theirs", "main", audit=TESTS)
    assert read(lake, "main", "t") == {"day=1/b": "2", "day=2/b": "2"}


def test_a_revert_undoes_one_commit_and_keeps_the_rest(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1", "b": "1"})
    bad = put(lake, "work", "stocks", {"a": "2", "c": "2"})
    put(lake, "work", "words", {"a": "1"})
    reverted = lake.revert(bad.id, "work", message="Undo", metadata={"by": "me"})
    assert (reverted.message, reverted.metadata) == ("Undo", {"by": "me"})
    assert read(lake, "work", "") == {"stocks/a": "1", "stocks/b": "1", "words/a": "1"}
    assert read(lake, bad.id, "stocks") == {"a": "2", "c": "2"}


def test_a_merge_is_reverted_on_a_branch_and_merged(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    lake.merge("work", "main", audit=TESTS)
    put(lake, "work", "stocks", {"a": "2"})
    put(lake, "work", "words", {"a": "2"})
    merged = lake.merge("work", "main", audit=TESTS)
    lake.create_branch("rollback", "main")
    lake.revert(merged.id, "rollback")
    lake.merge("rollback", "main", audit=TESTS)
    assert read(lake, "main", "") == {"stocks/a": "1"}


def test_reverting_twice_changes_nothing_more(lake: Lake) -> None:
    commit = put(lake, "work", "stocks", {"a": "1"})
    reverted = lake.revert(commit.id, "work")
    assert lake.revert(commit.id, "work") == reverted


def test_reverting_what_was_changed_since_is_a_conflict(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    bad = put(lake, "work", "stocks", {"a": "2"})
    head = put(lake, "work", "stocks", {"a": "3"})
    with pytest.raises(MergeConflict, match="stocks/a"):
        lake.revert(bad.id, "work")
    assert lake.head("work") == head


def test_reverting_an_overwrite_never_mixes_it_with_a_later_one(lake: Lake) -> None:
    put(lake, "work", "stocks", {"part-1": "1"})
    bad = put(lake, "work", "stocks", {"part-2": "2"})
    head = put(lake, "work", "stocks", {"part-3": "3"})
    with pytest.raises(MergeConflict, match="stocks/part-3"):
        lake.revert(bad.id, "work")
    assert lake.head("work") == head


def test_only_a_merge_changes_main(lake: Lake) -> None:
    put(lake, "work", "stocks", {"a": "1"})
    main = lake.merge("work", "main", audit=TESTS)
    attempts = [
        lambda: put(lake, "main", "stocks", {"a": "2"}),
        lambda: lake.revert(main.id, "main"),
        lambda: lake.delete_branch("main"),
    ]
    for attempt in attempts:
        with pytest.raises(ProtectedBranch, match="main"):
            attempt()
    with pytest.raises(AlreadyExists):
        lake.create_branch("main", "work")
    assert lake.head("main") == main


def test_every_error_is_a_lake_error_that_names_the_lake(lake: Lake) -> None:
    with pytest.raises(LakeError, match="nowhere") as caught:
        lake.head("nowhere")
    assert lake.repository in str(caught.value)


def test_the_first_parents_of_a_prefix_are_the_merges_that_changed_it(lake: Lake) -> None:
    states: list[str] = []
    for number, (folder, files) in enumerate(
        [("one", {"a": "1"}), ("one", {"a": "2"}), ("one2", {"a": "1"}), ("one", {})]
    ):
        lake.create_branch(f"run-{number}", "main")
        put(lake, f"run-{number}", folder, files)
        states.append(lake.merge(f"run-{number}", "main", audit=TESTS).id)
    first, second, third, fourth = states
    assert [commit.id for commit in lake.first_parents("main")][:4] == [fourth, third, second, first]
    for prefix in ("one", "one/a"):
        assert [commit.id for commit in lake.first_parents("main", prefix)] == [fourth, second, first]
    assert [commit.id for commit in lake.first_parents("main", "one2")] == [third]
    assert list(lake.first_parents("main", "nothing")) == []


def test_a_note_is_a_commit_that_changes_no_file(lake: Lake) -> None:
    before = put(lake, "work", "stocks", {"a": "1"})
    made = lake.note("work", "Looked at", {"checks": "[]", "by": "ann"})
    assert (made.parents, made.message) == ((before.id,), "Looked at")
    assert (made.metadata["checks"], made.metadata["by"]) == ("[]", "ann")
    assert lake.head("work") == made
    assert not lake.diff(before.id, made.id)
    assert [commit.id for commit in lake.log("work", None, "stocks")] == [before.id]
    put(lake, "work", "words", {"b": "2"})
    assert lake.incoming("work", "main") == ("stocks/a", "words/b")
    with pytest.raises(ProtectedBranch):
        lake.note("main", "no", {})
