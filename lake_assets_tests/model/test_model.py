"""The model beside the real functions: sequences of steps, on both lakes."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from lake_assets_tests.model.machine import RunsMachine

TestRuns = RunsMachine.TestCase
TestRuns.settings = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
