"""Which messages of a queue a run has read: a file beside the ticks, in the same commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.lake.contract import Lake
from lake_assets.lake.names import beside
from lake_assets.messages.contract import Message
from lake_assets.series.days import read_file

if TYPE_CHECKING:
    import pyarrow

READ = "read/last"
"""The file, below the folder beside the ticks."""
_SCHEMA = pa.schema([("offset", pa.string())])


def read_table(messages: Sequence[Message]) -> pyarrow.Table:
    """Return the identities of the messages that a run has read, as often as each came.

    Parameters
    ----------
    messages
        The messages.
    """
    return pa.table({"offset": [message.offset for message in messages]}, _SCHEMA)


def read_messages(lake: Lake, ref: str, prefix: str) -> Counter[str]:
    """Return how often each message came in the last run that a ref holds.

    Parameters
    ----------
    lake, ref, prefix
        Where the ticks are.
    """
    found = read_file(lake, ref, f"{beside(prefix)}/{READ}.parquet", _SCHEMA)
    return Counter(found.column("offset").to_pylist())
