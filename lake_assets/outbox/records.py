"""The encoding of updates: the JSON of a line or of a topic's record, and the record's key."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from lake_assets.outbox.contract import Update

_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Fields:
    """The field names of key and value in a record, such as in ``{"word":"dog","count":2}``.

    Parameters
    ----------
    key, value
        The field names.
    """

    key: str = "key"
    value: str = "value"

    def __post_init__(self) -> None:
        if self.key == self.value:
            raise ValueError(f"an update's key and its value are both called {self.key!r}: give them two names")

    def encode(self, update: Update) -> bytes:
        """Encode an update as JSON. The value of a removed key is null.

        Parameters
        ----------
        update
            The update.

        Raises
        ------
        TypeError
            Key or value has a type that JSON does not support.
        ValueError
            The value is NaN or infinite, which JSON would encode as null.
        """
        if isinstance(update.value, float) and not isfinite(update.value):
            raise ValueError(
                f"the value of {update.key!r} is {update.value}, which JSON does not have: send it as text"
            )
        return _encode({self.key: update.key, self.value: update.value})

    def decode(self, record: bytes) -> Update:
        """Decode an update from JSON.

        Parameters
        ----------
        record
            The JSON of a line or record.
        """
        fields = msgspec.json.decode(record)
        return Update(fields[self.key], fields[self.value])


DEFAULT_FIELDS = Fields()


def key_bytes(key: Any) -> bytes:
    """Encode the key of a topic's record: text as UTF-8, anything else as JSON. Equal keys give equal bytes."""
    return key.encode() if isinstance(key, str) else _encode(key, order="deterministic")
