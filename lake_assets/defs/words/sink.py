"""The asset `word_counts_topic`: published word counts, delivered to a Kafka topic or a file."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, DataVersion, Failure, MaterializeResult, asset

from lake_assets.defs.words.publications import COUNTS, publications
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.outbox import OutboxResource
from lake_assets.runs.asset_metadata import SINCE, place_metadata
from lake_assets.runs.publishing import LAYER

if TYPE_CHECKING:
    from lake_assets.outbox.contract import Sender, Update


@dataclass(frozen=True, slots=True)
class Delivery:
    """The deliveries of a run.

    Parameters
    ----------
    from_commit, to_commit
        The commit that the output reflected before, and the one that it reflects now.
    anew
        Whether all counts were sent, because the content of the output was not known.
    branch
        The branch that both are commits of.
    commits, updates, gone
        Number of commits, of updates, and of updates for removed words.
    """

    from_commit: str | None
    to_commit: str
    anew: bool = False
    branch: str = MAIN
    commits: int = 0
    updates: int = 0
    gone: int = 0

    def describe(self) -> str:
        """Return a description."""
        if self.from_commit == self.to_commit:
            return f"nothing to deliver: the output holds {self.to_commit} already"
        what = f"{self.updates} update(s) of {self.commits} commit(s), {self.gone} of words that are gone"
        if self.anew:
            since = f"the output was fed from commit {self.from_commit}, which {self.branch} never was"
            return f"{what}: all counts, since {since}"
        return f"{what}: from {self.from_commit or 'the beginning'} to {self.to_commit}"


def deliver(lake: Lake, sender: "Sender", branch: str = MAIN) -> Delivery:
    """Update an output to a branch's head, with one transaction for each commit that changed the counts.

    Parameters
    ----------
    lake
        The lake.
    sender
        The sender of the output's outbox.
    branch
        The branch: ``main``, or a working branch.

    Raises
    ------
    OutboxError
        The delivery failed. Committed transactions stay, and the next delivery continues after them.
    """
    # Imported here, since DuckDB takes time to load.
    from lake_assets.defs.words.changed import changed_words

    from_commit = sender.delivered
    # The head is read after the marker, so that it is never behind it.
    to_commit = lake.head(branch).id
    found = publications(lake, from_commit, to_commit)
    tally = _Tally()
    for publication in found:
        updates = changed_words(lake, publication.before, publication.commit)
        if publication.before is None:
            # The lake does not know what the output has, as after a restore from an older backup.
            updates = _with_gone(updates, sender.live_keys())
        sender.deliver(publication.commit, tally.counted(updates))
    if sender.delivered != to_commit:
        # Nothing to send, but the marker saves the next delivery from comparing these commits again.
        sender.deliver(to_commit, ())
    anew = from_commit is not None and any(publication.before is None for publication in found)
    return Delivery(from_commit, to_commit, anew, branch, len(found), tally.updates, tally.gone)


def _with_gone(updates: "Iterable[Update]", left: dict[bytes, Any]) -> "Iterator[Update]":
    """Yield the updates, and then one without a value for each key of the output that is not among them."""
    from lake_assets.outbox.contract import Update
    from lake_assets.outbox.records import key_bytes

    for update in updates:
        left.pop(key_bytes(update.key), None)
        yield update
    for key in left.values():
        yield Update(key, None)


@dataclass(slots=True)
class _Tally:
    updates: int = 0
    gone: int = 0

    def counted(self, updates: "Iterable[Update]") -> "Iterator[Update]":
        for update in updates:
            self.updates += 1
            self.gone += update.value is None
            yield update


@asset(
    group_name="words",
    deps=["words_published", "word_counts"],
    kinds={"kafka"},
    owners=["team:data-platform"],
    tags={LAYER: "sink"},
    code_version="1",
)
def word_counts_topic(
    context: AssetExecutionContext, lake: LakeResource, words_outbox: OutboxResource
) -> MaterializeResult[Any]:
    """A sink that sends each published change of a word's count exactly once, in commit order.

    After a rollback the restored counts are sent, and a null for each removed word.
    """
    from lake_assets.outbox.contract import OutboxError

    outbox = words_outbox.outbox(lake.lake.repository)
    if words_outbox.off:
        return MaterializeResult(metadata={"note": f"not delivered: sinks of {lake.target} are off"})
    try:
        with outbox.sender() as sender:
            delivery = deliver(lake.lake, sender, lake.target)
    except OutboxError as error:
        raise Failure(f"word_counts_topic: {error}") from error
    context.log.info("%s: %s", outbox.address, delivery.describe())
    return MaterializeResult(
        metadata={
            "output": outbox.address,
            **place_metadata(lake.lake, lake.target, delivery.to_commit),
            SINCE: delivery.from_commit or "none",
            "commits": delivery.commits,
            "updates": delivery.updates,
            "tombstones": delivery.gone,
            "note": delivery.describe(),
        },
        data_version=DataVersion((lake.lake.fingerprint(delivery.to_commit, COUNTS) or "empty")[:32]),
    )
