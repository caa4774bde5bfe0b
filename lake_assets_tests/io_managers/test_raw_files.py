"""Raw files: which content is the same, and which is a correction."""

from __future__ import annotations

from pathlib import Path

from dagster import asset

from lake_assets.io_managers.raw_file import RawFile
from lake_assets_tests.audits import TESTS
from lake_assets_tests.io_managers.conftest import Workbench


def test_a_file_whose_hash_is_not_given_is_corrected_by_another_of_as_many_rows(
    workbench: Workbench, tmp_path: Path
) -> None:
    contents = ["price\n1\n", "price\n2\n", "price\n2\n"]
    heads: list[str] = []

    @asset(io_manager_key="lake_file_io_manager")
    def prices() -> RawFile:
        path = tmp_path / "prices.csv"
        path.write_text(contents[len(heads)])
        return RawFile("prices.csv", path, rows=1)

    for text in contents:
        result = workbench.run(prices)
        workbench.lake.merge(workbench.branch(result), "main", audit=TESTS)
        stored = workbench.lake.path("main", "prices/prices.csv")
        assert Path(stored.root).read_text() == text
        heads.append(workbench.lake.head("main").id)
    assert heads[0] != heads[1] == heads[2]


def test_a_damaged_file_is_mended_by_a_run_that_makes_the_same_content(workbench: Workbench, tmp_path: Path) -> None:
    @asset(io_manager_key="lake_file_io_manager")
    def prices() -> RawFile:
        path = tmp_path / "prices.csv"
        path.write_text("price\n1\n")
        return RawFile("prices.csv", path, rows=1)

    workbench.lake.merge(workbench.branch(workbench.run(prices)), "main", audit=TESTS)
    stored = Path(workbench.lake.path("main", "prices/prices.csv").root)
    stored.chmod(0o644)
    stored.write_text("price\n9\n")
    assert workbench.run(prices).success
    assert Path(workbench.lake.path("main", "prices/prices.csv").root).read_text() == "price\n1\n"
