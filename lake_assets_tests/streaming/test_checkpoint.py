"""The folder that a stream's checkpoint is worked on in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.streaming.checkpoint import Checkout, checkout
from lake_assets_tests.audits import TESTS

CHECKPOINT = "beside/checkpoint"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[GitLake]:
    lake = GitLake(tmp_path / "home")
    yield lake
    lake.close()


def run(lake: GitLake, place: Checkout, file: str) -> None:
    """Do what a run does: restore, add a file, store, commit."""
    branch = f"run-{file}"
    lake.create_branch(branch, MAIN)
    place.restore(lake, branch, CHECKPOINT)
    (place.folder / file).write_text(file)
    with lake.write(branch, "counts", beside=["beside"]) as write:
        place.store(lake, write, CHECKPOINT)
    place.committed(lake, branch, CHECKPOINT)
    lake.merge(branch, MAIN, audit=TESTS)


def test_the_folder_of_a_run_that_ended_well_is_gone_on_with(lake: GitLake, tmp_path: Path) -> None:
    with checkout(tmp_path / "streams", lake, "counts") as first:
        run(lake, first, "one")
    with checkout(tmp_path / "streams", lake, "counts") as second:
        assert second.folder == first.folder
        assert (second.folder / "one").read_text() == "one"


def test_the_folder_of_a_killed_run_is_not_worked_on_again_since_its_spark_may_still_write_to_it(
    lake: GitLake, tmp_path: Path
) -> None:
    with checkout(tmp_path / "streams", lake, "counts") as first:
        run(lake, first, "one")
    with checkout(tmp_path / "streams", lake, "counts") as killed:
        killed.restore(lake, MAIN, CHECKPOINT)
        (killed.scratch / "changes").mkdir()
    with checkout(tmp_path / "streams", lake, "counts") as mended:
        assert mended.folder != killed.folder
        assert list(mended.scratch.iterdir()) == [mended.folder]
        killed.folder.mkdir()
        (killed.folder / "late").touch()
        run(lake, mended, "two")
    assert {item.path for item in lake.list(MAIN)} == {f"{CHECKPOINT}/one", f"{CHECKPOINT}/two"}
    with checkout(tmp_path / "streams", lake, "counts") as last:
        assert last.folder == mended.folder
        assert not killed.folder.exists()


def test_a_folder_is_no_other_runs(lake: GitLake, tmp_path: Path) -> None:
    with (
        checkout(tmp_path / "streams", lake, "counts") as one,
        checkout(tmp_path / "streams", lake, "counts") as other,
        checkout(tmp_path / "streams", lake, "others") as third,
    ):
        assert len({one.folder, other.folder, third.folder}) == 3
