"""A lake beside a model of it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lake_assets.lake.embedded.history import merge_base
from lake_assets.lake.errors import MergeConflict, WriteRefused
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import LakeSpec, fresh_place, put, read
from lake_assets_tests.lake.history import Files, HeldCommit, below, brought_back, merge_bases, mixed, three_way
from lake_assets_tests.model.clock import Clock

PARTITIONS = ("t/p=1", "t/p=2")
PREFIXES = ("t", *PARTITIONS, "u")
files = st.dictionaries(st.sampled_from(["a", "b", "x/a", "x/b"]), st.sampled_from(["1", "2"]), max_size=3)
branches = st.sampled_from(["main", "one", "two"])
working = st.sampled_from(["one", "two"])


class LakeMachine(RuleBasedStateMachine):
    """Writes, merges, diffs and reverts at random; the lake must do as the model does."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        # Of several best merge bases, Git takes the newest.
        self.dates = ExitStack()
        self.dates.enter_context(Clock().dates_commits())
        self.lake = LakeSpec(self.backend, fresh_place(self.backend, Path(self.folder.name))).open()
        root = HeldCommit(self.lake.head("main").id, {})
        self.heads = dict.fromkeys(["main", "one", "two"], root)
        for branch in ("one", "two"):
            self.lake.create_branch(branch, "main")

    backend = "embedded"

    def teardown(self) -> None:
        if hasattr(self, "lake"):
            self.lake.close()
            self.folder.cleanup()
            self.dates.close()

    def _advance(self, branch: str, id_: str, commit: HeldCommit) -> None:
        if commit.files == self.heads[branch].files and len(commit.parents) == 1:
            assert id_ == self.heads[branch].id
        else:
            commit.id = id_
            commit.__post_init__()
            self.heads[branch] = commit

    def base_of(self, source: str, into: str) -> str:
        """Return the commit that a merge compares both sides with. Of several best ones, each lake has its choice."""
        ours, theirs = (self.lake._refs.resolve(ref) for ref in (into, source))  # pyright: ignore[reportAttributeAccessIssue]
        base = merge_base(ours, theirs, self.lake._git_objects.commit)  # pyright: ignore[reportAttributeAccessIssue]
        return str(base.id)

    def bases_of(self, base: HeldCommit, another: HeldCommit) -> list[HeldCommit]:
        """Return what two merge bases have in common."""
        return merge_bases(base, another)

    @rule(branch=working, prefix=st.sampled_from(PREFIXES), new=files)
    def overwrite(self, branch: str, prefix: str, new: Files) -> None:
        head = self.heads[branch]
        kept = {path: text for path, text in head.files.items() if path not in below(head.files, prefix)}
        held = kept | {f"{prefix}/{name}": text for name, text in new.items()}
        made = put(self.lake, branch, prefix, new)
        self._advance(branch, made.id, HeldCommit("", held, (head,), (prefix,)))

    @rule(branch=working, prefix=st.sampled_from(PREFIXES), new=files)
    def append(self, branch: str, prefix: str, new: Files) -> None:
        head = self.heads[branch]
        added = {f"{prefix}/{name}": text for name, text in new.items()}
        if any(head.files.get(path, text) != text for path, text in added.items()):
            with pytest.raises(WriteRefused):
                put(self.lake, branch, prefix, new, mode="append")
        else:
            made = put(self.lake, branch, prefix, new, mode="append")
            self._advance(branch, made.id, HeldCommit("", head.files | added, (head,)))

    @rule(branch=working, new=st.dictionaries(st.sampled_from(["p=1/a", "p=1/b", "p=2/a"]), st.sampled_from("12")))
    def overwrite_partitions(self, branch: str, new: Files) -> None:
        head = self.heads[branch]
        held = {path: text for path, text in head.files.items() if not path.startswith(PARTITIONS)}
        held |= {f"t/{name}": text for name, text in new.items()}
        made = put(self.lake, branch, "t", new, partitions=["p=1", "p=2"])
        self._advance(branch, made.id, HeldCommit("", held, (head,), PARTITIONS))

    @rule(source=branches, into=branches)
    def merge(self, source: str, into: str) -> None:
        ours, theirs = self.heads[into], self.heads[source]
        if theirs.id in ours.ancestors:
            assert self.lake.merge(source, into, audit=TESTS).id == ours.id
            return
        bases = merge_bases(ours, theirs)
        base = ours.ancestors[self.base_of(source, into)]
        if self.backend == "embedded":
            assert base in bases
        merged, conflicts = three_way(base.files, ours.files, theirs.files)
        brought = (commit for id_, commit in theirs.ancestors.items() if id_ not in base.ancestors)
        replaces = [folder for commit in brought for folder in commit.replaces]
        conflicts |= mixed(replaces, base.files, ours.files, theirs.files)
        others = [(one.files, [began.files for began in self.bases_of(base, one)]) for one in bases if one is not base]
        conflicts = conflicts or brought_back(others, base.files, ours.files, theirs.files)
        if conflicts:
            with pytest.raises(MergeConflict) as caught:
                self.lake.merge(source, into, audit=TESTS)
            assert caught.value.paths == tuple(sorted(conflicts))
        else:
            made = self.lake.merge(source, into, audit=TESTS)
            self.heads[into] = HeldCommit(made.id, merged, (ours, theirs))

    @precondition(lambda self: any(len(head.ancestors) > 1 for head in self.heads.values()))
    @rule(branch=working, data=st.data())
    def revert(self, branch: str, data: st.DataObject) -> None:
        head = self.heads[branch]
        known = {id_: commit for one in self.heads.values() for id_, commit in one.ancestors.items()}
        undone = data.draw(st.sampled_from([commit for commit in known.values() if commit.parents]))
        before = undone.parents[0]
        brought = (commit for id_, commit in undone.ancestors.items() if id_ not in before.ancestors)
        replaces = tuple({folder for commit in brought for folder in commit.replaces})
        held, conflicts = three_way(undone.files, head.files, before.files)
        conflicts |= mixed(replaces, undone.files, head.files, before.files)
        if conflicts:
            with pytest.raises(MergeConflict) as caught:
                self.lake.revert(undone.id, branch)
            assert caught.value.paths == tuple(sorted(conflicts))
            return
        made = self.lake.revert(undone.id, branch)
        self._advance(branch, made.id, HeldCommit("", held, (head,), replaces))

    @rule(left=branches, right=branches)
    def diff(self, left: str, right: str) -> None:
        here, there = self.heads[left].files, self.heads[right].files
        diff = self.lake.diff(left, right)
        assert set(diff.added) == there.keys() - here.keys()
        assert set(diff.removed) == here.keys() - there.keys()
        assert set(diff.changed) == {path for path in here.keys() & there.keys() if here[path] != there[path]}

    @invariant()
    def every_branch_holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "lake"):
            return
        for branch, commit in self.heads.items():
            assert self.lake.head(branch).id == commit.id
            assert [item.path for item in self.lake.list(branch)] == sorted(commit.files)
            if commit.files:
                assert read(self.lake, branch, "") == commit.files


class LakeFSMachine(LakeMachine):
    """The same on lakeFS."""

    backend = "lakefs"

    def base_of(self, source: str, into: str) -> str:
        # The server takes the first common ancestor that it meets (docs/lakefs.md).
        return self.lake._server.merge_base(source, into)[2]  # pyright: ignore[reportAttributeAccessIssue]

    def bases_of(self, base: HeldCommit, another: HeldCommit) -> list[HeldCommit]:
        return [base.ancestors[self.base_of(another.id, base.id)]]


class LongLakeMachine(LakeMachine):
    """The same for longer."""


TestLakeMachine = LakeMachine.TestCase
TestLakeMachine.settings = settings(max_examples=15, stateful_step_count=15)
TestLongLakeMachine = pytest.mark.soak(LongLakeMachine.TestCase)
TestLongLakeMachine.settings = settings(TestLakeMachine.settings, max_examples=100)
TestLakeFSMachine = pytest.mark.services(LakeFSMachine.TestCase)
TestLakeFSMachine.settings = settings(TestLakeMachine.settings, max_examples=5, phases=[Phase.generate])
