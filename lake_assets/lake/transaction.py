"""Several writes that are published together, or not at all: for what is no asset of a Dagster run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from lake_assets.lake.audit import Audit, Override
from lake_assets.lake.contract import MAIN, Commit, Lake, Snapshot, Write, WriteMode
from lake_assets.lake.errors import LakeError


@dataclass(slots=True)
class Transaction:
    """A branch of one's own, until its context ends.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch's name.
    commit
        Set when the context has ended normally: the merge that published it.
    """

    lake: Lake
    branch: str
    commit: Commit | None = None

    def write(
        self,
        prefix: str,
        mode: WriteMode = "overwrite",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        partitions: Sequence[str] | None = None,
    ) -> AbstractContextManager[Write]:
        """Open a writable place, as :meth:`Lake.write` does."""
        return self.lake.write(self.branch, prefix, mode, message, metadata, partitions)

    def path(self, prefix: str) -> Snapshot:
        """Return where a prefix is read as the transaction has it, its own writes included."""
        return self.lake.path(self.branch, prefix)


@contextmanager
def transaction(
    lake: Lake,
    into: str = MAIN,
    message: str = "",
    metadata: Mapping[str, str] | None = None,
    *,
    audit: Callable[[Commit], Audit] | Override | None = None,
) -> Generator[Transaction]:
    """Begin at a branch's head; ending normally merges all writes into it at once, by an exception drops them.

    Parameters
    ----------
    lake, into, message, metadata
        As of :meth:`Lake.merge`.
    audit
        What lets the writes into ``main``: a person's override, or what audits the commit that holds them all.

    Raises
    ------
    Unaudited
        ``into`` is ``main``, and there is no audit, or it does not cover all writes; ``main`` is as it was.
    MergeConflict
        ``into`` got other versions of the same folders meanwhile; it is as it was.

    Examples
    --------
    >>> ann = Override("ann", "both were compared with the exchange's list")
    >>> with transaction(lake, message="Prices and their index", audit=ann) as both:
    ...     with both.write("prices") as write:
    ...         frame.to_parquet(f"{write.root}/prices.parquet", filesystem=write.filesystem)
    ...     with both.write("prices_index") as write:
    ...         index.to_parquet(f"{write.root}/index.parquet", filesystem=write.filesystem)
    """
    branch = f"transaction-{uuid4().hex}"
    lake.create_branch(branch, into)
    try:
        begun = Transaction(lake, branch)
        yield begun
        held = lake.head(branch)
        told = audit(held) if callable(audit) else audit
        begun.commit = lake.merge(branch, into, message or "Publish a transaction", metadata, told)
    finally:
        # What ended the work is what is to be reported.
        with suppress(LakeError):
            lake.delete_branch(branch)
