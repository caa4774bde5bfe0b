"""Hypothesis's state machine: steps of runs, people and time, in any order, on a world and on what is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Literal

from dagster import AssetKey, DagsterEventType
from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lake_assets.lake.contract import MAIN
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.manifest import MANIFEST
from lake_assets.runs.recorded_checks import is_record
from lake_assets_tests.lake.history import Files, HeldCommit, below
from lake_assets_tests.model.expected import Evaluation, Expected, Publishing, Run, Verdict
from lake_assets_tests.model.graph import BOTH, CHECKS, CONTENTS, PARTS, PLACES, PUBLISHED_ASSET, RAW, ROWS, frame_of
from lake_assets_tests.model.somebody import LIBRARY
from lake_assets_tests.model.world import WORKING, Outcome, World, embedded_world, lakefs_world

Way = Literal["asset", "sensor", "command"]
How = Literal["input", "metadata", "unsaid"]
Stated = Literal["audit", "override", "nothing"]

DATA = "part-00000.parquet"
NOW, WEEK = timedelta(0), timedelta(days=7)

several_parts = st.sampled_from([("p",), ("q",), PARTS])
contents = st.sampled_from(list(CONTENTS))
assets = st.sampled_from([RAW, ROWS, BOTH])
checked = st.sampled_from([ROWS, BOTH])
verdicts: st.SearchStrategy[Verdict] = st.sampled_from(["passed", "passed", "warned", "failed"])
checks_end: st.SearchStrategy[list[Verdict]] = st.lists(verdicts, max_size=2)
hows: st.SearchStrategy[How] = st.sampled_from(["input", "metadata", "unsaid"])
ways: st.SearchStrategy[Way] = st.sampled_from(["asset", "sensor", "command"])
maybe_ways: st.SearchStrategy[Way | None] = st.sampled_from(["asset", "sensor", "command", None])
targets = st.sampled_from([MAIN, MAIN, *WORKING])
"""The branch that a run is published to."""
protected = st.sampled_from([MAIN, *WORKING])
number = st.integers(0, 7)
"""Which of the runs, refs or commits that there are, counted from the newest."""

ALL_CHECKS = tuple(check.to_user_string() for of_asset in CHECKS.values() for check in of_asset)


class RunsMachine(RuleBasedStateMachine):
    """Whatever happens, in whatever order: what the rule says is what the lake, its runs and its sink do."""

    def open_world(self) -> ExitStack:
        """Open a world of this machine's kind in a stack that closes it."""
        stack = ExitStack()
        self.world: World = stack.enter_context(embedded_world())
        return stack

    @initialize(tenth=st.integers(0, 9))
    def open(self, tenth: int) -> None:
        """Begin; one sequence in ten is of real runs by Dagster's engine."""
        self.opened = self.open_world()
        self.real = tenth == 0
        lake = self.world.lake
        checks = {place: [check.to_user_string() for check in CHECKS[asset]] for place, asset in PLACES.items()}
        self.expected = Expected(lake.head(MAIN).id, self.world.files(MAIN), checks, WORKING)
        self.sources: dict[str, str] = {}
        self.seen: dict[str, str] = {}
        self.names = {self.world.files(LIBRARY)[f"contents/{name}.parquet"]: name for name in CONTENTS}
        self.clean: set[frozenset[tuple[str, str]]] = set()

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()

    # Choosing

    def _run(self, number: int, *, going: bool = False) -> Run | None:
        runs = [run for run in self.expected.runs if not going or run.status == "going"]
        return runs[-1 - number % len(runs)] if runs else None

    def _ref(self, number: int, target: str = MAIN) -> str:
        """Return what a run reads: often its target, often what another run left, at times any commit."""
        branches = list(self.expected.branches)
        if number < 3 or not branches:
            return target
        if number < 6:
            return branches[-1 - (number - 3) % len(branches)]
        commits = list(self.expected.commits)
        return commits[-1 - number % len(commits)]

    # What a run does

    @precondition(lambda self: sum(run.status == "going" for run in self.expected.runs) < 3)
    @rule(parts=several_parts, source=number, goal=targets)
    def begin(self, parts: Sequence[str], source: int, goal: str) -> None:
        self._begin(parts, self._ref(source, goal), target=goal)

    def _begin(
        self,
        parts: Sequence[str],
        source: str = "",
        parent: Run | None = None,
        skips: bool = False,
        target: str = MAIN,
    ) -> Run:
        of_parent = self.world.run(parent.id) if parent else None
        target = parent.target if parent else target
        source = source or target
        made = self.world.begin(parts, source, of_parent, skips, target)
        run = Run(made.run_id, tuple(parts), parent, skips, target=target)
        self.sources[run.id] = source
        self.expected.runs.append(run)
        return run

    @precondition(lambda self: self._run(0, going=True))
    @rule(
        run=number, asset=assets, content=contents, anew=st.booleans(), told=st.sampled_from([True, True, True, False])
    )
    def materialize(self, run: int, asset: AssetKey, content: str, anew: bool, told: bool) -> None:
        """Write an asset; ``anew``: in a process that knows nothing yet; not ``told``: killed before it said so."""
        chosen = self._run(run, going=True)
        assert chosen is not None
        if self._write(chosen, asset, content, anew=anew, told=told) and not told:
            self._end(chosen, success=False)

    def _write(self, run: Run, asset: AssetKey, content: str, *, anew: bool = False, told: bool = True) -> bool:
        places = _places(asset, run.parts)
        if not places:
            return False  # The run is for no partition.
        opening = self._opening(run, anew)
        if anew:
            self.world.new_process(run.id)
        outcome = self.world.write(run.id, asset, dict.fromkeys(places, content), told)
        if not self._opened(run, opening, outcome):
            return False
        assert outcome.commit is not None
        head = self.expected.branches[run.branch]
        after = self.world.files(outcome.commit.id)
        assert self.expected.changed(head.files, after) <= set(places.values()), "a write stays in its place"
        if outcome.commit.id == head.id:
            made = head
        else:
            made = self.expected.commit(outcome.commit.id, after, (head,), tuple(places.values()))
            assert head.id in outcome.commit.parents
        self.expected.branches[run.branch] = made
        for place in places.values():
            self._holds(head.files, after, place, content)
            if told:
                run.told.append((place, made))
        return True

    def _holds(self, before: Files | None, after: Files, place: str, content: str) -> None:
        """Assert that a place holds what a run wrote: no correction is taken for what is there already.

        What somebody put beside a manifest that still says what was there is `verify`'s to report.
        """
        now = frozenset(below(after, place).items())
        if before is not None and before == after and now not in self.clean:
            return
        self.clean.add(now)
        data = [checksum for path, checksum in now if not path.endswith(MANIFEST)]
        assert len(data) == 1, "one file of rows"
        known = self.names.setdefault(data[0], content)
        assert known == content, f"{place} holds {known}, and {content} was written"

    def _opening(self, run: Run, anew: bool) -> HeldCommit | Literal["fail", "either"]:
        """Return the head that the next step of a run works on, and whether it may or must fail."""
        expected = self.expected
        lost = expected.lost(run)
        if run.branch in expected.branches:
            if lost:
                return "fail" if anew else "either"
            return expected.branches[run.branch]
        if lost:
            return "fail"
        if run.began is not None and run.published is None:
            return "either"  # Its branch went away, with nothing on it.
        return expected.start_of(run, self.sources[run.id]) or "fail"

    def _opened(self, run: Run, opening: HeldCommit | Literal["fail", "either"], outcome: Outcome) -> bool:
        """Compare; a step that failed ends its run."""
        name = run.branch
        if opening == "fail":
            assert outcome.refusal, "a run whose work is lost goes on"
        elif opening != "either":
            assert not outcome.refusal, outcome.refusal
        if outcome.refusal:
            self._adopt(name)
            self._end(run, success=False)
            return False
        if isinstance(opening, HeldCommit):
            self.expected.branches.setdefault(name, opening)
        elif name not in self.expected.branches:
            assert outcome.commit is not None
            known = (self.expected.commits.get(id_) for id_ in (outcome.commit.id, *outcome.commit.parents))
            start = next(commit for commit in known if commit is not None)
            self.expected.branches[name] = start
        run.began = run.began or self.expected.branches[name]
        return True

    def _adopt(self, branch: str) -> None:
        """Take in that a step which failed made its branch before, or not, and that a refusal is recorded on it."""
        if branch not in self.world.lake.branches():
            return
        model, head = self.expected, self.world.lake.head(branch)
        if is_record(head) and head.id not in model.commits:
            before = model.commits[head.parents[0]]
            assert model.branches.get(branch, before) is before
            assert self.world.files(head.id) == before.files, "a record changes no file"
            model.branches[branch] = model.commit(head.id, before.files, (before,))
        model.branches.setdefault(branch, model.commits[head.id])

    @precondition(lambda self: self._run(0, going=True))
    @rule(run=number, anew=st.booleans())
    def read(self, run: int, anew: bool) -> None:
        """(ii) A run reads one commit, with its own writes."""
        chosen = self._run(run, going=True)
        assert chosen is not None
        self._read(chosen, anew=anew)

    def _read(self, run: Run, *, anew: bool = False) -> str | None:
        """Return the commit that a step of the run reads."""
        opening = self._opening(run, anew)
        if opening != "fail" and run.published is not None and run.branch not in self.expected.branches:
            opening = run.published
            outcome = self.world.read_ref(run.id)
            assert outcome.commit is not None
            assert outcome.commit.id == opening.id, "(ii) a run that was published reads what it published"
            return opening.id
        if anew:
            self.world.new_process(run.id)
        outcome = self.world.read_ref(run.id)
        if not self._opened(run, opening, outcome):
            return None
        assert outcome.commit is not None
        assert outcome.commit.id == self.expected.branches[run.branch].id, "(ii) a run reads its branch"
        return outcome.commit.id

    # Checks

    @precondition(lambda self: self._run(0, going=True))
    @rule(run=number, asset=checked, verdict=verdicts, how=hows)
    def check(self, run: int, asset: AssetKey, verdict: Verdict, how: How) -> None:
        chosen = self._run(run, going=True)
        assert chosen is not None
        self._check(chosen, asset, verdict, how)

    @precondition(lambda self: self._run(0, going=True))
    @rule(run=number, asset=checked, content=contents, verdict=verdicts, how=hows)
    def write_while_a_check_runs(self, run: int, asset: AssetKey, content: str, verdict: Verdict, how: How) -> None:
        """A check that began before a write says nothing of what was written."""
        chosen = self._run(run, going=True)
        assert chosen is not None
        self._check(chosen, asset, verdict, how, meanwhile=content)

    def _check(self, run: Run, asset: AssetKey, verdict: Verdict, how: How, meanwhile: str | None = None) -> None:
        """Let the asset's check read, as ``how`` makes known, and end; ``meanwhile`` is written in between."""
        commit = self._read(run)
        if commit is None:
            return
        (check,) = CHECKS[asset]
        places = _places(asset, run.parts)
        held = self.expected.commits[commit].files
        if not places or not all(below(held, place) for place in places.values()):
            return  # There is nothing to be checked: it fails to load.
        step = self.world.step(run.id, f"{'/'.join(asset.path)} {check.name}")
        told = dict([item for one in (*reversed(list(run.ancestry())), run) for item in one.told])
        if how == "input":
            self.world.load(step, asset, [part for part in places if part])
        if meanwhile is not None and not self._write(run, asset, meanwhile):
            return
        partition = next(iter(places)) if len(places) == 1 and asset == ROWS else None
        self.world.evaluate(step, check, verdict, partition, commit if how == "metadata" else None)
        for place in places.values():
            # Where neither says what was read, it is what the run itself had written by then.
            seen = held if how != "unsaid" else told[place].files if place in told else None
            if seen is not None:
                self.expected.evaluations.append(Evaluation(check.to_user_string(), place, below(seen, place), verdict))

    @precondition(lambda self: self._run(0, going=True))
    @rule(run=number, success=st.booleans())
    def end(self, run: int, success: bool) -> None:
        chosen = self._run(run, going=True)
        assert chosen is not None
        self._end(chosen, success=success)

    def _end(self, run: Run, *, success: bool) -> None:
        run.status = "success" if success else "failure"
        self.world.end(run.id, success=success)

    # The ways to main

    @precondition(lambda self: self._run(0))
    @rule(run=number, way=ways, override=st.sampled_from([False, False, True]))
    def publish(self, run: int, way: Way, override: bool) -> None:
        chosen = self._run(run)
        assert chosen is not None
        self._publish(chosen, way, ALL_CHECKS if override and way == "command" else ())

    def _publish(self, run: Run, way: Way, overridden: Sequence[str] = ()) -> None:
        expected = self.expected.publishing(run, overridden)
        if way == "asset":
            if run.status != "going":
                return
            ahead = expected.head or self.expected.branches.get(run.branch) or self.expected.tip(run.target)
            places = _places(ROWS, run.parts).values()
            if not all(below(ahead.files, place) for place in places) and expected.answer != "either":
                expected = Publishing("refuse", why="absent")
            outcome = self.world.publish_by_asset(run.id, run.parts)
        elif way == "sensor":
            if run.status != "success":
                return
            if run.branch not in self.expected.branches:
                expected = Publishing("either", why="no branch")
            outcome = self.world.publish_by_sensor(run.id)
        else:
            if run.status == "going":
                expected = Publishing("refuse", why="goes on")
            outcome = self.world.publish_by_command(run.id, overridden)
        if currently_in_test_context():
            note(f"{way}: expected {expected.answer} {expected.why}, got {outcome}")
        self._published(run, expected, outcome)

    def _published(self, run: Run, expected: Publishing, outcome: Outcome) -> None:
        model, before = self.expected, self.expected.tip(run.target)
        self._adopt(run.branch)
        if expected.answer == "refuse":
            assert outcome.refusal, f"(i) {expected.why} is published"
        elif expected.answer == "merge":
            assert outcome.merged, outcome.refusal or "nothing was merged"
        elif expected.answer == "nothing":
            assert not outcome.merged
        if outcome.merged:
            assert outcome.commit is not None
            assert outcome.commit.parents[0] == before.id
            # The second parent may be a branch of the merge's own, on lakeFS.
            head = model.commits[outcome.commit.metadata["branch_head"]]
            files = expected.files if expected.answer == "merge" else self.world.files(outcome.commit.id)
            made = model.commit(outcome.commit.id, files, (before, head))
            model.advance(made, run.target)
            run.published = made
        if not outcome.refusal and run.branch not in self.world.lake.branches():
            model.branches.pop(run.branch, None)

    @rule(
        parts=several_parts,
        source=number,
        wanted=st.dictionaries(assets, contents, min_size=1, max_size=2),
        ends=checks_end,
        how=hows,
        meanwhile=st.one_of(st.none(), contents),
        way=maybe_ways,
        goal=targets,
    )
    def whole_run(
        self,
        parts: Sequence[str],
        source: int,
        wanted: Mapping[AssetKey, str],
        ends: Sequence[Verdict],
        how: How,
        meanwhile: str | None,
        way: Way | None,
        goal: str,
    ) -> None:
        """A run from beginning to end, so that short sequences go far.

        Parameters
        ----------
        ends
            How its checks end, once or again; none: they are not run.
        meanwhile
            What is written while they run.
        """
        if self.real:
            self._execute(parts, self._ref(source, goal), wanted, way, goal)
            return
        self._finish(self._begin(parts, self._ref(source, goal), target=goal), wanted, ends, how, meanwhile, way)

    @rule(
        parts=st.tuples(several_parts, several_parts),
        wanted=st.tuples(*[st.dictionaries(assets, contents, min_size=1, max_size=1)] * 2),
        verdict=verdicts,
        ways=st.tuples(ways, ways),
        goals=st.tuples(targets, targets),
    )
    def two_runs(
        self,
        parts: tuple[Sequence[str], Sequence[str]],
        wanted: tuple[Mapping[AssetKey, str], Mapping[AssetKey, str]],
        verdict: Verdict,
        ways: tuple[Way, Way],
        goals: tuple[str, str],
    ) -> None:
        """(iii) A run begins and ends while another is under way, on the same branch or on another one."""
        first = self._begin(parts[0], target=goals[0])
        for asset, content in wanted[0].items():
            self._write(first, asset, content)
        self._finish(self._begin(parts[1], target=goals[1]), wanted[1], [verdict], "input", None, ways[1])
        self._finish(first, wanted[0], ["passed"], "input", None, ways[0])

    @rule(
        parts=several_parts, asset=assets, content=contents, deletes=st.booleans(), anew=st.booleans(), way=maybe_ways
    )
    def branch_moved_under_a_run(
        self, parts: Sequence[str], asset: AssetKey, content: str, deletes: bool, anew: bool, way: Way | None
    ) -> None:
        """What a run has written goes away while it goes on."""
        run = self._begin(parts)
        if not self._write(run, asset, content):
            return
        self._move(run.branch, 0, deletes=deletes)
        if self._write(run, RAW, content, anew=anew):
            self._finish(run, {}, [], "input", None, way)

    @rule(
        parts=several_parts,
        wanted=st.dictionaries(assets, contents, min_size=1, max_size=2),
        ends=checks_end,
        anew=st.booleans(),
        swept=st.booleans(),
        way=maybe_ways,
        goal=targets,
    )
    def failed_and_reexecuted(
        self,
        parts: Sequence[str],
        wanted: Mapping[AssetKey, str],
        ends: Sequence[Verdict],
        anew: bool,
        swept: bool,
        way: Way | None,
        goal: str,
    ) -> None:
        """A run fails once it has written and checked, and another goes on from it, under which a sweep may come."""
        failed = self._begin(parts, target=goal)
        self._work(failed, wanted, ends, "input", None)
        if failed.status == "going":
            self._end(failed, success=False)
        child = self._begin(parts, parent=failed, skips=True)
        if anew:
            self._read(child)
        if swept:
            self._sweep(NOW)
        if child.status == "going":
            self._finish(child, {}, [], "input", None, way)

    @rule(
        parts=several_parts,
        asset=checked,
        content=contents,
        verdict=verdicts,
        meanwhile=st.one_of(st.none(), contents),
        working=st.sampled_from(WORKING),
        override=st.booleans(),
    )
    def tried_on_a_branch_and_merged(
        self,
        parts: Sequence[str],
        asset: AssetKey,
        content: str,
        verdict: Verdict,
        meanwhile: str | None,
        working: str,
        override: bool,
    ) -> None:
        """A run is published to a working branch, perhaps with an override, and the branch is merged into `main`."""
        run = self._begin(parts, target=working)
        self._finish(run, {asset: content}, [verdict], "input", meanwhile, None)
        self._publish(run, "command", ALL_CHECKS if override else ())
        self._merge(working, MAIN)

    def _finish(
        self,
        run: Run,
        wanted: Mapping[AssetKey, str],
        ends: Sequence[Verdict],
        how: How,
        meanwhile: str | None,
        way: Way | None,
    ) -> None:
        self._work(run, wanted, ends, how, meanwhile)
        if run.status != "going":
            return
        if way == "asset":
            self._publish(run, way)
        self._end(run, success=[*ends][-1:] != ["failed"])
        if way in ("sensor", "command"):
            self._publish(run, way)

    def _work(
        self, run: Run, wanted: Mapping[AssetKey, str], ends: Sequence[Verdict], how: How, meanwhile: str | None
    ) -> None:
        """Write assets and check each; a step that fails ends the run."""
        for asset in sorted(wanted, key=lambda key: key != RAW):
            written = self._write(run, asset, wanted[asset])
            for verdict in ends if written and CHECKS[asset] else ():
                if run.status == "going":
                    self._check(run, asset, verdict, how, meanwhile)
            if run.status != "going":
                return

    def _execute(
        self, parts: Sequence[str], source: str, wanted: Mapping[AssetKey, str], way: Way | None, target: str
    ) -> None:
        """The same by Dagster's engine, taken in from its event log in the order of its events."""
        places = {place for asset in wanted for place in _places(asset, parts).values()}
        self.world.wanted.contents = {place: wanted[PLACES[place]] for place in places}
        selection = [*wanted, *([PUBLISHED_ASSET] if way == "asset" and ROWS in wanted else [])]
        of_parts = parts if ROWS in wanted else ()
        before = self.expected.tip(target)
        run_id, events = self.world.execute(selection, of_parts, source, target)
        run = Run(run_id, tuple(of_parts), target=target)
        self.sources[run_id] = source
        self.expected.runs.append(run)
        run.began = self.expected.branches[run.branch] = self.expected.ref(source)
        for event in events:
            self._take_in(run, wanted, event)
        assert self.world.lake.head(target).id == self.expected.tip(target).id, before.id
        if run.status == "success" and way in ("sensor", "command"):
            self._publish(run, "sensor" if way == "sensor" else "command")

    def _take_in(self, run: Run, wanted: Mapping[AssetKey, str], entry: Any) -> None:
        event = entry.dagster_event
        kind = event.event_type if event is not None else None
        model = self.expected
        if kind == DagsterEventType.ASSET_MATERIALIZATION and event.asset_key in wanted:
            made = event.step_materialization_data.materialization
            id_, place = made.metadata["lake/commit"].value, made.metadata["lake/prefix"].value
            head = model.branches[run.branch]
            files = self.world.files(id_)
            places = tuple(_places(made.asset_key, run.parts).values())
            commit = model.commit(id_, files, (head,), places)
            model.branches[run.branch] = commit
            run.told.append((place, commit))
            self._holds(head.files, files, place, wanted[made.asset_key])
        elif kind == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data.asset_check_key
            good = "failed" if wanted[check.asset_key] in ("bad", "worse") else "passed"
            held = model.branches[run.branch].files
            for place in _places(check.asset_key, run.parts).values():
                evaluation = Evaluation(check.to_user_string(), place, below(held, place), good)
                model.evaluations.append(evaluation)
        elif (
            kind in (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE)
            and entry.step_key == "tiny_published"
        ):
            expected = model.publishing(run)
            head = self.world.lake.head(run.target)
            merged = head.id != model.tip(run.target).id
            failed = kind == DagsterEventType.STEP_FAILURE
            why = event.step_failure_data.error_display_string if failed else ""
            self._published(run, expected, Outcome(head, merged, why))
        elif kind in (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE):
            run.status = "success" if kind == DagsterEventType.RUN_SUCCESS else "failure"

    @precondition(lambda self: any(run.status != "going" for run in self.expected.runs))
    @rule(
        run=number,
        wanted=st.dictionaries(assets, contents, max_size=1),
        ends=st.one_of(st.none(), checks_end),
        way=maybe_ways,
    )
    def reexecute(
        self, run: int, wanted: Mapping[AssetKey, str], ends: Sequence[Verdict] | None, way: Way | None
    ) -> None:
        """Re-execute from failure: what the parent wrote is not written again. Where it does not end, it goes on."""
        ended = [run for run in self.expected.runs if run.status != "going"]
        # Those that left something to go on from come first.
        ended.sort(key=lambda run: run.branch in self.expected.branches)
        parent = ended[-1 - run % len(ended)]
        child = self._begin(parent.parts, self.sources[parent.id], parent, skips=True)
        if ends is not None:
            self._finish(child, wanted, ends, "input", None, way)

    @precondition(lambda self: any(len(line) > 1 for line in self.expected.lines.values()))
    @rule(source=protected, into=protected, override=st.sampled_from([False, False, True]))
    def merge_branches(self, source: str, into: str, override: bool) -> None:
        """(viii) A merge of one protected branch into another brings what was audited, and nothing else."""
        self._merge(source, into, ALL_CHECKS if override else ())

    def _merge(self, source: str, into: str, overridden: Sequence[str] = ()) -> None:
        model, before = self.expected, self.expected.tip(into)
        head = model.tip(source)
        expected = model.merging(head, into, overridden) if source != into else Publishing("refuse", why="itself")
        if expected.answer == "merge" and expected.files == before.files and before.id in head.ancestors:
            expected = Publishing("nothing", why="all of it came from there")
        outcome = self.world.merge(source, into, overridden)
        if currently_in_test_context():
            note(f"{source} into {into}: expected {expected.answer} {expected.why}, got {outcome}")
        if expected.answer == "refuse":
            assert outcome.refusal, f"(viii) {expected.why} is merged"
        elif expected.answer == "merge":
            assert outcome.merged, outcome.refusal or "nothing was merged"
        elif expected.answer == "nothing":
            assert not outcome.merged
            assert not outcome.refusal, outcome.refusal
        if outcome.merged:
            assert outcome.commit is not None
            assert outcome.commit.parents[0] == before.id
            files = expected.files if expected.answer == "merge" else self.world.files(outcome.commit.id)
            model.advance(model.commit(outcome.commit.id, files, (before, head)), into)

    @precondition(lambda self: len(self.expected.line) > 1)
    @rule(to=number, prefix=st.sampled_from(["", *map(prefix_of, CHECKS)]), published=st.booleans(), branch=targets)
    def roll_back(self, to: int, prefix: str, published: bool, branch: str) -> None:
        """(iv) A branch goes back to what it held, and to nothing else."""
        model = self.expected
        line = model.lines[branch] if published else list(model.commits.values())
        target, before = line[-1 - to % len(line)], model.tip(branch)
        outcome = self.world.roll_back(target.id, prefix, branch)
        files = model.rolled_back(target, prefix, branch)
        if target not in model.lines[branch]:
            assert outcome.refusal, "(iv) a branch goes back to what it never held"
        elif files == before.files:
            assert not outcome.merged
        else:
            assert outcome.merged, outcome.refusal
            assert outcome.commit is not None
            between = self.world.lake.head(outcome.commit.parents[1])
            restored = model.commit(between.id, files, (before,))
            while between.parents != (before.id,):
                between = self.world.lake.head(between.parents[0])
            model.advance(model.commit(outcome.commit.id, files, (before, restored)), branch)

    @precondition(lambda self: self.expected.main.files)
    @rule(place=st.sampled_from([*PLACES, "rows", "nowhere"]), branch=targets)
    def delete(self, place: str, branch: str) -> None:
        """A deletion takes what it names off a branch, by a record that says who and why; nothing else goes."""
        model = self.expected
        before = model.tip(branch)
        outcome = self.world.delete(place, branch)
        files = {path: text for path, text in before.files.items() if not path.startswith(f"{place}/")}
        if files == before.files:
            assert outcome.refusal, "there was nothing to delete"
            return
        assert outcome.commit is not None, outcome.refusal
        between = self.world.lake.head(outcome.commit.parents[1])
        written = model.commit(between.id, files, (before,), (place,))
        model.advance(model.commit(outcome.commit.id, files, (before, written)), branch)

    # Time, and others

    @precondition(lambda self: self.expected.branches)
    @rule(limit=st.sampled_from([NOW, NOW, WEEK]))
    def sweep(self, limit: timedelta) -> None:
        self._sweep(limit)

    def _sweep(self, limit: timedelta) -> None:
        expected = self.expected.swept() if limit == NOW else set[str]()
        assert self.world.sweep(limit) == expected, "a sweep removes what nobody needs, and nothing else"
        for branch in expected:
            del self.expected.branches[branch]

    @precondition(lambda self: self.expected.branches)
    @rule(branch=number, to=number, deletes=st.booleans())
    def somebody_moves_a_branch(self, branch: int, to: int, deletes: bool) -> None:
        """Somebody deletes a run's branch, or resets it to an earlier commit."""
        self._move(self._branch(branch), to, deletes=deletes)

    def _move(self, name: str, to: int, *, deletes: bool) -> None:
        if deletes:
            self.world.somebody.delete(name)
            del self.expected.branches[name]
        else:
            earlier = [*self.expected.branches[name].ancestors.values()][::-1]
            target = earlier[to % len(earlier)]
            self.world.somebody.reset(name, target.id)
            self.expected.branches[name] = target
        self.verify()

    @precondition(lambda self: self.expected.branches)
    @rule(
        branch=number,
        place=st.sampled_from([*PLACES, "notes"]),
        file=st.sampled_from([DATA, "note.txt"]),
        content=st.one_of(contents, st.none()),
    )
    def somebody_writes(self, branch: int, place: str, file: str, content: str | None) -> None:
        """Somebody commits a file to a run's branch, over another or beside it, or removes one."""
        name, path = self._branch(branch), f"{place}/{file}"
        head = self.expected.branches[name]
        if content is None and path not in head.files:
            return
        id_ = self.world.somebody.put(name, path, f"contents/{content}.parquet" if content else None)
        self.expected.branches[name] = self.expected.commit(id_, self.world.files(id_), (head,))

    @precondition(lambda self: self.expected.branches)
    @rule(branch=number)
    def somebody_merges(self, branch: int) -> None:
        """Somebody merges a branch into `main` past the rule; `verify` says so."""
        model = self.expected
        head = model.branches[self._branch(branch)]
        if head.id in model.main.ancestors:
            return
        id_ = self.world.somebody.merge(head.id)
        if id_ is None:
            return
        made = model.commit(id_, self.world.files(id_), (model.main, head))
        model.past_the_rule.append(made)
        model.advance(made)
        self.verify()

    def _branch(self, number: int) -> str:
        names = list(self.expected.branches)
        return names[-1 - number % len(names)]

    @rule(
        place=st.sampled_from(["raw", "rows/partition=p", "notes"]),
        content=contents,
        stated=st.sampled_from(["audit", "override", "nothing"]),
    )
    def transaction(self, place: str, content: str, stated: Stated) -> None:
        """A transaction states its audit or its override; no other reaches `main`."""
        model = self.expected
        outcome = self.world.transaction(place, content, stated)
        data = self.world.files(LIBRARY)[f"contents/{content}.parquet"]
        files = {path: text for path, text in model.main.files.items() if not path.startswith(f"{place}/")}
        files[f"{place}/{DATA}"] = data
        held = below(files, place)
        passed = place in model.checks and not model.missing(place, held)
        audited = passed or model.held_before(place, held)
        if stated == "nothing" or (stated == "audit" and not audited and files != model.main.files):
            assert outcome.refusal, "(i) a transaction is published that nobody let in"
            return
        assert not outcome.refusal, outcome.refusal
        if outcome.merged:
            assert outcome.commit is not None
            between = self.world.lake.head(outcome.commit.parents[1])
            written = model.commit(between.id, files, (model.main,), (place,))
            model.advance(model.commit(outcome.commit.id, files, (model.main, written)))
        assert model.main.files == files

    def verify(self) -> None:
        """(vii) What a successful run materialized is on `main`, or the record says why not."""
        model = self.expected
        problems = self.world.problems()
        for branch in WORKING:
            if len(model.lines[branch]) > 1:
                told = self.world.problems(branch)
                assert not any("without an audit" in problem for problem in told), "(viii) a branch passed the rule by"
        for made in model.past_the_rule:
            assert any(made.id in problem for problem in problems), "verify does not know what passed the rule by"
        for run in model.runs:
            if run.status == "success" and model.gone(run):
                assert any(run.id in problem for problem in problems), "(vii) verify does not know what is lost"

    @precondition(lambda self: self.expected.sink is not self.expected.main)
    @rule()
    def feed(self) -> None:
        outcome = self.world.feed()
        assert not outcome.refusal, outcome.refusal
        self.expected.sink = self.expected.main

    # What holds after every step

    @invariant()
    def main_and_branches_are_as_expected(self) -> None:
        """(i), (iii), (vi) What the model does not move, does not move; what it moves holds what the rule says."""
        if not hasattr(self, "expected"):
            return
        lake, model = self.world.lake, self.expected
        head = lake.head(MAIN)
        assert head.id == model.main.id
        assert self.world.files(head.id) == model.main.files, "(iii)"
        for name in WORKING:
            tip = model.tip(name)
            assert lake.head(name).id == tip.id, f"(viii) {name} is where nobody moved it"
            if self.seen.get(name) != tip.id:
                assert self.world.files(tip.id) == tip.files, "(viii)"
                self.seen[name] = tip.id
        assert set(lake.branches()) - {MAIN, LIBRARY, *WORKING} == set(model.branches)
        for name, commit in model.branches.items():
            assert lake.head(name).id == commit.id

    @invariant()
    def the_sink_is_what_main_held(self) -> None:
        """(v) A sink equals what `main` held at the commit it names."""
        if not hasattr(self, "expected") or self.world.sink_commit() is None:
            return
        named = self.expected.commits[self.world.sink_commit() or ""]
        assert named in self.expected.line, "(v) a sink is fed from what was never published"
        rows = self.world.sink_rows()
        wanted: list[dict[str, Any]] = []
        for part in PARTS:
            for path, checksum in below(named.files, f"rows/partition={part}").items():
                if path.endswith(".parquet"):
                    frame = frame_of(self.names[checksum])
                    wanted += [{"partition": part, **row} for row in frame.to_dict("records")]
        assert rows == wanted, "(v)"


def _places(asset: AssetKey, parts: Sequence[str]) -> dict[str, str]:
    """Return partition (``""``: none) to folder."""
    prefix = prefix_of(asset)
    return {part: f"{prefix}/partition={part}" for part in parts} if asset == ROWS else {"": prefix}


class LakeFSRunsMachine(RunsMachine):
    """The same on lakeFS."""

    def open_world(self) -> ExitStack:
        stack = ExitStack()
        self.world = stack.enter_context(lakefs_world())
        return stack
