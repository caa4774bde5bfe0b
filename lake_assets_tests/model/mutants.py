"""The product, broken in one way at a time: each of these the machine must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch
from zlib import crc32

import pyarrow

from lake_assets.content.version import ContentDigest
from lake_assets.lake import transaction as transactions
from lake_assets.lake.audit import Audit, Entry
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.resources.working_branch import target_of
from lake_assets.runs import audit, correction, merging, place_results, publishing, rollback, sweeping, verification
from lake_assets.runs import branch as run_branch
from lake_assets.runs.checked_commits import RunEvents
from lake_assets.runs.lock import LiveRuns
from lake_assets_tests.model import sink, world
from lake_assets_tests.model.world import World


def _everything(lake: Lake, instance: Any, graph: Any, source: Commit, into: str = MAIN, **options: Any) -> Audit:
    """An audit that lets everything through."""
    return Audit(source.id, tuple(Entry("", None, path) for path in lake.incoming(source.id, into)))


@contextmanager
def _ungated_while(way: str) -> Iterator[None]:
    """Let one way to `main` ask nothing, and the others what they ask."""
    asked = getattr(World, way)

    def ungated(self: World, *arguments: Any) -> Any:
        with patch.object(publishing, "audit_publication", _everything):
            return asked(self, *arguments)

    with patch.object(World, way, ungated):
        yield


@contextmanager
def reexecution_ungated() -> Iterator[None]:
    publish = publishing.publish

    def ungated(lake: Lake, instance: Any, run: Any, *arguments: Any, **options: Any) -> Any:
        if run.parent_run_id is None:
            return publish(lake, instance, run, *arguments, **options)
        with patch.object(publishing, "audit_publication", _everything):
            return publish(lake, instance, run, *arguments, **options)

    with patch.object(publishing, "publish", ungated):
        yield


@contextmanager
def rollback_ungated() -> Iterator[None]:
    """It goes back to any commit, of a run's branch too."""

    def any_commit(lake: Lake, to: str, prefix: str = "", branch: str = MAIN) -> rollback.Rollback:
        head, target = lake.head(branch), lake.head(to)
        return rollback.Rollback(head, target, prefix, lake.diff(head.id, target.id, prefix), branch)

    with patch.object(world, "plan_rollback", any_commit), patch.object(correction, "audit_publication", _everything):
        yield


@contextmanager
def transaction_ungated() -> Iterator[None]:
    """It lets in whatever it holds, whoever stated what."""

    def merged(lake: GitLake, source: str, into: str, message: str, metadata: Any, told: Any) -> Commit:
        head = lake.head(source)
        return lake.merge(source, into, message, metadata, _everything(lake, None, None, head))

    class Ungated:
        def __init__(self, lake: Lake) -> None:
            self._lake = lake

        def __getattr__(self, name: str) -> Any:
            return getattr(self._lake, name)

        def merge(self, *arguments: Any) -> Commit:
            return merged(self._lake, *arguments)  # pyright: ignore

    def ungated(lake: Lake, **options: Any) -> Any:
        return transactions.transaction(Ungated(lake), **options)  # pyright: ignore

    with patch.object(world, "transaction", ungated):
        yield


def check_before_the_write() -> AbstractContextManager[Any]:
    """A check is taken to have read what its run had written when it ended, not when it began."""

    def commit_read_by(self: RunEvents, found: Any, partition: str | None, before: Any) -> str | None:
        asset = found.result.asset_key
        made = [one for one in self.written if one.position < found.position]
        return next((one.commit for one in reversed(made) if (one.asset, one.partition) == (asset, partition)), None)

    return patch.object(RunEvents, "commit_read_by", commit_read_by)


def first_pass_decides() -> AbstractContextManager[Any]:
    """A check that once passed on a content passes, though it failed on it since."""
    evaluations = place_results.PlaceResults._evaluations

    def passes_first(self: Any, key: Any, place: Any) -> Any:
        found = list(evaluations(self, key, place))
        return [one for one in found if one[1].result.passed] or found

    return patch.object(place_results.PlaceResults, "_evaluations", passes_first)


def checks_of_any_content() -> AbstractContextManager[Any]:
    """A check counts for its partition, whatever it read there."""
    return patch.object(place_results.PlaceResults, "_holds", lambda self, commit, place: True)


@contextmanager
def sweep_too_early() -> Iterator[None]:
    """Branches go whose runs go on, or are needed by some that do."""
    nobody = LiveRuns(frozenset(), frozenset())
    with patch.object(sweeping, "live_runs", lambda _: nobody), patch.object(sweeping, "is_alive", lambda *_: False):
        yield


def needed_branches_swept() -> AbstractContextManager[Any]:
    """Branches go that a run was re-executed from."""
    return patch.object(sweeping, "live_runs", lambda _: LiveRuns(frozenset(), frozenset()))


