"""Times that other programs set: of commits, files and headers."""

from __future__ import annotations

from datetime import datetime, timezone

_FIRST, _LAST = (moment.replace(tzinfo=timezone.utc) for moment in (datetime.min, datetime.max))


def utc(seconds: float) -> datetime:
    """Return a time in UTC. Beyond the years 1 to 9999, it is the nearest one that Python has.

    Git and file systems hold any number, and one wrong clock must not hide what else there is.

    Parameters
    ----------
    seconds
        Seconds since 1970.
    """
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return _FIRST if seconds < 0 else _LAST
