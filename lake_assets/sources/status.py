"""One table from an HTTP status to what it means for a fetch; S3 answers with the same statuses."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from lake_assets.sources.contract import SourceError, SourceFileMissing, SourceUnavailable

_COME_BACK_LATER = {408, 425, 429}


def error_for(status: int, url: str, retry_after: str | None = None) -> SourceError:
    """Return the error for an answer that is not the file."""
    if status in (404, 410):
        return SourceFileMissing(f"{url}: there is no such file (status {status})")
    if status in (401, 403):
        return SourceError(f"{url}: refused (status {status}); check the credentials and their permissions")
    if status in _COME_BACK_LATER or status >= 500:
        return SourceUnavailable(f"{url}: not available (status {status})", seconds_to_wait(retry_after))
    return SourceError(f"{url}: unexpected answer (status {status}); check the address")


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Read a ``Retry-After`` header: seconds or an HTTP date; None where it is neither."""
    text = (retry_after or "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    moment = http_date(text)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()) if moment else None


def http_date(text: str | None) -> datetime | None:
    """Read an HTTP date as aware UTC time; None where it is not one."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)
