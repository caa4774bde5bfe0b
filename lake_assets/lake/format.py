"""The number of a lake's format: how what is in it is laid out. Whatever opens a lake compares it with its own."""

from __future__ import annotations

from lake_assets.lake.errors import FormatMismatch

FORMAT = 2
"""Of lakes that are made now.

1
    Had no number: folders of assets within those of others, partitions of every zone named in UTC, and all of a stream
    in one folder.
2
    An asset's folder is its own, a partition's spells its key, and a stream's holds its rows alone.
"""

FIRST = 1


def check_format(found: int, repository: str) -> None:
    """Raise :class:`FormatMismatch` where a lake is older or newer than this program."""
    if found > FORMAT:
        reason = f"this lake has format {found}, and this program knows {FORMAT}: install a newer lake_assets"
        raise FormatMismatch(reason, repository=repository)
    if found < FORMAT:
        reason = f"this lake has format {found}, and this program's is {FORMAT}: run `lake-assets migrate`"
        raise FormatMismatch(f"{reason}, which says what it will do", repository=repository)
