"""Running the machine for a number of sequences from a seed: what one of them found, the same seed finds again."""

from __future__ import annotations

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from lake_assets_tests.model.machine import RunsMachine

STEPS = 12


def run_sequences(machine: type[RunsMachine], start: int, count: int, *, shrink: bool = False) -> None:
    """Run sequences of twelve steps; raise what the first that fails raises."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    chosen = settings(
        max_examples=count,
        stateful_step_count=STEPS,
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        print_blob=False,
    )
    run_state_machine_as_test(seed(start)(type(machine.__name__, (machine,), {})), settings=chosen)
