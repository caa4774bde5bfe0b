"""Dates and times as ISO texts."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Any


def as_time(value: Any) -> dt.datetime | None:
    """Return a date, a time or its ISO text as a time with a zone; None if it is none.

    Parameters
    ----------
    value
        The value. Without a zone it is in UTC. A date counts to its end.
    """
    if isinstance(value, str):
        with suppress(ValueError):
            # Python before 3.11 knows no Z.
            value = (
                dt.date.fromisoformat(value)
                if len(value) == 10
                else dt.datetime.fromisoformat(value.removesuffix("Z") + "+00:00" * value.endswith("Z"))
            )
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time.max)
    if not isinstance(value, dt.datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)
