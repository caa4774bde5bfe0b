"""Translating HTTP statuses, which S3 uses, too, to errors of a source."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from lake_assets.sources.contract import SourceError, SourceFileMissing, SourceUnavailable

_COME_BACK_LATER = {408, 425, 429}


def error_for(status: int, url: str, retry_after: str | None = None) -> SourceError:
    """Return the error for a status.

    Parameters
    ----------
    status
        The HTTP status.
    url
        The file, for the message.
    retry_after
        The header ``Retry-After``.
    """
    if status in (404, 410):
        return SourceFileMissing(f"{url}: there is no such file (status {status})")
    if status in (401, 403):
        return SourceError(f"{url}: refused (status {status}); check the credentials and their permissions", status)
    if status in _COME_BACK_LATER or status >= 500:
        return SourceUnavailable(f"{url}: not available (status {status})", seconds_to_wait(retry_after), status)
    return SourceError(f"{url}: unexpected answer (status {status}); check the address", status)


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Parse a ``Retry-After`` header, which is a number of seconds or an HTTP date. None if it is neither."""
    text = (retry_after or "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    moment = http_date(text)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()) if moment else None


def http_date(text: str | None) -> datetime | None:
    """Parse an HTTP date as a time in UTC. None if it is not a date."""
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    except (ValueError, TypeError, OverflowError):
        return None
