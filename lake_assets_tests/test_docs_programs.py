"""The Python in docs runs: the blocks of a page, one after another, are one program in a project of the reader's."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pandas
import pytest
from dagster import AssetsDefinition, DagsterInstance, Definitions, asset, materialize

from lake_assets import environments
from lake_assets.defs.stocks.partitions import HOURS
from lake_assets_tests.audits import TESTS
from lake_assets_tests.test_docs import PAGES

OWN = "assets-of-your-own.md"


def program(page: Path) -> str:
    """Return the Python blocks of a page as one program."""
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


def needs_commands(page: Path) -> bool:
    """Return whether a page's program reads what commands before it have made; other tests run those."""
    return "subprocess" in program(page)


def run(page: Path, folder: Path) -> dict[str, Any]:
    """Run a page's program as a file in a project of the reader's; return what it defines."""
    place = folder / "reader.py"
    place.write_text(program(page))
    return runpy.run_path(str(place))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a lake of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if program(page)], ids=lambda page: page.name)
def test_the_python_of_a_page_is_a_program_that_runs(page: Path, project: Path) -> None:
    if needs_commands(page):
        compile(program(page), page.name, "exec")
        return
    definitions = run(page, project).get("defs")
    if definitions is not None:
        Definitions.validate_loadable(definitions)


def test_the_documented_assets_run_over_the_hours_that_exist(project: Path) -> None:
    documented = run(next(page for page in PAGES if page.name == OWN), project)

    @asset(io_manager_key="parquet_io_manager", partitions_def=HOURS)
    def stocks_parquet() -> pandas.DataFrame:
        return pandas.DataFrame({"ISIN": ["a", "b", "a"], "TradedVolume": [1, 2, 3]})

    resources = environments.resources()
    with DagsterInstance.ephemeral() as instance:

        def made(asset: AssetsDefinition, key: str | None) -> list[tuple[Any, ...]]:
            graph = [stocks_parquet, asset] if asset is not stocks_parquet else [asset]
            result = materialize(graph, selection=[asset], partition_key=key, resources=resources, instance=instance)
            lake = environments.open_lake()
            lake.merge(f"run-{result.run_id}", "main", audit=TESTS)
            snapshot = lake.path("main", asset.key.path[-1])
            rows = pandas.read_parquet(snapshot.root, filesystem=snapshot.filesystem)
            return list(rows[["ISIN", "TradedVolume"]].itertuples(index=False))

        for key in ("2017-07-28-08:00", "2017-07-28-11:00"):
            made(stocks_parquet, key)
        assert made(documented["most_traded"], None) == [("a", 8), ("b", 4)]
        assert made(documented["traded_by_day"], "2017-07-28") == [("a", 8), ("b", 4)]
