"""The machine is able to fail: each mutant of the product is found, by chance alone."""

from __future__ import annotations

import pytest

from lake_assets_tests.model.machine import RunsMachine
from lake_assets_tests.model.mutants import MUTANTS
from lake_assets_tests.model.sequences import run_sequences

BATCH, BATCHES = 20, 25
"""Sequences until a mutant is found. Short batches differ more from each other than the sequences of a long one do."""

FIRST = {"asset ungated": 2, "re-execution ungated": 2}
"""The batch to begin at, where the ones before it do not find a mutant."""

LONG = {
    "asset ungated",
    "re-execution ungated",
    "needed branches swept",
    "sink fed from a branch",
    "sweep too early",
    "overrides carried over",
    "merge of a branch ungated",
    "rollback ungated",
    "first pass decides",
    "lost work unnoticed",
    "lost work unreported",
    "past the rule unreported",
}
"""They are found after three seconds or more, so only in `make soak`."""


def search(first: int) -> None:
    for number in range(first, BATCHES):
        run_sequences(RunsMachine, number, BATCH)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak) if name in LONG else name for name in MUTANTS]
)
def test_a_mutant_is_found(name: str) -> None:
    with MUTANTS[name](), pytest.raises(AssertionError):
        search(FIRST.get(name, 0))
