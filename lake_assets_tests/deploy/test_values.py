"""The values for Dagster's Helm chart: its schema allows them, and Dagster the configuration that comes of them.

The chart is not part of this repository. DAGSTER_CHART names its folder (`helm/dagster` of Dagster's repository, of the
release in use) for the first test. What Kubernetes itself defines, such as the resources of a container, is not in the
chart's schema, and is not checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.deploy.chart import queue_of

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
    # It allows other names besides its own. Such a name has no effect: it is misspelled, or of another release.
    assert list(unknown(VALUES, local, local)) == []
    values = merged(yaml.safe_load((chart / "values.yaml").read_text()), VALUES)
    jsonschema.validate(values, local)


def unknown(values: Any, part: dict[str, Any], schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """Yield the names in values that a part of a schema does not define."""
    if "$ref" in part:
        _, place, name = part["$ref"].split("/")
        part = schema[place][name]
    if isinstance(values, list):
        for value in values:
            yield from unknown(value, part.get("items", {}), schema, f"{at}[]")
    if not isinstance(values, dict) or not part.get("properties"):
        return
    for name, value in values.items():
        if name in part["properties"]:
            yield from unknown(value, part["properties"][name], schema, f"{at}.{name}")
        else:
            yield f"{at}.{name}"


def without_remote(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema without a reference to another document."""
    return {} if str(part.get("$ref", "")).startswith("https:") else part


def test_the_queue_and_the_pools_are_what_dagster_accepts_and_as_on_one_machine(tmp_path: Path) -> None:
    coordinator = VALUES["dagsterDaemon"]["runCoordinator"]
    # Without a coordinator, the chart names one that has no queue. With limits in both places, Dagster does not start.
    assert (coordinator["enabled"], coordinator["type"]) == (True, "CustomRunCoordinator")
    assert VALUES["concurrency"]["enabled"] is True
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(queue_of(VALUES)))
    config, _ = dagster_instance_config(str(tmp_path))
    ours = yaml.safe_load((REPOSITORY_ROOT / "dagster.yaml").read_text())
    assert config["concurrency"]["pools"] == ours["concurrency"]["pools"]
    assert config["run_coordinator"] == ours["run_coordinator"]
    assert config["run_monitoring"] == ours["run_monitoring"]


def test_the_storage_in_postgres_is_all_that_differs_from_one_machine() -> None:
    ours = yaml.safe_load((REPOSITORY_ROOT / "dagster.yaml").read_text())
    with_storage = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert with_storage.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert with_storage == ours
