"""A new domain is one folder in ``defs/``: nothing else names it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lake_assets
from lake_assets import domains

DOMAIN = {
    "__init__.py": "",
    "settings.py": '''
from pydantic import Field
from lake_assets.settings import Settings

class NumbersSettings(Settings):
    """How many numbers."""
    rows: int = Field(3, validation_alias="NUMBERS_ROWS", ge=1, le=10, description="How many numbers.")
''',
    "resources.py": """
from dagster import ConfigurableResource

class Start(ConfigurableResource):
    at: int

def resources(shared):
    assert {"lake", "kafka", "nosql", "spark"} <= shared.keys()
    return {"numbers_start": Start(at=10)}
""",
    "assets.py": """
import pandas
from dagster import asset
from lake_assets.defs.numbers.resources import Start
from lake_assets.defs.numbers.settings import NumbersSettings
from lake_assets.runs.publishing import published_asset

@asset(group_name="numbers", io_manager_key="parquet_io_manager")
def numbers(numbers_start: Start) -> pandas.DataFrame:
    start = numbers_start.at
    return pandas.DataFrame({"n": range(start, start + NumbersSettings.read().rows)})

numbers_published = published_asset("numbers", [numbers])
""",
    "checks.py": """
import pandas
from dagster import AssetCheckResult, asset_check

@asset_check(asset="numbers", blocking=True)
def not_empty(numbers: pandas.DataFrame) -> AssetCheckResult:
    return AssetCheckResult(passed=len(numbers) > 0)
""",
    "jobs.py": """
from dagster import AssetSelection, ScheduleDefinition, define_asset_job

numbers_job = define_asset_job("all_numbers", AssetSelection.groups("numbers"))
numbers_daily = ScheduleDefinition(name="numbers_daily", job=numbers_job, cron_schedule="0 4 * * *")
""",
}

RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
from contextlib import closing
from dagster import DagsterInstance
import lake_assets
from lake_assets import domains, environments
from lake_assets.definitions import defs

repository = defs.get_repository_def()
with DagsterInstance.ephemeral() as instance:
    result = defs.resolve_job_def("all_numbers").execute_in_process(instance=instance)
with closing(environments.open_lake()) as lake:
    place = lake.path("main", "numbers")
    import pyarrow.parquet as pq
    rows = pq.read_table(place.root, filesystem=place.filesystem).column("n").to_pylist()
json.dump({
    "package": lake_assets.__file__,
    "assets": [key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()],
    "checks": [str(key.name) for key in repository.asset_graph.asset_check_keys],
    "schedules": [schedule.name for schedule in repository.schedule_defs],
    "variables": [variable.name for variable in domains.all_variables()],
    "resources": sorted(environments.resources()),
    "rows": rows,
}, sys.stdout)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, and nothing above it: no pyproject.toml, as in a wheel."""
    package = Path(lake_assets.__file__).parent
    shutil.copytree(package, tmp_path / "copy" / "lake_assets", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def test_one_folder_brings_assets_checks_jobs_settings_and_resources_and_is_published(
    copy: Path, tmp_path: Path
) -> None:
    domain = copy / "lake_assets" / "defs" / "numbers"
    domain.mkdir()
    for name, text in DOMAIN.items():
        (domain / name).write_text(text)
    known = {variable.name for variable in domains.all_variables()}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    environment |= {"PYTHONPATH": str(copy), "LAKE_HOME": str(tmp_path / "home"), "NUMBERS_ROWS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["package"].startswith(str(copy))
    assert {"numbers", "numbers_published", "stocks_csv", "users", "word_counts"} <= set(found["assets"])
    assert "not_empty" in found["checks"]
    assert "numbers_daily" in found["schedules"]
    assert "NUMBERS_ROWS" in found["variables"]
    assert {"numbers_start", "stocks_source", "words_outbox"} <= set(found["resources"])
    assert found["rows"] == [10, 11, 12, 13]


def test_a_resource_of_a_key_that_is_taken_is_refused_with_both_names() -> None:
    with pytest.raises(ValueError, match=r"lake_assets\.defs\.stocks\.resources .* stocks_source"):
        domains.resources({"stocks_source": object()})
