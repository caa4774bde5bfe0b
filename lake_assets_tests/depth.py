"""How many examples a property is tried with: a part in `make test`, all in `make soak`."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

DEEP = "LAKE_TESTS_DEEP"
"""`make soak` sets it."""

_PART = 5


def examples(count: int) -> int:
    """Return the number of examples: ``count`` in `make soak`, and a fifth of it, but at least 10, in `make test`."""
    return count if os.environ.get(DEEP) else min(count, max(10, count // _PART))


def load_profile() -> None:
    """Set the depth of properties that name none of their own. No property fails because the machine is busy."""
    checks = list(HealthCheck)
    settings.register_profile("all", deadline=None, max_examples=examples(100), suppress_health_check=checks)
    settings.load_profile("all")


def also_in_soak(items: list[pytest.Item]) -> None:
    """Mark the properties, which `make soak` tries, too."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")
