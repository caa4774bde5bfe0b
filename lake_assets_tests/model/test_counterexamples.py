"""What other systems of this kind got wrong, as sequences of the machine's own steps that end well here.

Bauplan's Alloy models of branches, runs and merges (github:BauplanLabs/git_for_data, `src/alloy`) show four
counterexamples: `NoSilentOverwrite_Buggy` (02), `MainNeverHalfWritten_Naive` (03), `MainCleanFromFailedRuns` (04) and
`PipelineWriteAtomicityAcrossRevert` (05). The others here were seen on this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.layout.asset_folders import prefix_of
from lake_assets_tests.lake.history import below
from lake_assets_tests.model.expected import Run
from lake_assets_tests.model.graph import BOTH, RAW, ROWS
from lake_assets_tests.model.machine import ALL_CHECKS, LakeFSRunsMachine, RunsMachine


@pytest.fixture(params=[RunsMachine, pytest.param(LakeFSRunsMachine, marks=pytest.mark.services)])
def machine(request: pytest.FixtureRequest) -> Iterator[RunsMachine]:
    """A machine that takes the steps it is told to; its invariants hold at the end."""
    made = request.param()
    made.open(tenth=1)
    yield made
    try:
        holds(made)
    finally:
        made.teardown()


def holds(machine: RunsMachine) -> None:
    machine.main_and_branches_are_as_expected()
    machine.the_sink_is_what_main_held()
    machine.verify()


def test_02_of_two_runs_that_write_one_table_neither_is_overwritten_silently(machine: RunsMachine) -> None:
    """02, NoSilentOverwrite_Buggy: both sides wrote a table since they parted, and the merge drops one side's."""
    first, second = machine._begin(("p",)), machine._begin(("p",))
    for run, content in ((first, "one"), (second, "two")):
        machine._write(run, ROWS, content)
        machine._check(run, ROWS, "passed", "input")
    machine._publish(second, "asset")
    machine._publish(first, "asset")
    assert first.published is None
    assert first.branch in machine.expected.branches, "what it wrote is there to be looked at"


def test_02_of_two_runs_that_write_two_tables_both_stay(machine: RunsMachine) -> None:
    """02, ThreeWayMerge: what each side wrote is there."""
    first, second = machine._begin(("p",)), machine._begin(("q",))
    for run in (first, second):
        machine._write(run, ROWS, "one")
        machine._check(run, ROWS, "passed", "input")
    machine._publish(second, "asset")
    machine._publish(first, "asset")
    assert first.published is not None
    assert all(below(machine.expected.main.files, f"rows/partition={part}") for part in "pq")


def test_03_a_run_that_fails_halfway_leaves_nothing_of_it_on_main(machine: RunsMachine) -> None:
    """03, MainNeverHalfWritten_Naive: a pipeline that writes `main` itself fails between two tables."""
    run = machine._begin(("p",))
    machine._write(run, RAW, "one")
    machine._write(run, ROWS, "bad")
    machine._check(run, ROWS, "failed", "input")
    machine._publish(run, "asset")
    machine._end(run, success=False)
    machine._publish(run, "command")
    assert machine.expected.main.files == {}


def test_04_who_forks_off_a_failed_run_does_not_publish_what_it_wrote(machine: RunsMachine) -> None:
    """04, MainCleanFromFailedRuns (NestedBranchAttack): a second actor goes on from a failed run's commit."""
    failed = machine._begin(("p",))
    machine._write(failed, ROWS, "bad")
    machine._check(failed, ROWS, "failed", "input")
    machine._end(failed, success=False)
    second = machine._begin(("q",), failed.branch)
    machine._write(second, ROWS, "one")
    machine._check(second, ROWS, "passed", "input")
    machine._publish(second, "asset")
    assert second.published is None
    machine._end(second, success=True)
    machine._publish(second, "sensor")
    machine._publish(second, "command")
    assert machine.expected.main.files == {}


def test_04_who_merges_it_past_the_rule_is_reported(machine: RunsMachine) -> None:
    """04 again, by plain Git or on lakeFS's own page, which nothing can forbid: `verify` says so."""
    good = machine._begin(("q",))
    machine._write(good, ROWS, "one")
    machine._check(good, ROWS, "passed", "input")
    machine._publish(good, "asset")
    failed = machine._begin(("p",))
    machine._write(failed, ROWS, "bad")
    machine._check(failed, ROWS, "failed", "input")
    machine._end(failed, success=False)
    machine.somebody_merges(0)
    assert len(machine.expected.past_the_rule) == 1


