"""A damaged store is one clear error. It never kills the process, which may be Dagster's daemon."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.lake.backends import PROCESSES

PAGE = 4096
REMEDY = "the store is damaged: `lake-assets restore` brings back a backup"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a table of many pages."""
    store = LMDBStore(tmp_path / "whole")
    store.write("t", pd.DataFrame({"k": range(4000), "v": ["x" * 100] * 4000}), key=["k"])
    store.close()
    return store.folder


def use(folder: Path, read_only: bool) -> None:
    """Read all of a table, and write to it."""
    store = LMDBStore(folder, read_only=read_only)
    try:
        assert sum(batch.num_rows for batch in store.scan("t")) == 4000
        if not read_only:
            store.write("t", pd.DataFrame({"k": [1], "v": ["y" * 9000]}), key=["k"])
    finally:
        store.close()


def use_and_tell(folders: list[Path], read_only: bool, told: Path) -> None:
    for folder in folders:
        try:
            use(folder, read_only)
            line = "as it was"
        except NoSQLError as error:
            line = str(error)
        with told.open("a") as file:
            file.write(f"{line}\n")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_was_cut_off_is_an_error_and_kills_no_process(
    folder: Path, tmp_path: Path, read_only: bool
) -> None:
    size = (folder / "data.mdb").stat().st_size
    cut = list(range(2 * PAGE, size, size // 12))
    folders: list[Path] = []
    for number, length in enumerate(cut):
        folders.append(Path(shutil.copytree(folder, tmp_path / f"cut-{number}")))
        os.truncate(folders[-1] / "data.mdb", length)
    process = PROCESSES.Process(target=use_and_tell, args=(folders, read_only, tmp_path / "told"))
    process.start()
    process.join()
    assert process.exitcode == 0
    told = (tmp_path / "told").read_text().splitlines()
    assert len(told) == len(cut)
    assert all(REMEDY in line and "cut-" in line for line in told)


def test_a_file_that_lacks_only_unused_pages_is_whole(folder: Path) -> None:
    use(folder, read_only=False)
    use(folder, read_only=True)


@pytest.mark.parametrize(
    ("written", "damaged", "named"),
    [
        (b"\x91\xd9dxx", b"\xc1\xd9dxx", "an item cannot be read"),
        (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", "table 't': its columns cannot be read"),
    ],
    ids=["of an item", "of the columns"],
)
def test_damage_within_the_file_names_the_remedy(folder: Path, written: bytes, damaged: bytes, named: str) -> None:
    data = folder / "data.mdb"
    content = data.read_bytes()
    assert written in content
    data.write_bytes(content.replace(written, damaged))
    with pytest.raises(NoSQLError, match=f"{named}.*the store is damaged"):
        use(folder, read_only=True)


def test_what_is_no_store_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_text("garbage")
    with pytest.raises(NoSQLError, match="the store is damaged"):
        LMDBStore(tmp_path, read_only=True)
