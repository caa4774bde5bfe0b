"""Random damage to any file of a lake, then random operations: each is right, or an error names the damage."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.repairs import repair
from lake_assets.lake.errors import LakeError
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put, read
from lake_assets_tests.lake.damage import DAMAGES

T = TypeVar("T")

RAW = re.compile("corrupted|peeled|odb|invalid header|zlib|inflat|libgit2|Traceback|[Ee]rrno")
NOT_READ = ("hooks", "info", "description", "lake_assets.damaged")
texts = st.sampled_from(["1", "22", "333"])
branches = st.sampled_from(["main", "work"])
prefixes = st.sampled_from(["stocks", "words/deep"])


class DamagedLake(RuleBasedStateMachine):
    """A lake, and what each branch may hold: more than one state where an operation failed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = self.folder / "lake"
        self.lake = GitLake(self.home)
        self.lake.create_branch("work", "main")
        self.held: dict[str, list[dict[str, str]]] = {"main": [{}], "work": [{}]}
        self.damaged = False
        self.errors: list[str] = []

    def teardown(self) -> None:
        self.lake.close()
        shutil.rmtree(self.folder)

    def attempt(self, work: Callable[[], T]) -> T | None:
        """Do something that may fail only with an error in our own words."""
        try:
            return work()
        except LakeError as error:
            self.errors.append(str(error))
            return None

    @invariant()
    def errors_are_one_line_of_our_own(self) -> None:
        assert [error for error in self.errors if RAW.search(error) or "\n" in error] == []

    @initialize()
    def begin(self) -> None:
        self.write("stocks", "1")
        self.publish()

    @rule(prefix=prefixes, text=texts)
    def write(self, prefix: str, text: str) -> None:
        files = {"a": text, "b/c": "same"}
        done = self.attempt(lambda: put(self.lake, "work", prefix, files))
        after = [
            {path: held for path, held in state.items() if not path.startswith(f"{prefix}/")}
            | {f"{prefix}/{name}": text for name, text in files.items()}
            for state in self.held["work"]
        ]
        self.held["work"] = after if done else self.held["work"] + after

    @rule()
    def publish(self) -> None:
        done = self.attempt(lambda: self.lake.merge("work", "main", audit=TESTS))
        self.held["main"] = list(self.held["work"]) if done else self.held["main"] + self.held["work"]

    @rule(branch=branches)
    def look(self, branch: str) -> None:
        found = self.attempt(lambda: read(self.lake, branch, ""))
        if found is not None and found not in self.held[branch]:
            # Only a check of all bytes sees what was changed at equal size.
            assert self.damaged
            assert self.attempt(lambda: list(self.lake.verify(branch))) != []
        self.attempt(lambda: list(self.lake.log(branch)))
        self.attempt(lambda: list(self.lake.list(branch)))

    @rule()
    def reopen(self) -> None:
        self.lake.close()
        if (fresh := self.attempt(lambda: GitLake(self.home))) is not None:
            self.lake = fresh

    @rule()
    def collect(self) -> None:
        self.attempt(lambda: self.lake.collect_garbage(timedelta(0)))
        self.attempt(self.lake.clean)

    @rule(how=st.sampled_from(sorted(DAMAGES)), number=st.integers(0, 999))
    def damage(self, how: str, number: int) -> None:
        folders = (self.home / "lake.git", self.home / "snapshots")
        files = sorted(
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink() and not set(NOT_READ) & set(path.relative_to(folder).parts)
        )
        # The branch `work` is gone where its ref is, and nothing tells that it was there.
        files = [path for path in files if not (how == "removed" and path.parts[-2:] == ("heads", "work"))]
        # Two runs of the same steps may leave a file more or less, so what is drawn does not depend on the files.
        DAMAGES[how](files[number % len(files)])
        self.damaged = True

    @rule()
    def mend(self) -> None:
        for finding in repair(self.home):
            assert finding.mended or finding.remedy
            assert not RAW.search(str(finding))
        self.damaged = False
        self.lake.close()
        fresh = self.attempt(lambda: GitLake(self.home))
        assert fresh is not None
        self.lake = fresh
        for branch in self.held:
            self.look(branch)


def check(examples: int) -> None:
    run_state_machine_as_test(
        DamagedLake,
        settings=settings(max_examples=examples, stateful_step_count=15),
    )


def test_each_operation_on_a_damaged_lake_is_right_or_names_the_damage() -> None:
    check(10)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_each_operation_on_a_damaged_lake_is_right_or_names_the_damage_at_length() -> None:
    check(500)