def test_04_who_mends_the_one_bad_table_of_a_failed_run_publishes_it(machine: RunsMachine) -> None:
    """04, the good use of it: an aborted run's branch is gone on from, its one bad table written anew and checked."""
    failed = machine._begin(("p",))
    machine._write(failed, RAW, "one")
    machine._write(failed, ROWS, "bad")
    machine._check(failed, ROWS, "failed", "input")
    machine._end(failed, success=False)
    mended = machine._begin(("p",), parent=failed, skips=True)
    machine._write(mended, ROWS, "one")
    machine._check(mended, ROWS, "passed", "input")
    machine._publish(mended, "asset")
    assert mended.published is not None


def test_05_one_table_is_put_back_by_a_record_that_says_so_and_the_sink_follows(machine: RunsMachine) -> None:
    """05, PipelineWriteAtomicityAcrossRevert: of two tables of one run, one is put back; no run made that state.

    It can be wanted, so it is done; it goes back to what `main` held, and the record on `main` names that commit.
    """
    for content in ("one", "two"):
        run = machine._begin(("p",))
        for asset in (ROWS, BOTH):
            machine._write(run, asset, content)
            machine._check(run, asset, "passed", "input")
        machine._publish(run, "asset")
        machine._end(run, success=True)
    first, second = machine.expected.line[1:]
    machine.feed()
    machine.roll_back(to=1, prefix="rows", published=True, branch=MAIN)
    main = machine.expected.main
    assert below(main.files, "rows") == below(first.files, "rows")
    assert below(main.files, prefix_of(BOTH)) == below(second.files, prefix_of(BOTH))
    assert first.id in machine.world.lake.head(MAIN).metadata["audit"]
    machine.feed()


def test_a_check_that_read_before_the_write_says_nothing_of_it(machine: RunsMachine) -> None:
    run = machine._begin(("p",))
    machine._write(run, ROWS, "one")
    machine._check(run, ROWS, "passed", "input", meanwhile="bad")
    machine._publish(run, "asset")
    assert run.published is None


def test_the_newest_check_of_the_same_content_decides_whichever_run_it_is_of(machine: RunsMachine) -> None:
    """Between two checks of one run, of two contents, another run's check of the first content fails."""
    first, second = machine._begin(("p",)), machine._begin(("p",))
    machine._write(first, ROWS, "one")
    machine._check(first, ROWS, "passed", "input")
    machine._write(second, ROWS, "one")
    machine._check(second, ROWS, "failed", "input")
    machine._write(first, ROWS, "two")
    machine._check(first, ROWS, "passed", "input")
    machine._publish(second, "asset")
    assert second.published is None


def test_so_it_does_where_the_other_run_began_to_check_before(machine: RunsMachine) -> None:
    first, second = machine._begin(("p",)), machine._begin(("p",))
    machine._write(first, ROWS, "two")
    machine._check(first, ROWS, "passed", "input")
    machine._write(second, ROWS, "one")
    machine._check(second, ROWS, "passed", "input")
    machine._write(first, ROWS, "one")
    machine._check(first, ROWS, "failed", "input")
    machine._publish(second, "asset")
    assert second.published is None


@pytest.mark.parametrize("deletes", [True, False])
def test_a_branch_that_goes_away_under_a_run_ends_it(machine: RunsMachine, deletes: bool) -> None:
    run = machine._begin(("p",))
    machine._write(run, ROWS, "one")
    machine._move(run.branch, 0, deletes=deletes)
    assert not machine._write(run, RAW, "one", anew=True)
    assert run.status == "failure"


def test_what_somebody_puts_on_a_waiting_branch_is_not_published_by_its_checks(machine: RunsMachine) -> None:
    run = machine._begin(("p",))
    machine._write(run, ROWS, "one")
    machine._check(run, ROWS, "passed", "input")
    machine._end(run, success=True)
    machine.somebody_writes(branch=0, place="rows/partition=p", file="part-00000.parquet", content="bad")
    machine._publish(run, "sensor")
    machine._publish(run, "command")
    assert run.published is None
    machine._publish(run, "command", ALL_CHECKS)
    assert run.published is not None


def test_a_correction_that_only_moves_a_null_is_one(machine: RunsMachine) -> None:
    for content in ("one", "two"):
        run = machine._begin(("p",))
        machine._write(run, ROWS, content)
        machine._check(run, ROWS, "passed", "input")
        machine._publish(run, "asset")
        assert run.published is not None
        machine.feed()


def test_who_writes_what_stands_there_already_changes_nothing(machine: RunsMachine) -> None:
    run = machine._begin(("p",))
    machine._write(run, ROWS, "one")
    for _ in range(2):
        machine.somebody_writes(branch=0, place="raw", file="note.txt", content="one")
        machine.main_and_branches_are_as_expected()


