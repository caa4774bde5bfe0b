"""The outbox contract: updates leave the project once each, with the commit that they come from.

The marker of the last commit delivered changes in the same transaction as the updates, so whoever sends next knows
where to go on, wherever the last sender was killed. Every outbox passes the one contract suite in
``lake_assets_tests/outbox``. This folder knows nothing of Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class OutboxError(Exception):
    """Something an outbox could not do; names the output and the remedy."""


class OutboxUnavailable(OutboxError):
    """The output does not answer, is full or may not be written. Nothing is lost: the next sender goes on."""


class OutboxTaken(OutboxError):
    """Another sender is, or became, the only one."""


class OutboxDamaged(OutboxError):
    """The output or its marker is not as a sender left it."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a key stands for from now on.

    Parameters
    ----------
    key, value
        Anything that JSON can say; the keys of one outbox are of one type. The value None: the key is gone.
    """

    key: Any
    value: Any


class Outbox(Protocol):
    """An output, by its address. Nothing is opened or made until it is used."""

    @property
    def address(self) -> str:
        """What names the output, in errors and metadata; never holds credentials."""
        ...

    def delivered(self) -> str | None:
        """Return the last commit delivered; None where none was. Disturbs no sender.

        Raises
        ------
        OutboxError
            It cannot be read within the deadline.
        """
        ...

    def sender(self) -> AbstractContextManager[Sender]:
        """Become the only sender, until the context ends.

        What an earlier one left unfinished is undone first. One that still runs can commit nothing from now on, or is
        waited for.

        Raises
        ------
        OutboxError
            That is not possible within the deadline.
        """
        ...


class Sender(Protocol):
    """The only sender of an outbox. After an error it sends no more: open another."""

    @property
    def delivered(self) -> str | None:
        """The last commit delivered, by this sender or an earlier one; None where none was."""
        ...

    def deliver(self, commit: str, updates: Iterable[Update]) -> int:
        """Send a commit's updates and its marker, in one transaction; return how many updates.

        Parameters
        ----------
        commit
            A published commit, later than the last one delivered.
        updates
            Taken one by one, never collected. Where they raise, nothing is sent.

        Raises
        ------
        OutboxError
            It failed; the next sender's ``delivered`` tells whether the transaction was committed all the same.
        """
        ...
