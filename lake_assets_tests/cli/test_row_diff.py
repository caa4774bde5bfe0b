"""`diff --rows`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from lake_assets.cli.row_diff import RowComparison, row_diff
from lake_assets.lake.contract import Snapshot
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.rows import bounded_connection, open_rows
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.depth import examples

Answer = Callable[..., Any]
Refused = Callable[..., str]
Files = Mapping[str, pyarrow.Table]


def write(lake: GitLake, files: Files, prefix: str = "bars", **options: Any) -> str:
    """Put these files in place of a prefix on the branch `trial`; return the commit."""
    if "trial" not in lake.branches():
        lake.create_branch("trial", "main")
    with lake.write("trial", prefix) as write:
        for name, table in files.items():
            path = Path(write.root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path, **options)
    assert write.commit is not None
    return write.commit.id


def bars(prices: Mapping[str, float | None], **columns: Any) -> pyarrow.Table:
    return pyarrow.table({"ISIN": list(prices), "Price": pyarrow.array(prices.values(), pyarrow.float64()), **columns})


def rows(answer: Answer, left: str, right: str, key: str = "ISIN", *options: str) -> list[Any]:
    return answer("diff", left, right, "--rows", "bars", "--key", key, *options)["rows"]


def test_rows_are_added_removed_and_changed_with_the_columns_that_changed(
    command: Command, answer: Answer, lake: GitLake
) -> None:
    before = write(lake, {"day=1/a.parquet": bars({"DE1": 1.0, "DE2": 2.0, "DE3": None})})
    after = write(lake, {"day=1/b.parquet": bars({"DE4": 4.0, "DE3": None, "DE2": 2.5})})
    found = answer("diff", before, after, "--rows", "bars", "--key", "ISIN")
    assert found == {
        "added": 1,
        "removed": 1,
        "changed": 1,
        "rows": [
            {"change": "removed", "key": {"ISIN": "DE1"}, "before": {"Price": 1.0, "day": "1"}, "after": None},
            {"change": "changed", "key": {"ISIN": "DE2"}, "before": {"Price": 2.0}, "after": {"Price": 2.5}},
            {"change": "added", "key": {"ISIN": "DE4"}, "before": None, "after": {"Price": 4.0, "day": "1"}},
        ],
    }
    shown = command("diff", before, after, "--rows", "bars", "--key", "ISIN", "--limit", "2")
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["change", "ISIN", "columns"],
        ["removed", "DE1", "-"],
        ["changed", "DE2", "Price:", "2.0", "->", "2.5"],
    ]
    assert shown.stderr == "1 added, 1 removed, 1 changed\n"


def test_a_row_that_moved_to_another_file_or_place_in_it_is_no_change(answer: Answer, lake: GitLake) -> None:
    before = write(lake, {"a.parquet": bars({"DE1": 1.0, "DE2": 2.0}), "b.parquet": bars({"DE3": 3.0})})
    after = write(lake, {"c.parquet": bars({"DE3": 3.0, "DE2": 2.0, "DE1": 1.0})})
    assert rows(answer, before, after) == []
    assert rows(answer, before, before) == []


def test_a_key_of_several_columns_may_have_a_folders_and_be_null(answer: Answer, lake: GitLake) -> None:
    table = pyarrow.table({"ISIN": ["DE1", None], "Price": [1.0, 2.0]})
    before = write(lake, {"day=1/a.parquet": table, "day=2/a.parquet": table})
    changed = pyarrow.table({"ISIN": ["DE1", None], "Price": [1.0, 3.0]})
    after = write(lake, {"day=1/a.parquet": table, "day=2/a.parquet": changed})
    assert rows(answer, before, after, "ISIN,day") == [
        {
            "change": "changed",
            "key": {"ISIN": None, "day": "2"},
            "before": {"Price": 2.0},
            "after": {"Price": 3.0},
        }
    ]


def test_new_columns_and_other_types_are_compared_as_far_as_they_can_be(answer: Answer, lake: GitLake) -> None:
    before = write(lake, {"a.parquet": bars({"DE1": 1.0, "DE2": 2.0}, Id=[1, 2], Text=[1, 2])})
    after = write(lake, {"a.parquet": bars({"DE1": 1.0, "DE2": 2.0}, Id=[1.0, 2.5], Text=["1", "x"], New=[None, "n"])})
    (row,) = rows(answer, before, after)
    assert (row["key"], row["before"]) == ({"ISIN": "DE2"}, {"Id": 2, "Text": "2", "New": None})
    assert row["after"] == {"Id": 2.5, "Text": "x", "New": "n"}


def test_a_prefix_that_one_side_lacks_is_all_added(answer: Answer, lake: GitLake) -> None:
    after = write(lake, {"a.parquet": bars({"DE1": 1.0})})
    assert [row["change"] for row in rows(answer, "main", after)] == ["added"]
    assert [row["change"] for row in rows(answer, after, "main")] == ["removed"]


def test_what_cannot_be_compared_is_one_line(refused: Refused, command: Command, lake: GitLake) -> None:
    before = write(lake, {"a.parquet": bars({"DE1": 1.0})})
    twice = pyarrow.concat_tables([bars({"DE1": 1.0}), bars({"DE1": 2.0})])
    after = write(lake, {"a.parquet": twice})
    diff = ("diff", before, after, "--rows")
    assert f"2 rows of commit {after} have ISIN DE1: name more columns" in refused(*diff, "bars", "--key", "ISIN")
    assert "no column 'Isin'; there are ISIN, Price" in refused(*diff, "bars", "--key", "Isin")
    assert "nothing is there" in refused(*diff, "nothing", "--key", "ISIN")
    assert "contains no Parquet" in refused(*diff, "blob", "--key", "ISIN")
    for wrong in (["--rows", "bars"], ["--key", "ISIN"], ["bars", "--rows", "bars", "--key", "ISIN"]):
        assert command("diff", before, after, *wrong).exit_code == 2
    lake.create_branch("broken", "main")
    with lake.write("broken", "bars") as broken:
        Path(broken.root, "a.parquet").write_text("no Parquet")
    assert "cannot be compared" in refused("diff", before, "broken", "--rows", "bars", "--key", "ISIN")


def test_files_on_no_local_disk_are_read_through_their_own_filesystem(tmp_path: Path) -> None:
    (tmp_path / "bars" / "day=1").mkdir(parents=True)
    pq.write_table(bars({"DE1": 1.0}), tmp_path / "bars" / "day=1" / "a.parquet")
    remote = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    with duckdb.connect() as connection:
        snapshot = Snapshot("c", "bars", "s3a://bars", remote, "bars")
        columns = open_rows(connection, "l", snapshot, ["bars/day=1/a.parquet"], ["day"])
        assert list(columns) == ["ISIN", "Price", "day"]
        assert connection.execute("FROM l_files").fetchall() == [("DE1", 1.0, "1")]


AT = [datetime(2017, 7, 28, 8, tzinfo=timezone.utc), None, datetime(9999, 12, 31, tzinfo=timezone.utc)]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_instants_of_older_files_are_the_same_in_any_zone(
    lake: GitLake, answer: Answer, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        table = bars({"DE1": 1.0, "DE2": 2.0, "DE3": 3.0}, at=pyarrow.array(AT, pyarrow.timestamp("us", "UTC")))
        old = write(lake, {"a.parquet": table}, use_deprecated_int96_timestamps=True)
        assert rows(answer, old, write(lake, {"b.parquet": table})) == []
        later = table.set_column(2, "at", pyarrow.array([AT[0], AT[0], AT[2]], pyarrow.timestamp("us", "UTC")))
        (changed,) = rows(answer, old, write(lake, {"b.parquet": later}))
        assert changed["after"] == {"at": "2017-07-28T08:00:00+00:00"}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_instants_of_older_files_on_no_local_disk(tmp_path: Path) -> None:
    table = bars({"DE1": 1.0, "DE2": 2.0, "DE3": 3.0}, at=pyarrow.array(AT, pyarrow.timestamp("us", "UTC")))
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    remote = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    with bounded_connection() as connection:
        columns = open_rows(connection, "l", Snapshot("c", "", "s3a://", remote, ""), ["a.parquet"])
        assert columns["at"] == "TIMESTAMP WITH TIME ZONE"
        told = connection.execute('SELECT CAST("at" AS VARCHAR) FROM l_files ORDER BY ISIN').fetchall()
        assert told == [("2017-07-28 08:00:00+00",), (None,), ("9999-12-31 00:00:00+00",)]


@settings(max_examples=examples(25))
@given(
    st.dictionaries(st.integers(0, 20), st.tuples(st.integers(0, 2) | st.none(), st.integers(0, 2))),
    st.dictionaries(st.integers(0, 20), st.tuples(st.integers(0, 2) | st.none(), st.integers(0, 2))),
)
def test_any_two_sets_of_rows_differ_as_their_dictionaries_do(
    lake: GitLake, left: dict[int, tuple[int | None, int]], right: dict[int, tuple[int | None, int]]
) -> None:
    def table(side: dict[int, tuple[int | None, int]]) -> pyarrow.Table:
        columns = {"k": list(side), "a": [a for a, _ in side.values()], "b": [b for _, b in side.values()]}
        return pyarrow.table({name: pyarrow.array(values, pyarrow.int64()) for name, values in columns.items()})

    before, after = (write(lake, {"a.parquet": table(side)}) for side in (left, right))
    with row_diff(lake, RowComparison(left=before, right=after, prefix="bars", key=["k"])) as found:
        told = {row.key["k"]: row for row in found.rows(None)}
    assert list(told) == sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    for key, row in told.items():
        names = [
            name for at, name in enumerate("ab") if key in left and key in right and left[key][at] != right[key][at]
        ]
        if names:
            assert (row.change, list(row.before or {}), list(row.after or {})) == ("changed", names, names)
        else:
            assert row.change == ("added" if key in right else "removed")
    assert sum(found.counts.values()) == len(told)
