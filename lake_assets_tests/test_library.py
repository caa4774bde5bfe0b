"""What another project imports: the names of `lake_assets`, and what an import of it costs."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import lake_assets
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository


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
