"""What the templates of Dagster's Helm chart make of values."""

from __future__ import annotations

import re
from typing import Any


def queue_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the part of ``dagster.yaml`` that is about the queue of runs."""
    daemon = values["dagsterDaemon"]
    limits = {name: value for name, value in values["concurrency"].items() if name != "enabled"}
    return {
        "run_coordinator": daemon["runCoordinator"]["config"]["customRunCoordinator"],
        "concurrency": _in_dagsters_words(limits),
        "run_monitoring": _in_dagsters_words(daemon["runMonitoring"]),
    }


def _in_dagsters_words(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {
        re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): _in_dagsters_words(values[key]) for key in values
    }
