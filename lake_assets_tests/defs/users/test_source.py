"""What a folder of users is read from, and how it is refused what is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.defs.users.batch_files import UsersSourceError
from lake_assets.defs.users.folder_source import FolderOfUsers
from lake_assets.defs.users.generator import generate
from lake_assets.defs.users.source import GeneratedUsers, open_source
from lake_assets_tests.defs.users.files import add, changed, read


def cast(name: str, kind: pyarrow.DataType) -> pyarrow.Table:
    table = generate("week1")
    return table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))


WRONG_COLUMNS = {
    "email (string) is missing": generate("week1").drop_columns("email"),
    "age (INT64) is not expected": generate("week1").append_column("age", pyarrow.array([1] * 1000)),
    "email (string) is missing; Email (string) is not expected": generate("week1").rename_columns({"email": "Email"}),
    "id is INT64, not int": cast("id", pyarrow.int64()),
    "comments is BYTE_ARRAY, not string": cast("comments", pyarrow.binary()),
}


@pytest.mark.parametrize("difference", WRONG_COLUMNS)
def test_a_file_of_other_columns_is_refused_with_the_difference(tmp_path: Path, difference: str) -> None:
    file = add(tmp_path, "week1", WRONG_COLUMNS[difference])
    with pytest.raises(UsersSourceError) as error:
        FolderOfUsers(str(tmp_path)).read("week1", tmp_path)
    assert str(error.value) == f"{file} does not have the columns of users: {difference}"


def test_nanoseconds_which_spark_cannot_read_are_refused_before_it_tries(tmp_path: Path) -> None:
    pq.write_table(cast("registration_dttm", pyarrow.timestamp("ns")), tmp_path / "week1.parquet")
    with pytest.raises(UsersSourceError, match="registration_dttm is timestamp in nanoseconds"):
        FolderOfUsers(str(tmp_path)).read("week1", tmp_path)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def spoil_footer(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-60:-20] = b"\xff" * 40
    file.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [cut, spoil_footer, lambda file: file.write_bytes(b""), lambda file: file.write_text("id,email\n1,a@b.org\n" * 9)],
    ids=["truncated", "footer", "empty", "csv"],
)
def test_a_file_that_is_no_parquet_is_refused_by_its_name(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    file = add(tmp_path, "week1")
    spoil(file)
    with pytest.raises(UsersSourceError, match="is not a complete Parquet file") as error:
        FolderOfUsers(str(tmp_path)).read("week1", tmp_path)
    assert str(file) in str(error.value)


def test_a_batch_without_a_file_is_refused_with_the_path_it_should_have(tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for batch, reason in {"week1": "there is no such file", "folder": "is not a file"}.items():
        with pytest.raises(UsersSourceError, match=reason) as error:
            FolderOfUsers(str(tmp_path)).read(batch, tmp_path)
        assert str(tmp_path / f"{batch}.parquet") in str(error.value)


@pytest.mark.parametrize("batch", ["../week1", "/week1", ".week1", "_week1", ""])
def test_a_batch_that_no_file_of_the_folder_can_be_is_refused(tmp_path: Path, batch: str) -> None:
    add(tmp_path, "week1")
    add(tmp_path, "_week1")
    with pytest.raises(UsersSourceError, match="is not a valid file name"):
        FolderOfUsers(str(tmp_path / "below")).read(batch, tmp_path)


def test_a_name_with_signs_that_spark_takes_for_a_pattern_is_that_file_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "a [b] {c,d} %41 #?*"
    for batch in ("week 1*", "week 12", "week?1"):
        add(folder, batch, changed(batch, title=f"title of {batch}"))
    source = open_source(str(folder))
    for batch in ("week 1*", "week?1"):
        rows = read(source, batch, tmp_path)
        assert rows.num_rows == 1000
        assert rows["title"][0].as_py() == f"title of {batch}"


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("unit", ["ms", "us"])
def test_timestamps_of_any_writer_are_the_same_moment(tmp_path: Path, unit: str, zone: str | None) -> None:
    pq.write_table(cast("registration_dttm", pyarrow.timestamp(unit, zone)), tmp_path / "week1.parquet")
    found = read(open_source(str(tmp_path)), "week1", tmp_path)["registration_dttm"]
    assert found.equals(generate("week1")["registration_dttm"].cast(found.type))


def test_a_folder_has_its_parquet_files_and_passes_over_the_rest(tmp_path: Path) -> None:
    for batch in ("week2", "week1"):
        add(tmp_path, batch)
    for name in ("week1.csv", ".week3.parquet", "_week4.parquet", "parquet", ".parquet"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "week5.parquet").mkdir()
    assert [batch for batch, _ in open_source(str(tmp_path)).batches() or ()] == ["week1", "week2"]


def test_a_folder_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UsersSourceError, match="cannot be listed"):
        list(open_source(str(tmp_path / "away")).batches() or ())


def test_the_generator_is_the_source_called_generated() -> None:
    source = open_source("generated")
    assert isinstance(source, GeneratedUsers)
    assert source.batches() is None
