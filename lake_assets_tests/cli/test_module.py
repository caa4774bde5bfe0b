"""`--module`: the command line on the code location of another project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from typer.testing import CliRunner, Result

from lake_assets.cli.app import app
from lake_assets.cli.code_location import choose
from lake_assets.lake.embedded import GitLake
from lake_assets.resources.spark import SparkResource

PROGRAM = str(Path(sys.executable).with_name("lake-assets"))

DESK = """
import pandas
from dagster import Definitions, asset

from lake_assets import (
    EmbeddedLake, LMDBNoSQL, LakeResource, NoSQLIOManager, NoSQLResource, ParquetIOManager, TableUpdate, published_asset
)


@asset(io_manager_key="io_manager", group_name="desk")
def trades() -> pandas.DataFrame:
    return pandas.DataFrame({"isin": ["DE1"], "price": [float(open("price.txt").read())]})


published = published_asset("desk", [trades])


@asset(io_manager_key="tables", deps=[published, trades], tags={"layer": "sink"}, metadata={"nosql/key": "isin"})
def trades_table(lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
    before, head = nosql.store.source_commit("trades_table"), lake.lake.head("main").id
    rows = pandas.read_parquet(lake.lake.path(head, "trades").root)
    return TableUpdate(before, head, head, rows, rebuild=True)


lake, nosql = EmbeddedLake(home="desk-lake"), LMDBNoSQL(folder="desk-tables")
defs = Definitions(
    assets=[trades, published, trades_table],
    resources={
        "lake": lake,
        "nosql": nosql,
        "io_manager": ParquetIOManager(lake=lake),
        "tables": NoSQLIOManager(nosql=nosql),
    },
)
"""


@pytest.fixture
def project(tmp_path: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, in a folder that Python does not know, and that is the working folder."""
    folder = tmp_path / "project"
    (folder / "my").mkdir(parents=True)
    (folder / "my" / "__init__.py").write_text("")
    (folder / "my" / "definitions.py").write_text(DESK)
    monkeypatch.chdir(folder)
    path, modules = list(sys.path), set(sys.modules)
    yield folder
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
            del sys.modules[name]
    choose("")


def program(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120, cwd=project)


def run(*arguments: str, **variables: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments), env=variables)


def answer(*arguments: str) -> Any:
    done = run("--module", "my.definitions", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def materialize(project: Path, price: float) -> None:
    (project / "price.txt").write_text(str(price))
    with pytest.MonkeyPatch.context() as patched, DagsterInstance.get() as instance:
        patched.syspath_prepend(str(project))
        job = import_module("my.definitions").defs.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=instance).success


def test_lake_tables_graph_and_sinks_are_those_of_the_module(project: Path) -> None:
    materialize(project, 1.5)
    listed = program(project, "--module", "my.definitions", "log", "--json")
    assert listed.returncode == 0, listed.stderr
    first = json.loads(listed.stdout)[0]["id"]
    materialize(project, 2.5)
    assert answer("cat", "main:trades") == [{"isin": "DE1", "price": 2.5}]
    assert [made["asset"] for made in answer("lineage", "trades")["made_by"]] == ["trades"]
    assert answer("verify")["problems"] == []
    assert answer("get", "trades_table", "DE1") == {"isin": "DE1", "price": 2.5}
    done = run("-m", "my.definitions", "rollback", "trades", "--to", first, "--yes", "--sinks")
    assert done.exit_code == 0, done.stderr
    assert "Assets: trades. Publications: desk_published.\nUpdated to main: trades_table\n" in done.stdout
    assert answer("get", "trades_table", "DE1")["price"] == 1.5
    reason = ("--yes", "--reason", "the end")
    deleted = run("delete", "trades", *reason, LAKE_ASSETS_MODULE="my.definitions")
    assert "Deleted trades: 2 path(s) removed" in deleted.stdout
    found = {check["name"]: check["detail"] for check in answer("doctor") if check["ok"]}
    assert found["definitions"] == "load: 3 assets"
    assert "LAKE_HOME" not in found
    assert not (project / ".lake").exists()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL needs Python 3.11")
def test_sql_in_a_notebook_queries_the_module_that_the_variable_names(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("IPython", reason="IPython is not installed")
    from IPython.core.interactiveshell import InteractiveShell

    materialize(project, 1.5)
    monkeypatch.setenv("LAKE_ASSETS_MODULE", "my.definitions")
    shell: Any = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "lake_assets.notebook")
        frame = shell.run_line_magic("sql", "SELECT isin, t.price FROM trades JOIN trades_table t USING (isin)")
    finally:
        InteractiveShell.clear_instance()
    assert frame.to_dict("records") == [{"isin": "DE1", "price": 1.5}]


def test_prepare_spark_prepares_the_sparks_resource_of_the_module(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions = project / "my" / "definitions.py"
    definitions.write_text(
        DESK.replace("LakeResource, ", "LakeResource, SparkResource, ", 1).replace(
            "resources={", 'resources={"spark": SparkResource(jars="desk-jars"),'
        )
    )
    prepared: list[str] = []

    def prepare(self: SparkResource) -> list[Path]:
        prepared.append(self.jars)
        return [Path(self.jars)]

    # The connectors are not fetched here.
    monkeypatch.setattr(SparkResource, "prepare", prepare)
    done = run("--module", "my.definitions", "prepare-spark")
    assert (done.exit_code, done.stdout, prepared) == (0, "desk-jars\n", ["desk-jars"]), done.stderr


@pytest.mark.parametrize(
    ("module", "text", "reason"),
    [
        ("my.nowhere", None, "there is no module 'my.nowhere' in "),
        ("mine", None, "there is no module 'mine' in "),
        ("broken", "import nothing_of_that_name", "broken does not load: No module named 'nothing_of_that_name'"),
        ("raising", "raise ValueError('a\\nb')", "raising does not load: ValueError: a b"),
        ("empty", "", "empty has no Definitions: it should have `defs = Definitions(…)`"),
        (
            "two",
            "from dagster import Definitions\na, b = Definitions(), Definitions()",
            "two has 2 Definitions, none of which is named defs: it should have `defs = Definitions(…)`",
        ),
        (
            "lakeless",
            "from dagster import Definitions\ndefs = Definitions(resources={'a': 1})",
            "the resources of lakeless include no lake: add a lake of lake_assets to its Definitions, such as ",
        ),
    ],
)
def test_a_module_that_will_not_do_is_one_line(project: Path, module: str, text: str | None, reason: str) -> None:
    if text is not None:
        (project / f"{module}.py").write_text(text)
    done = run("--module", module, "ls")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"lake-assets: {reason}")


def test_definitions_by_another_name_or_made_by_a_function_will_do(project: Path) -> None:
    (project / "named.py").write_text("from my.definitions import defs as the_desk")
    (project / "lazy.py").write_text(
        "import dagster\nimport my.definitions\n"
        "@dagster.definitions\ndef defs() -> dagster.Definitions:\n    return my.definitions.defs\n"
    )
    GitLake(project / "desk-lake").close()
    for module in ("named", "lazy"):
        done = run("--module", module, "branches")
        assert (done.exit_code, "main" in done.stdout) == (0, True), done.stderr


def test_the_program_says_so_too(project: Path) -> None:
    done = program(project, "--module", "my.nowhere", "ls")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("lake-assets: there is no module 'my.nowhere' in ")
