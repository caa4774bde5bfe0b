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
    """A run: which partitions it is for, what it said it wrote, where its branch began, and where it is published."""

    id: str
    parts: tuple[str, ...]
    parent: Run | None = None
    skips: bool = False
    told: list[tuple[str, HeldCommit]] = field(default_factory=list[tuple[str, HeldCommit]])
    began: HeldCommit | None = None
    status: Literal["going", "success", "failure"] = "going"
    published: HeldCommit | None = None
    target: str = "main"

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
    """What is to come of a publication: ``files`` of its target where it merges, ``why`` where it is refused."""

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
    working
        Names of the working branches, which begin there.
    """

    def __init__(
        self, root: str, files: Files, checks: Mapping[str, Sequence[str]], working: Sequence[str] = ()
    ) -> None:
        self.checks = checks
        first = HeldCommit(root, files)
        self.commits = {root: first}
        self.lines = {name: [first] for name in ("main", *working)}
        self.branches: dict[str, HeldCommit] = {}
        self.runs: list[Run] = []
        self.evaluations: list[Evaluation] = []
        self.past_the_rule: list[HeldCommit] = []
        self.sink: HeldCommit | None = None

    # What there is

    @property
    def line(self) -> list[HeldCommit]:
        """What ``main`` was at, one after another."""
        return self.lines["main"]

    @property
    def main(self) -> HeldCommit:
        return self.line[-1]

    def tip(self, name: str) -> HeldCommit:
        """Return where ``main`` or a working branch is."""
        return self.lines[name][-1]

    def ref(self, name: str) -> HeldCommit:
        """Return the commit of a branch or an id."""
        found = self.tip(name) if name in self.lines else self.branches.get(name)
        return found or self.commits[name]

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

    def advance(self, made: HeldCommit, name: str = "main") -> None:
        if made is not self.tip(name):
            self.lines[name].append(made)

    # Runs

    def lost(self, run: Run) -> list[tuple[str, HeldCommit]]:
        """Return what a run, or one that it goes on from, said that it wrote, and that the run has no more."""
        carried = [run]
        for ancestor in run.ancestry():
            if ancestor.published is not None:
                break
            carried.append(ancestor)
        head = self.branches.get(run.branch)
        if head is None:
            head = next((self.branches[one.branch] for one in carried if one.branch in self.branches), None)
        heads = [self.main, self.tip(run.target), *([head] if head is not None else [])]
        told = [item for one in carried for item in one.told]
        return [(place, made) for place, made in told if not any(made.id in head.ancestors for head in heads)]

    def gone(self, run: Run) -> bool:
        """Tell whether something that a run said it wrote is on no protected branch and not on its own."""
        heads = [*map(self.tip, self.lines), *([self.branches[run.branch]] if run.branch in self.branches else [])]
        return any(not any(made.id in head.ancestors for head in heads) for _, made in run.told)

    def start_of(self, run: Run, source: str) -> HeldCommit | None:
        """Return where a run's branch begins; None where what it would go on from is lost."""
        wrote = False
        for ancestor in run.ancestry():
            if ancestor.branch in self.branches:
                return self.branches[ancestor.branch]
            if ancestor.published is not None:
                return self.tip(run.target)
            wrote = wrote or bool(ancestor.told)
        if wrote:
            return None
        # The branch that it was to read may be gone by now.
        return self.tip(source) if source in self.lines else self.branches.get(source) or self.commits.get(source)

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

    def held_before(self, place: str, content: Files, into: str = "main") -> bool:
        """Tell whether a branch, or ``main``, ever was so; empty: whether ``main`` lets a working branch have it so."""
        if content:
            lines = self.lines[into] + self.line
            return any(_at(commit.files, place) == content for commit in lines)
        if into == "main" or _at(self.main.files, place):
            return False
        return any(_at(commit.files, place) for commit in self.line)

    def merged(self, head: HeldCommit, into: str = "main") -> tuple[Files, set[str]] | None:
        """Return what a branch would hold, and the conflicts; None where Git's choice of a base is its own."""
        ours = self.tip(into)
        bases = merge_bases(ours, head)
        if len(bases) != 1:
            return None
        files, conflicts = three_way(bases[0].files, ours.files, head.files)
        brought = (commit for id_, commit in head.ancestors.items() if id_ not in ours.ancestors)
        replaces = [folder for commit in brought for folder in commit.replaces]
        return files, conflicts | mixed(replaces, bases[0].files, ours.files, head.files)

    def publishing(self, run: Run, overridden: Sequence[str] = ()) -> Publishing:
        """Return what is to come of publishing a run."""
        if self.lost(run):
            return Publishing("refuse", why="lost")
        head = self.branches.get(run.branch)
        if head is None and run.published is None and run.skips:
            head = self.start_of(run, run.target)
        return Publishing("nothing") if head is None else self.merging(head, run.target, overridden)

    def merging(self, head: HeldCommit, into: str, overridden: Sequence[str] = ()) -> Publishing:
        """Return what is to come of merging a commit into ``main`` or a working branch."""
        before = self.tip(into)
        if head.id in before.ancestors:
            return Publishing("nothing")
        merged = self.merged(head, into)
        if merged is None:
            return Publishing("either")
        files, conflicts = merged
        if conflicts:
            return Publishing("refuse", why="conflict")
        for place in sorted(self.changed(before.files, files)):
            content = _at(files, place)
            if content != _at(head.files, place):
                return Publishing("refuse", why=place)
            owned = place in self.checks
            uncovered = set(self.missing(place, content)) - set(overridden) if owned else {"belongs to no asset"}
            if uncovered and not self.held_before(place, content, into):
                return Publishing("refuse", why=place)
        return Publishing("merge", files, head)

    def changed(self, before: Files, after: Files) -> set[str]:
        """Return the places that differ."""
        paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        return self.places_of(paths)

    def rolled_back(self, target: HeldCommit, prefix: str, branch: str = "main") -> Files:
        """Return what a branch holds once a prefix is put back."""
        within = (lambda path: path.startswith(f"{prefix}/")) if prefix else (lambda _: True)
        kept = {path: text for path, text in self.tip(branch).files.items() if not within(path)}
        return kept | {path: text for path, text in target.files.items() if within(path)}


def _at(files: Files, place: str) -> Files:
    """Return what is in a folder, or is the file of that path."""
    return {place: files[place]} if place in files else below(files, place)
