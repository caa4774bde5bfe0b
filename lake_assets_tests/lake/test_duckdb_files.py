"""DuckDB on files that are on no local disk."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from lake_assets.lake import duckdb_files
from lake_assets.lake.contract import Snapshot
from lake_assets.lake.duckdb_files import duckdb_paths


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_files, "_small", duckdb_files._SmallFiles())


def _snapshot(folder: Path, commit: str = "c") -> Snapshot:
    return Snapshot(commit, "", "s3a://", SubTreeFileSystem(str(folder), LocalFileSystem()), "")


@pytest.mark.parametrize("name", ["a b.parquet", "a*?[b].parquet", "a:%2F=é.parquet", "day=1/hour=08/x.parquet"])
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.sql("SELECT 7 AS a").to_parquet(str(tmp_path / "plain.parquet"))
    (tmp_path / "plain.parquet").rename(tmp_path / name)
    with duckdb.connect() as connection:
        (path,) = duckdb_paths(connection, _snapshot(tmp_path), [name])
        assert connection.execute("SELECT a FROM read_parquet([?])", [path]).fetchall() == [(7,)]


def test_a_commit_has_its_own_content_and_what_is_kept_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_files, "_KEPT", 700)
    small = duckdb_files._small
    with duckdb.connect() as connection:
        for number in range(6):
            folder = tmp_path / str(number)
            folder.mkdir()
            connection.sql(f"SELECT {number} AS a").to_parquet(str(folder / "a.parquet"))
            (path,) = duckdb_paths(connection, _snapshot(folder, f"c{number}"), ["a.parquet"])
            if small.get(f"c{number}/a.parquet"):
                assert connection.execute("SELECT a FROM read_parquet([?])", [path]).fetchall() == [(number,)]
            assert sum(map(len, small._kept.values())) == small._size <= 700
    assert small.get("c0/a.parquet") is None
    assert small.get("c5/a.parquet") is not None