def publish(machine: RunsMachine, content: str, target: str, *, override: bool = False, part: str = "p") -> Run:
    """Publish a partition of `rows` to a branch, by its check or by an override."""
    run = machine._begin((part,), target=target)
    machine._write(run, ROWS, content)
    machine._check(run, ROWS, "failed" if override else "passed", "input")
    machine._end(run, success=True)
    machine._publish(run, "command", ALL_CHECKS if override else ())
    assert run.published is not None
    return run


def merge(machine: RunsMachine, source: str, into: str = MAIN, overridden: Sequence[str] = ()) -> bool:
    """Merge a branch as is expected, and return whether the other one moved."""
    before = machine.expected.tip(into)
    machine._merge(source, into, overridden)
    return machine.expected.tip(into) is not before


def test_what_passed_on_a_working_branch_is_merged_unchecked(machine: RunsMachine) -> None:
    publish(machine, "one", "dev-a")
    assert machine.expected.main.files == {}
    assert merge(machine, "dev-a")
    assert not merge(machine, "dev-a"), "a second merge finds its work done"
    assert machine.expected.main.files == machine.expected.tip("dev-a").files


def test_what_was_let_through_on_a_working_branch_is_not_let_into_main(machine: RunsMachine) -> None:
    publish(machine, "bad", "dev-a", override=True)
    refusal = machine.world.merge("dev-a", MAIN).refusal
    assert "'rows/partition=p'" in refusal
    assert "rows:good has not passed" in refusal
    assert not merge(machine, "dev-a")
    # Nor does it get there by another branch.
    assert not merge(machine, "dev-a", "dev-b")
    assert merge(machine, "dev-a", overridden=ALL_CHECKS)


def test_what_failed_since_is_not_merged(machine: RunsMachine) -> None:
    publish(machine, "one", "dev-a")
    later = machine._begin(("p",))
    machine._write(later, ROWS, "one")
    machine._check(later, ROWS, "failed", "input")
    assert not merge(machine, "dev-a")


def test_a_working_branch_takes_over_whatever_main_let_in(machine: RunsMachine) -> None:
    publish(machine, "bad", MAIN, override=True)
    publish(machine, "one", MAIN, part="q")
    assert merge(machine, MAIN, "dev-a")
    machine.delete("rows/partition=q", MAIN)
    assert merge(machine, MAIN, "dev-a")
    assert machine.expected.tip("dev-a").files == machine.expected.main.files
    assert merge(machine, "dev-a", "dev-b")


def test_of_two_branches_that_changed_one_partition_neither_is_lost(machine: RunsMachine) -> None:
    """02 again, between branches; what the refusal advises leads on."""
    began = machine.expected.tip("dev-a")
    publish(machine, "one", "dev-a", part="q")
    there = machine.expected.tip("dev-a")
    ours, theirs = publish(machine, "two", "dev-a"), publish(machine, "three", MAIN)
    assert not merge(machine, "dev-a")
    refusal = machine.world.merge("dev-a", MAIN).refusal
    assert f"on main by run {theirs.id}" in refusal
    assert f"on dev-a by run {ours.id}" in refusal
    assert began in machine.expected.lines["dev-a"]
    line = machine.expected.lines["dev-a"]
    machine.roll_back(len(line) - 1 - line.index(there), "rows", published=True, branch="dev-a")
    assert merge(machine, MAIN, "dev-a")
    publish(machine, "two", "dev-a")
    assert merge(machine, "dev-a")


def test_a_run_stays_on_its_branch_when_it_is_executed_again(machine: RunsMachine) -> None:
    failed = machine._begin(("p",), target="dev-a")
    machine._write(failed, ROWS, "one")
    machine._end(failed, success=False)
    again = machine._begin(("p",), parent=failed, skips=True)
    machine._check(again, ROWS, "passed", "unsaid")
    machine._publish(again, "asset")
    assert again.published is machine.expected.tip("dev-a")
    assert machine.expected.main.files == {}


def test_what_was_deleted_since_a_re_executed_run_began_is_not_called_published(machine: RunsMachine) -> None:
    """The run wrote nothing and reads an older commit of `main`, which has the partition. `main` has it no more."""
    good = machine._begin(("p",))
    machine._write(good, ROWS, "one")
    machine._check(good, ROWS, "passed", "input")
    machine._publish(good, "asset")
    machine._end(good, success=True)
    before = machine.expected.main.id
    failed = machine._begin(("p",), before)
    machine._end(failed, success=False)
    machine.delete(branch="main", place="rows/partition=p")
    child = machine._begin(("p",), before, failed, skips=True)
    machine._publish(child, "asset")
    assert child.published is None
