"""Assets whose files are compressed, or damaged."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterator

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.layout.asset_folders import folder_of
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.errors import SqlError
from lake_assets_tests.audits import TESTS
from lake_assets_tests.sql.conftest import Ask, asking

NOTES = b"id,text\n1,one\n2,\n"
FILES = {
    "zipped": {"a.csv.gz": gzip.compress(NOTES)},
    "several": {"day=1/a.csv": NOTES, "day=2/a.csv.bz2": bz2.compress(NOTES)},
    "lines": {"a.jsonl": b'{"id": 1}\n'},
    "cut_in_its_header": {"a.csv.gz": gzip.compress(NOTES)[:15]},
    "not_zipped": {"a.csv.gz": NOTES},
    "empty": {"a.csv": b""},
    "other_encoding": {"a.csv": b"a,b\n1,\xe9\n"},
    "too_many_fields": {"a.csv": b"a,b\n1,2,3\n"},
    "no_orc": {"a.orc": b"nope"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    lake = GitLake(tmp_path_factory.mktemp("lake"))
    lake.create_branch("run-1", "main")
    many = b"id,text\n" + b"".join(b"%d,%d\n" % (at, at * 7919 % 1_000_003) for at in range(400_000))
    for asset, held in {**FILES, "cut": {"a.csv.gz": gzip.compress(many, 1)[:-5000]}}.items():
        with lake.write("run-1", asset) as write:
            for path, data in held.items():
                place = f"{write.root}/{path}"
                write.filesystem.create_dir(place.rpartition("/")[0], recursive=True)
                with write.filesystem.open_output_stream(place, compression=None) as stream:
                    stream.write(data)
    lake.merge("run-1", "main", "Publish", {}, audit=TESTS)
    yield asking(LakeCatalog(lake=lake, folder_of=folder_of))
    lake.close()


def test_compressed_csv_is_read_as_csv_is(files: Ask) -> None:
    assert files("FROM zipped ORDER BY id") == [("1", "one"), ("2", "")]
    assert files("SELECT day, id FROM several WHERE text = 'one' ORDER BY day") == [("1", "1"), ("2", "1")]


def counting(asset: str) -> str:
    return f"SELECT count(*), max(COLUMNS(*)) FROM {asset}"


def all_of(asset: str) -> str:
    return f"FROM {asset}"


@pytest.mark.parametrize("query", [counting, all_of])
@pytest.mark.parametrize(
    ("asset", "reason"),
    [
        ("cut", "cut cannot be read: Truncated compressed stream$"),
        ("cut_in_its_header", "cannot be read: Truncated compressed stream$"),
        ("not_zipped", "cannot be read: zlib inflate failed: incorrect header check$"),
        ("empty", "empty cannot be read: a.csv has no header"),
        ("other_encoding", "cannot be read: 'utf-8' codec can't decode byte"),
        ("too_many_fields", r"too_many_fields cannot be read: a.csv: a record has more fields .*'3'\]$"),
        ("no_orc", "no_orc cannot be read: Not an ORC file$"),
        ("lines", "lines holds no rows of Parquet, ORC or CSV: `lake-assets cat` shows its text$"),
    ],
)
def test_files_that_cannot_be_read_are_told_by_their_asset(
    files: Ask, asset: str, reason: str, query: Callable[[str], str]
) -> None:
    with pytest.raises(SqlError, match=reason):
        files(query(asset))
