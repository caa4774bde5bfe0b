"""The machine is able to fail: each mutant of the product is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lake_assets_tests.model.graph import ROWS
from lake_assets_tests.model.machine import NOW, RunsMachine
from lake_assets_tests.model.mutants import MUTANTS, SLOW
from lake_assets_tests.model.sequences import run_sequences

BATCH, BATCHES = 20, 25
"""Sequences until a mutant is found. Short batches differ more from each other than the sequences of a long one do."""


def search(batches: int) -> None:
    for number in range(batches):
        run_sequences(RunsMachine, number, BATCH)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.soak] * (name in SLOW)) for name in MUTANTS])
def test_a_mutant_is_found(name: str) -> None:
    with MUTANTS[name](), pytest.raises(AssertionError):
        search(BATCHES * (4 if name in SLOW else 1))


def reexecuted_without_checks(machine: RunsMachine) -> None:
    failed = machine._begin(("p",))
    machine._write(failed, ROWS, "bad")
    machine._end(failed, success=False)
    machine._publish(machine._begin(("p",), parent=failed, skips=True), "asset")


def swept_under_a_reexecution(machine: RunsMachine) -> None:
    failed = machine._begin(("p",))
    machine._write(failed, ROWS, "one")
    machine._end(failed, success=False)
    machine._read(machine._begin(("p",), parent=failed, skips=True))
    machine.sweep(NOW)


def failed_after_it_passed(machine: RunsMachine) -> None:
    run = machine._begin(("p",))
    machine._write(run, ROWS, "bad")
    machine._check(run, ROWS, "passed", "input")
    machine._check(run, ROWS, "failed", "input")
    machine._publish(run, "asset")


DIRECTED: dict[str, Callable[[RunsMachine], None]] = {
    "re-execution ungated": reexecuted_without_checks,
    "needed branches swept": swept_under_a_reexecution,
    "first pass decides": failed_after_it_passed,
}


@pytest.mark.parametrize("name", DIRECTED)
def test_a_rare_one_is_found_by_the_steps_that_lead_there(name: str) -> None:
    run_directed(DIRECTED[name])
    with MUTANTS[name](), pytest.raises(AssertionError):
        run_directed(DIRECTED[name])


def run_directed(steps: Callable[[RunsMachine], None]) -> None:
    machine = RunsMachine()
    machine.open(tenth=1)
    try:
        steps(machine)
    finally:
        machine.teardown()
