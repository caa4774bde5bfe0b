"""The values for Dagster's Helm chart: its schema allows them, and Dagster the configuration that comes of them.

The chart is not part of this repository. DAGSTER_CHART names its folder (`helm/dagster` of Dagster's repository, of the
release in use) for the first test.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from lake_assets_tests.conftest import REPOSITORY_ROOT

DEPLOY = REPOSITORY_ROOT / "deploy"
VALUES = yaml.safe_load((DEPLOY / "values.yaml").read_text())


def merged(defaults: Any, ours: Any) -> Any:
    """Return the chart's values with ours, as Helm merges them: mappings by key, all else as a whole."""
    if not isinstance(defaults, dict) or not isinstance(ours, dict):
        return ours
    return {**defaults, **{key: merged(defaults.get(key), value) for key, value in ours.items()}}


def test_the_schema_of_the_chart_allows_them() -> None:
    chart = Path(os.environ.get("DAGSTER_CHART", "none"))
    if not (chart / "values.schema.json").is_file():
        pytest.skip("wants Dagster's Helm chart: set DAGSTER_CHART to the folder helm/dagster of its repository")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((chart / "values.schema.json").read_text())
    # What is of Kubernetes is defined elsewhere.
    local = json.loads(json.dumps(schema), object_hook=without_remote)
    values = merged(yaml.safe_load((chart / "values.yaml").read_text()), VALUES)
    jsonschema.validate(values, local)
    unknown = VALUES.keys() - schema["properties"].keys()
    assert not unknown, f"the chart has no {sorted(unknown)}"


def without_remote(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema without a reference to another document."""
    return {} if str(part.get("$ref", "")).startswith("https:") else part


def test_the_queue_and_the_pools_are_what_dagster_accepts_and_as_on_one_machine(tmp_path: Path) -> None:
    # The chart adds these as they are, and the coordinator only if it is enabled.
    assert VALUES["dagsterDaemon"]["runCoordinator"] == {"enabled": False}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(VALUES["additionalInstanceConfig"]))
    config, _ = dagster_instance_config(str(tmp_path))
    ours = yaml.safe_load((REPOSITORY_ROOT / "dagster.yaml").read_text())
    assert config["concurrency"]["pools"] == ours["concurrency"]["pools"]
    assert config["run_coordinator"] == ours["run_coordinator"]


def test_the_storage_in_postgres_is_all_that_differs_from_one_machine() -> None:
    ours = yaml.safe_load((REPOSITORY_ROOT / "dagster.yaml").read_text())
    with_storage = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert with_storage.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert with_storage == ours
