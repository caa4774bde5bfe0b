"""The model beside the real functions: sequences of steps, on both lakes.

A sequence that failed is run again by its seed: `MODEL_SEED=4711 pytest -m "" lake_assets_tests/model/test_model.py`.
"""

from __future__ import annotations

import os
from random import SystemRandom

import pytest

from lake_assets_tests.model.machine import LakeFSRunsMachine, RunsMachine
from lake_assets_tests.model.sequences import run_sequences

BATCH = 100
GIVEN = os.environ.get("MODEL_SEED")


def a_seed() -> int:
    """Return the seed that is asked for, else a new one; pytest shows it where the test fails."""
    chosen = int(GIVEN) if GIVEN else SystemRandom().randrange(2**32)
    print(f"MODEL_SEED={chosen}")
    return chosen


def test_whatever_happens_only_what_the_rule_covers_is_published() -> None:
    run_sequences(RunsMachine, a_seed(), 30)


@pytest.mark.services
def test_the_same_on_lakefs() -> None:
    run_sequences(LakeFSRunsMachine, a_seed(), 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(100))
def test_ten_thousand_sequences(batch: int) -> None:
    run_sequences(RunsMachine, a_seed(), BATCH)


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(10))
def test_five_hundred_sequences_on_lakefs(batch: int) -> None:
    run_sequences(LakeFSRunsMachine, a_seed(), 50)
