"""Several writes that are published together or not at all, outside of Dagster runs."""

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
    """A temporary branch that collects writes until its context ends.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch's name.
    commit
        The merge that published the writes. Set when the context has ended without an exception.
    """

    lake: Lake
    branch: str
    commit: Commit | None = None

    def write(
        self,
        prefix: str,
        *,
        mode: WriteMode = "overwrite",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        partitions: Sequence[str] | None = None,
    ) -> AbstractContextManager[Write]:
        """Open a writable folder, as :meth:`Lake.write` does.

        Parameters
        ----------
        prefix, mode, message, metadata, partitions
            As of :meth:`Lake.write`.
        """
        return self.lake.write(
            self.branch, prefix, mode=mode, message=message, metadata=metadata, partitions=partitions
        )

    def path(self, prefix: str) -> Snapshot:
        """Return a snapshot of a prefix that includes the writes of this transaction.

        Parameters
        ----------
        prefix
            A folder or a file.
        """
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
    """Open a transaction. At the end all writes are merged together; after an exception they are dropped.

    Parameters
    ----------
    lake, into, message, metadata
        As of :meth:`Lake.merge`.
    audit
        Required for ``main``: a person's override, or a function that audits the commit with all writes.

    Raises
    ------
    Unaudited
        ``into`` is ``main``, and there is no audit, or it does not cover all writes. ``main`` is unchanged.
    MergeConflict
        Another commit changed the same folders of ``into`` meanwhile. ``into`` is unchanged.

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
        verdict = audit(held) if callable(audit) else audit
        begun.commit = lake.merge(branch, into, message or "Publish a transaction", metadata, verdict)
    finally:
        # An error of the cleanup must not hide the error that ended the transaction.
        with suppress(LakeError):
            lake.delete_branch(branch)
