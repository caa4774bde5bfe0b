"""What another project imports: the names of `lake_assets`, and what an import of it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import is_dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any, get_args

import pytest
from packaging.requirements import Requirement

import lake_assets
from lake_assets.quality.constraints import AnyConstraint
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository

_PARAMETER = re.compile(r"^(?:\*{0,2}\w+)(?:, \w+)*$", re.MULTILINE)
"""A line of a docstring with the names of parameters, whose description is the next line, indented."""


def run(code: str, folder: Path) -> str:
    """Run a program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_loads_neither_dagster_nor_a_frame_library(tmp_path: Path) -> None:
    heavy = ["dagster", "pyspark", "pandas", "pyarrow", "pygit2", "pydantic", "confluent_kafka", "duckdb", "boto3"]
    found = run(f"import sys, lake_assets\nprint([name for name in {heavy} if name in sys.modules])", tmp_path)
    assert found.strip() == "[]"


def test_every_name_is_there_and_no_other() -> None:
    homes = sorted(name for names in lake_assets._HOMES.values() for name in names)
    assert sorted(lake_assets.__all__) == homes
    for name in lake_assets.__all__:
        assert getattr(lake_assets, name).__module__.startswith("lake_assets.")
    assert set(lake_assets.__all__) <= set(dir(lake_assets))
    with pytest.raises(AttributeError, match="no attribute 'LakeFSResource'"):
        _ = lake_assets.LakeFSResource  # type: ignore[attr-defined]


def test_one_module_holds_what_is_private_in_dagster() -> None:
    package = Path(lake_assets.__file__).parent
    private = re.compile(r"\bdagster\._|\bstep_context\b|\.(?:event_log|run|schedule)_storage\b")
    used = {path.name for path in package.rglob("*.py") if private.search(path.read_text())}
    assert used == {"_dagster.py"}


def test_what_the_library_gives_tells_all_of_its_parameters() -> None:
    given: list[Any] = [*(getattr(lake_assets, name) for name in lake_assets.__all__), *get_args(AnyConstraint)]
    lacking: dict[str, list[str]] = {}
    for one in given:
        names = getattr(one, "__struct_fields__", ()) or getattr(one, "model_fields", ())
        whole: Any = one
        if inspect.isfunction(one) or is_dataclass(one):
            names = inspect.signature(whole).parameters
        documents = [inspect.getdoc(base) or "" for base in getattr(one, "__mro__", [one])]
        told = {name for text in documents for line in _PARAMETER.findall(text) for name in re.findall(r"\w+", line)}
        if missing := sorted(set(names) - told):
            lacking[whole.__name__] = missing
    assert lacking == {}


def test_a_lake_is_opened_by_its_address(tmp_path: Path) -> None:
    from lake_assets import lake

    for address in (tmp_path / "lake", str(tmp_path / "lake")):
        with closing(lake.open(address)) as store:
            assert store.branches() == ("main",)
            assert store.repository == str(tmp_path / "lake")
    for address in ("s3://bucket/lake", "lakefs://", "lakefs://desk/main"):
        with pytest.raises(ValueError, match="lakefs://REPOSITORY"):
            lake.open(address)


@pytest.mark.services
def test_a_lake_on_a_server_is_opened_by_its_address() -> None:
    from lake_assets import lake

    endpoint, _, repository = fresh_repository().rpartition("/")
    key, secret = CREDENTIALS
    with closing(lake.open(f"lakefs://{repository}", endpoint=endpoint, access_key=key, secret_key=secret)) as store:
        assert store.branches() == ("main",)


def test_pandas_on_spark_changes_no_times_of_the_process(tmp_path: Path) -> None:
    """By itself, it lets pyarrow leave the zone of a datetime out."""
    code = (
        "import lake_assets, pyspark.pandas, pyarrow\n"
        "from datetime import datetime, timedelta, timezone\n"
        "noon = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))\n"
        "print(pyarrow.array([noon])[0].as_py() == noon)"
    )
    assert run(code, tmp_path).strip() == "True"


def test_every_dependency_has_a_lower_bound() -> None:
    """Without one, a resolver that cannot have the newest version takes one that is years old."""
    for text in requires("lake_assets") or []:
        asked = Requirement(text)
        assert any(one.operator in (">=", "~=") for one in asked.specifier), text
