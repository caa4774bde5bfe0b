"""The outbox contract: exactly-once delivery of updates to an external output, commit by commit.

The marker of the last delivered commit changes in the same transaction as the updates. So the next sender knows where
to continue, even if the last one was killed. Every outbox passes the contract suite in ``lake_assets_tests/outbox``.
This folder does not know Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class OutboxError(Exception):
    """An operation of an outbox failed. The message names the output and the remedy."""


class OutboxUnavailable(OutboxError):
    """The output does not answer, is full, or is not writable. Nothing is lost: the next sender continues."""


class OutboxTaken(OutboxError):
    """Another sender is active, or has taken over."""


class OutboxDamaged(OutboxError):
    """The output or its marker was changed by another program."""


@dataclass(frozen=True, slots=True)
class Update:
    """The new value of a key.

    Parameters
    ----------
    key
        Any JSON value. The keys of one outbox have the same type.
    value
        Any JSON value. None means that the key was removed.
    """

    key: Any
    value: Any


class Outbox(Protocol):
    """An output with an address. It is opened or created when it is first used."""

    @property
    def address(self) -> str:
        """Name of the output in errors and metadata. It never contains credentials."""
        ...

    def delivered(self) -> str | None:
        """Return the last delivered commit, or None. This does not affect a sender.

        Raises
        ------
        OutboxError
            The marker cannot be read within the deadline.
        """
        ...

    def sender(self) -> AbstractContextManager[Sender]:
        """Become the only sender until the context ends.

        An unfinished delivery of an earlier sender is undone first. A sender that is still running cannot commit any
        more, or is waited for, depending on the output.

        Raises
        ------
        OutboxError
            This is not possible within the deadline.
        """
        ...


class Sender(Protocol):
    """The only sender of an outbox. It cannot be used after an error: open another one."""

    @property
    def delivered(self) -> str | None:
        """The last commit delivered by this or an earlier sender, or None."""
        ...

    def live_keys(self) -> dict[bytes, Any]:
        """Return the keys of the output whose last delivered value is not None, each by its encoded form.

        All of the output is read. This is needed only if the lake does not know what was delivered, as after a restore
        from an older backup.

        Raises
        ------
        OutboxError
            The output cannot be read.
        """
        ...

    def deliver(self, commit: str, updates: Iterable[Update]) -> int:
        """Send a commit's updates and its marker in one transaction. Return the number of updates.

        Parameters
        ----------
        commit
            A published commit, later than the last delivered one.
        updates
            The updates. They are consumed one by one. If the iterator raises, nothing is sent.

        Raises
        ------
        OutboxError
            The delivery failed. The transaction may still have been committed; see ``delivered`` of the next sender.
        """
        ...
