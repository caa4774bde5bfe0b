"""The model beside the real functions: sequences of steps, on both lakes.

A sequence that failed is run again by its seed: `MODEL_SEED=4711 pytest -m "" lake_assets_tests/model/test_model.py`.
"""

from __future__ import annotations

import os
from random import SystemRandom

import pytest
from hypothesis.stateful import invariant

from lake_assets_tests.model.graph import RAW
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
    run_sequences(RunsMachine, a_seed(), 15)


@pytest.mark.soak
def test_a_seed_gives_the_same_sequences_again() -> None:
    assert states_from(4711) == states_from(4711)


def states_from(start: int) -> list[object]:
    """Return what is expected after each step of some sequences."""
    states: list[object] = []

    class Told(RunsMachine):
        @invariant()
        def tell(self) -> None:
            if hasattr(self, "expected"):
                model = self.expected
                runs = [(run.id in model.branches, run.status, len(run.told)) for run in model.runs]
                states.append((model.main.files, len(model.commits), len(model.evaluations), runs))

    run_sequences(Told, start, 5)
    return states


def test_a_sequence_ends_alike_on_a_quick_machine_and_on_a_slow_one() -> None:
    """Git makes one commit of the same write twice within a second; here each has a second of its own."""
    machine = RunsMachine()
    machine.open(tenth=1)
    try:
        run = machine._begin(("p",))
        machine._write(run, RAW, "one")
        machine._move(run.branch, 0, deletes=False)
        machine._write(run, RAW, "one")
        assert len(machine.expected.commits) == 3
    finally:
        machine.teardown()


def test_a_branch_that_somebody_deleted_is_made_anew_by_a_process_that_knew_it() -> None:
    """A run that was re-executed from failure, and wrote nothing itself, publishes what its parent wrote."""
    machine = RunsMachine()
    machine.open(tenth=7)
    try:
        failed = machine._begin(("p",))
        machine._write(failed, RAW, "one")
        machine._end(failed, success=False)
        child = machine._begin(("p",), parent=failed, skips=True)
        machine._read(child)
        machine._end(child, success=True)
        machine._move(child.branch, 0, deletes=True)
        machine._publish(child, "command")
        assert child.published is not None
    finally:
        machine.teardown()


@pytest.mark.services
def test_the_same_on_lakefs() -> None:
    run_sequences(LakeFSRunsMachine, a_seed(), 3)


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
