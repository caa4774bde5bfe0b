"""What the rule says: branches, runs, checks and publications as plain Python, with nothing of the product's in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lake_assets_tests.lake.history import Files, HeldCommit, below, merge_bases, mixed, three_way

Verdict = Literal["passed", "warned", "failed"]
Answer = Literal["merge", "nothing", "refuse", "either"]


@dataclass(frozen=True)
class Evaluation:
    """A check that ended: what it read of a place, and how it ended."""

    check: str
    place: str
    read: Files
    verdict: Verdict


@dataclass
class Run:
    """A run: which partitions it is for, what it said it wrote, and where its branch began."""

    id: str
    parts: tuple[str, ...]
    parent: Run | None = None
    skips: bool = False
    told: list[tuple[str, HeldCommit]] = field(default_factory=list[tuple[str, HeldCommit]])
    began: HeldCommit | None = None
    status: Literal["going", "success", "failure"] = "going"
    published: HeldCommit | None = None

    @property
    def branch(self) -> str:
        return f"run-{self.id}"

    def ancestry(self) -> Iterator[Run]:
        """Yield the runs that it goes on from, the nearest first."""
        run = self
        while run.skips and run.parent is not None:
            run = run.parent
            yield run


@dataclass(frozen=True)
class Publishing:
    """What is to come of a publication: ``files`` of ``main`` where it merges, ``why`` where it is refused."""

    answer: Answer
    files: Files = field(default_factory=dict[str, str])
    head: HeldCommit | None = None
    why: str = ""


class Expected:
    """The lake, its runs and its sink, as they have to be.

    Parameters
    ----------
    root
        Id of the lake's first commit.
    checks
        Place to the names of its asset's blocking checks.
    """

    def __init__(self, root: str, files: Files, checks: Mapping[str, Sequence[str]]) -> None:
        self.checks = checks
        first = HeldCommit(root, files)
        self.commits = {root: first}
        self.line = [first]
        self.branches: dict[str, HeldCommit] = {}
        self.runs: list[Run] = []
        self.evaluations: list[Evaluation] = []
        self.past_the_rule: list[HeldCommit] = []
        self.sink: HeldCommit | None = None

    # What there is

    @property
    def main(self) -> HeldCommit:
        return self.line[-1]

    def ref(self, name: str) -> HeldCommit:
        """Return the commit of a branch or an id."""
        return self.main if name == "main" else self.branches.get(name) or self.commits[name]

    def place_of(self, path: str) -> str | None:
        return next((place for place in self.checks if path.startswith(f"{place}/")), None)

    def places_of(self, paths: Iterable[str]) -> set[str]:
        """Return the places that files lie in; a file of no asset is its own."""
        return {self.place_of(path) or path for path in paths}

    def commit(
        self, id_: str, files: Files, parents: tuple[HeldCommit, ...], replaces: Sequence[str] = ()
    ) -> HeldCommit:
        """Take in a commit."""
        made = HeldCommit(id_, files, parents, tuple(replaces))
        return self.commits.setdefault(id_, made)

    def advance_main(self, made: HeldCommit) -> None:
        if made is not self.main:
            self.line.append(made)

    # Runs

    def lost(self, run: Run) -> list[tuple[str, HeldCommit]]:
        """Return what a run, or one that it goes on from, said that it wrote, and that the run has no more."""
        carried = [run]
        for ancestor in run.ancestry():
            if ancestor.published is not None:
                break
            carried.append(ancestor)
        head = self.branches.get(run.branch)
        if head is None and run.began is None:
            head = next((self.branches[one.branch] for one in carried if one.branch in self.branches), None)
        heads = [self.main, *([head] if head is not None else [])]
        told = [item for one in carried for item in one.told]
        return [(place, made) for place, made in told if not any(made.id in head.ancestors for head in heads)]

    def gone(self, run: Run) -> bool:
        """Tell whether something that a run said it wrote is neither on ``main`` nor on its branch."""
        heads = [self.main, *([self.branches[run.branch]] if run.branch in self.branches else [])]
        return any(not any(made.id in head.ancestors for head in heads) for _, made in run.told)

    def start_of(self, run: Run, source: str) -> HeldCommit | None:
        """Return where a run's branch begins; None where what it would go on from is lost."""
        wrote = False
        for ancestor in run.ancestry():
            if ancestor.branch in self.branches:
                return self.branches[ancestor.branch]
            if ancestor.published is not None:
                return self.main
            wrote = wrote or bool(ancestor.told)
        if wrote:
            return None
        # The branch that it was to read may be gone by now.
        return self.main if source == "main" else self.branches.get(source) or self.commits.get(source)

    def is_alive(self, run: Run) -> bool:
        return run.status == "going"

    def swept(self) -> set[str]:
        """Return the branches that a sweep removes: of runs that failed, and that none which goes on began from."""
        needed: set[str] = set()
        for run in filter(self.is_alive, self.runs):
            ancestor: Run | None = run
            while ancestor is not None:
                needed.add(ancestor.branch)
                ancestor = ancestor.parent
        failed = {run.branch for run in self.runs if run.status == "failure"}
        return (failed - needed) & self.branches.keys()

    # The rule

    def verdict(self, check: str, place: str, content: Files) -> Verdict | None:
        """Return how a check ended on this very content of a place the last time; None where it never read it."""
        found = [one for one in self.evaluations if (one.check, one.place, one.read) == (check, place, content)]
        return found[-1].verdict if found else None

    def missing(self, place: str, content: Files) -> list[str]:
        """Return the blocking checks that do not let this content of a place pass."""
        return [
            check for check in self.checks[place] if self.verdict(check, place, content) not in ("passed", "warned")
        ]

    def held_before(self, place: str, content: Files) -> bool:
        """Tell whether ``main`` itself ever was so."""
        return any(below(commit.files, place) == content for commit in self.line)

    def merged(self, head: HeldCommit) -> tuple[Files, set[str]] | None:
        """Return what ``main`` would hold, and the conflicts; None where Git's choice of a base is its own."""
        bases = merge_bases(self.main, head)
        if len(bases) != 1:
            return None
        files, conflicts = three_way(bases[0].files, self.main.files, head.files)
        brought = (commit for id_, commit in head.ancestors.items() if id_ not in self.main.ancestors)
        replaces = [folder for commit in brought for folder in commit.replaces]
        return files, conflicts | mixed(replaces, bases[0].files, self.main.files, head.files)

    def publishing(self, run: Run, overridden: Sequence[str] = ()) -> Publishing:
        """Return what is to come of publishing a run."""
        if self.lost(run):
            return Publishing("refuse", why="lost")
        head = self.branches.get(run.branch)
        if head is None and run.published is None and run.skips:
            head = self.start_of(run, "main")
        if head is None or head.id in self.main.ancestors:
            return Publishing("nothing")
        merged = self.merged(head)
        if merged is None:
            return Publishing("either")
        files, conflicts = merged
        if conflicts:
            return Publishing("refuse", why="conflict")
        for place in sorted(self.changed(self.main.files, files)):
            if place not in self.checks:
                return Publishing("refuse", why=place)
            content = below(files, place)
            if content != below(head.files, place):
                return Publishing("refuse", why=place)
            uncovered = set(self.missing(place, content)) - set(overridden)
            if uncovered and not (content and self.held_before(place, content)):
                return Publishing("refuse", why=place)
        return Publishing("merge", files, head)

    def changed(self, before: Files, after: Files) -> set[str]:
        """Return the places that differ."""
        paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        return self.places_of(paths)

    def rolled_back(self, target: HeldCommit, prefix: str) -> Files:
        """Return what ``main`` holds once a prefix is put back."""
        within = (lambda path: path.startswith(f"{prefix}/")) if prefix else (lambda _: True)
        kept = {path: text for path, text in self.main.files.items() if not within(path)}
        return kept | {path: text for path, text in target.files.items() if within(path)}
