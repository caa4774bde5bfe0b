"""Times of queries: `now-1h`, ISO 8601, or milliseconds since 1970; and durations such as `5m`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)")
_NOW = re.compile(r"now(?:\s*([+-])\s*(\w+))?")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time of a text, in UTC.

    Parameters
    ----------
    text
        ``now``, ``now-1h``, a date or time in ISO 8601 (in UTC, unless it names a zone), or milliseconds since 1970.
    now
        The current time.

    Raises
    ------
    ValueError
        It is none of these.
    """
    text = text.strip()
    try:
        if found := _NOW.fullmatch(text):
            offset = parse_duration(found[2]) if found[1] else timedelta(0)
            return now - offset if found[1] == "-" else now + offset
        if text.isdecimal() and len(text) > 8:
            return datetime.fromtimestamp(int(text) / 1000, timezone.utc)
        return in_utc(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is no time: write now-1h, 2017-07-28T08:00, or milliseconds since 1970") from None


def in_utc(moment: datetime) -> datetime:
    """Return a time in UTC. Without a zone, it is in UTC already.

    Parameters
    ----------
    moment
        The time.
    """
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text, such as ``90s``, ``5m``, ``1h`` or ``7d``.

    Parameters
    ----------
    text
        A whole number with its unit.

    Raises
    ------
    ValueError
        It is no duration, is zero or too long.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise ValueError(f"{text!r} is no duration: write a number with ms, s, m, h, d or w, such as 5m")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None
