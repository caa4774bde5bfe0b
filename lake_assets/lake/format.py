"""The version number of a lake's layout. A program that opens a lake compares it with the version it supports."""

from __future__ import annotations

from lake_assets.lake.errors import FormatMismatch

FORMAT = 2
"""The format of new lakes.

1
    Had no number. An asset's folder could lie in another asset's folder, partitions of all time zones were named in
    UTC, and a stream's rows and state shared one folder.
2
    No asset's folder lies in another's, a partition's folder spells its key, and a stream's folder holds only rows.
"""

FIRST = 1


def check_format(found: int, repository: str) -> None:
    """Raise :class:`FormatMismatch` if a lake's format is not the one that this program supports.

    Parameters
    ----------
    found
        The lake's format.
    repository
        Name of the lake, for errors.
    """
    if found > FORMAT:
        reason = f"this lake has format {found}, and this program knows {FORMAT}: install a newer lake_assets"
        raise FormatMismatch(reason, repository=repository)
    if found < FORMAT:
        reason = f"this lake has format {found}, and this program's is {FORMAT}: run `lake-assets migrate`"
        raise FormatMismatch(f"{reason}, which first shows what it will do", repository=repository)
