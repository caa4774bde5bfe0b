"""How an update is spelled: the JSON of a line or of a topic's record, and the key of that record."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from lake_assets.outbox.contract import Update

_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Fields:
    """The names that an update's key and value have in its record, such as ``{"word":"dog","count":2}``.

    Parameters
    ----------
    key, value
        The names.
    """

    key: str = "key"
    value: str = "value"

    def __post_init__(self) -> None:
        if self.key == self.value:
            raise ValueError(f"an update's key and its value are both called {self.key!r}: give them two names")

    def encode(self, update: Update) -> bytes:
        """Return an update as JSON; the value of a key that is gone is null.

        Raises
        ------
        TypeError
            JSON has no such type.
        ValueError
            The value is NaN or infinite: JSON would say that the key is gone.
        """
        if isinstance(update.value, float) and not isfinite(update.value):
            raise ValueError(f"the value of {update.key!r} is {update.value}, which JSON cannot say: send it as text")
        return _encode({self.key: update.key, self.value: update.value})

    def decode(self, record: bytes) -> Update:
        """Return the update that JSON spells."""
        fields = msgspec.json.decode(record)
        return Update(fields[self.key], fields[self.value])


DEFAULT_FIELDS = Fields()


def key_bytes(key: Any) -> bytes:
    """Return a key as a topic's record has it: text as it is, anything else as JSON, equal keys as equal bytes."""
    return key.encode() if isinstance(key, str) else _encode(key, order="deterministic")
