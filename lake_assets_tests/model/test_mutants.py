"""The machine is able to fail: each mutant of the product is found."""

from __future__ import annotations

import pytest

from lake_assets_tests.model.machine import RunsMachine
from lake_assets_tests.model.mutants import MUTANTS, SLOW
from lake_assets_tests.model.sequences import run_sequences

BUDGET = 400
"""Sequences until a mutant is found; each quick one was, in a quarter of them."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.soak] * (name in SLOW)) for name in MUTANTS])
def test_a_mutant_is_found(name: str) -> None:
    with MUTANTS[name](), pytest.raises(AssertionError):
        run_sequences(RunsMachine, 1, BUDGET * (4 if name in SLOW else 1))