def null_blind_digest() -> AbstractContextManager[Any]:
    """A content's version is of its values, wherever the nulls stand."""

    def update(self: Any, batch: pyarrow.RecordBatch) -> None:
        self.rows += batch.num_rows
        for row in batch.to_pylist():
            values = [value for value in row.values() if value is not None]
            self._sums[0] = (self._sums[0] + crc32(repr(values).encode())) % 2**64

    return patch.object(ContentDigest, "update", update)


def sink_fed_from_a_branch() -> AbstractContextManager[Any]:
    """A sink is brought to what a run wrote last, published or not."""

    def newest(lake: Lake) -> str:
        branches = [name for name in lake.branches() if name.startswith("run-")]
        return (
            max((lake.head(name) for name in branches), key=lambda head: head.committed_at).id
            if branches
            else (lake.head(MAIN).id)
        )

    return patch.object(sink, "source_of_sinks", newest)


@contextmanager
def the_others_publication_lost() -> Iterator[None]:
    """A merge takes its source as it is: what another run published meanwhile is gone."""

    def theirs_alone(self: Any, base: Any, ours: Any, theirs: Any, replaced: Any) -> Any:
        return self._commits.root(theirs), ()

    nothing = patch.object(GitLake, "_refuse_unaudited", lambda *_: None)
    with patch.object(GitLake, "_three_way", theirs_alone), nothing:
        yield


@contextmanager
def lost_work_unnoticed() -> Iterator[None]:
    """A branch that went away is made anew, and nobody asks what was on it."""
    with (
        patch.object(run_branch, "refuse_lost", lambda *_: None),
        patch.object(publishing, "refuse_lost", lambda *_: None),
    ):
        yield


def lost_work_unreported() -> AbstractContextManager[Any]:
    return patch.object(verification.Verification, "_lost_materializations", lambda self: iter(()))


def merge_of_a_branch_ungated() -> AbstractContextManager[Any]:
    """A working branch brings whatever it holds."""
    return patch.object(merging, "audit_publication", _everything)


def overrides_carried_over() -> AbstractContextManager[Any]:
    """What any protected branch held, let through by whomever, is let through everywhere."""

    def restored_from(self: Any, place: str) -> Commit | None:
        wanted = self.files.fingerprints(self.source.id, place)
        held = (commit for branch in self.lake.protected_branches() for commit in self.lake.first_parents(branch))
        return next((commit for commit in held if self.files.fingerprints(commit.id, place) == wanted), None)

    return patch.object(audit._Decision, "_restored_from", restored_from)


def branch_published_to_main() -> AbstractContextManager[Any]:
    """A run that works on a branch is published to `main`."""
    return patch.object(publishing, "target_of", lambda *_: MAIN)


def branch_begun_at_main() -> AbstractContextManager[Any]:
    """A run that works on a branch reads `main`."""
    source_ref = run_branch._source_ref
    return patch.object(run_branch, "_source_ref", lambda run, target: source_ref(run, MAIN))


def checks_of_the_own_branch_only() -> AbstractContextManager[Any]:
    """A check counts only on the branch whose run evaluated it."""

    class OfBranch(place_results.PlaceResults):
        into: str

        def _covers(self, run_id: str, evaluation: Any, place: Any) -> bool:
            run = self.instance.get_run_by_id(run_id)
            own = run is not None and target_of(self.instance, run) == self.into
            return own and super()._covers(run_id, evaluation, place)

    def results(self: Any) -> OfBranch:
        found = OfBranch(self.lake, self.instance, self.graph, self.source, self.files)
        found.into = self.into
        return found

    return patch.object(audit._Decision, "results", property(results))


def past_the_rule_unreported() -> AbstractContextManager[Any]:
    return patch.object(verification.Verification, "_unaudited_commits", lambda self: iter(()))


MUTANTS: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "asset ungated": lambda: _ungated_while("publish_by_asset"),
    "sensor ungated": lambda: _ungated_while("publish_by_sensor"),
    "command ungated": lambda: _ungated_while("publish_by_command"),
    "re-execution ungated": reexecution_ungated,
    "rollback ungated": rollback_ungated,
    "transaction ungated": transaction_ungated,
    "check before the write": check_before_the_write,
    "first pass decides": first_pass_decides,
    "checks of any content": checks_of_any_content,
    "sweep too early": sweep_too_early,
    "needed branches swept": needed_branches_swept,
    "null-blind digest": null_blind_digest,
    "sink fed from a branch": sink_fed_from_a_branch,
    "the other's publication lost": the_others_publication_lost,
    "lost work unnoticed": lost_work_unnoticed,
    "lost work unreported": lost_work_unreported,
    "past the rule unreported": past_the_rule_unreported,
    "merge of a branch ungated": merge_of_a_branch_ungated,
    "overrides carried over": overrides_carried_over,
    "branch published to main": branch_published_to_main,
    "branch begun at main": branch_begun_at_main,
    "checks of the own branch only": checks_of_the_own_branch_only,
}
