"""A project outside this repository, on the wheel: it materializes, publishes and rolls back, on both lakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from lake_assets.definitions import defs
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository

EMBEDDED = 'EmbeddedLake(home="lake")'
LAKEFS = (
    'LakeFS(endpoint=os.environ["DESK_LAKE"], repository=os.environ["DESK_REPOSITORY"], '
    'access_key_id=EnvVar("DESK_KEY"), secret_access_key=EnvVar("DESK_SECRET"))'
)

PROJECT = """\
import os
import pandas
from dagster import Definitions, EnvVar, asset
from lake_assets import EmbeddedLake, LakeFS, ParquetIOManager, lake_sensors, published_asset

@asset(io_manager_key="io_manager", group_name="desk")
def trades() -> pandas.DataFrame:
    return pandas.DataFrame({"price": [float(price) for price in os.environ["DESK_PRICES"].split()]})

@asset(io_manager_key="io_manager", group_name="desk")
def total(trades: pandas.DataFrame) -> pandas.DataFrame:
    return pandas.DataFrame({"total": [trades["price"].sum()]})

lake = LAKE
defs = Definitions(assets=[trades, total, published_asset("desk", [trades, total])], sensors=lake_sensors(),
                   resources={"lake": lake, "io_manager": ParquetIOManager(lake=lake)})
"""

WALK = """\
import json, os
import pandas
from dagster import DagsterInstance
from my.definitions import defs
from lake_assets import EmbeddedLake, LakeFS
from lake_assets.runs.rollback import plan_rollback, roll_back

lake = LAKE.lake
def held(name):
    snapshot = lake.path("main", name)
    return pandas.read_parquet(snapshot.root, filesystem=snapshot.filesystem).iloc[:, 0].tolist()
def tell():
    print(json.dumps({"trades": held("trades"), "total": held("total"), "branches": list(lake.branches())}))
with DagsterInstance.get() as instance:
    job = defs.resolve_implicit_global_asset_job_def()
    def publish(prices):
        os.environ["DESK_PRICES"] = prices
        assert job.execute_in_process(instance=instance).success
        tell()
    publish("1 2")
    first = lake.head("main").id
    publish("1 200")
    roll_back(lake, instance, defs.resolve_asset_graph(), plan_rollback(lake, first), "a bad price")
    tell()
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh environment with the wheel in it, and this one's other packages; return its Python."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    # A copy of what Git has: nothing that an earlier build left here gets into the wheel.
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(
        [*listed, "lake_assets", "pyproject.toml", "README.md"],
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY_ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((REPOSITORY_ROOT / name).read_bytes())
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source]
    subprocess.run([sys.executable, *map(str, build)], check=True, timeout=240)
    (wheel,) = folder.glob("lake_assets-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    made = folder / "venv" / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([made, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    install = ["-m", "pip", "--python", made, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *map(str, install)], check=True, timeout=240)
    # A plain path, not a site folder: the editable install of this checkout there stays out.
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return str(made)


class Project:
    """The project in a folder of its own, and its commands."""

    def __init__(self, folder: Path, python: str, lake: str, **environment: str) -> None:
        self.folder = folder
        self.python = python
        (folder / "my").mkdir()
        (folder / "dagster").mkdir()
        (folder / "my" / "__init__.py").touch()
        (folder / "my" / "definitions.py").write_text(PROJECT.replace("LAKE", lake, 1))
        outside = lake.replace("EnvVar(", "os.environ.get(")
        (folder / "walk.py").write_text(WALK.replace("LAKE", outside, 1))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DAGSTER_HOME": str(folder / "dagster"),
            **environment,
        }

    def run(self, *arguments: str) -> list[dict[str, list[Any]]]:
        """Run its Python; return what it printed as JSON."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_the_wheel_is_what_is_imported_and_holds_all_that_the_example_needs(python: str, tmp_path: Path) -> None:
    code = dedent("""\
        import lake_assets, lake_assets.definitions
        from lake_assets.defs.words.source import SAMPLE
        from pathlib import Path
        import lake_assets.spark
        home = Path(lake_assets.__file__).parent
        assert home.parent.name == "site-packages", home
        assert (home / "py.typed").is_file()
        assert (home / "spark" / "conf" / "log4j2.properties").is_file()
        assert Path(SAMPLE, "lines.txt").is_file()
        repository = lake_assets.definitions.defs.get_repository_def()
        print(sorted(sensor.name for sensor in repository.sensor_defs))
        print(sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()))
    """)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [python, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    repository = defs.get_repository_def()
    sensors = sorted(sensor.name for sensor in repository.sensor_defs)
    keys = sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys())
    assert done.stdout.splitlines() == [str(sensors), str(keys)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_materializes_publishes_and_rolls_back(python: str, tmp_path: Path, backend: str) -> None:
    if backend == "embedded":
        project = Project(tmp_path, python, EMBEDDED)
    else:
        endpoint, _, repository = fresh_repository().rpartition("/")
        names = {"DESK_LAKE": endpoint, "DESK_REPOSITORY": repository}
        keys = {"DESK_KEY": CREDENTIALS[0], "DESK_SECRET": CREDENTIALS[1]}
        project = Project(tmp_path, python, LAKEFS, **names, **keys)
    first, second, back = project.run("walk.py")
    assert first == {"trades": [1.0, 2.0], "total": [3.0], "branches": ["main"]}
    assert second == {"trades": [1.0, 200.0], "total": [201.0], "branches": ["main"]}
    assert back == first


@pytest.mark.soak
def test_dagsters_own_commands_run_it(python: str, tmp_path: Path) -> None:
    project = Project(tmp_path, python, EMBEDDED, DESK_PRICES="7")
    project.run("-m", "dagster", "definitions", "validate", "-m", "my.definitions")
    project.run("-m", "dagster", "asset", "materialize", "-m", "my.definitions", "--select", "*")
    with closing(GitLake(tmp_path / "lake")) as lake:
        assert {item.path.partition("/")[0] for item in lake.list("main")} == {"trades", "total"}
        assert lake.branches() == ("main",)
