"""Where a source keeps the file of an hour: a pattern with ``{date}`` and ``{hour}``, read both ways."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from lake_assets.sources.contract import SourceError

LAYOUT = "{date}/{date}_BINS_XETR{hour}.csv"
"""The publisher's layout below a base."""

_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_PATTERNS = {"{date}": "[0-9]{4}-[0-9]{2}-[0-9]{2}", "{hour}": "[0-9]{2}"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def partition_hour(hour: datetime) -> datetime:
    """Return the hour in UTC.

    Raises
    ------
    ValueError
        It has no time zone, or is not a whole hour.
    """
    if hour.tzinfo is None:
        raise ValueError(f"{hour.isoformat()} has no time zone: give the hour in UTC")
    hour = hour.astimezone(timezone.utc)
    if hour != hour.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"{hour.isoformat()} is not a whole hour: one file holds one hour")
    return hour


class Template:
    """A pattern that holds ``{date}`` and ``{hour}``, each at least once.

    Parameters
    ----------
    text
        A template, or (no brace in it) a base to which the publisher's layout is added.

    Raises
    ------
    SourceError
        Another placeholder, a single brace, or one of the two is missing.
    """

    def __init__(self, text: str) -> None:
        placeholders = _BRACES.findall(text)
        if not placeholders:
            text = f"{text.rstrip('/')}/{LAYOUT}" if text else LAYOUT
            placeholders = _BRACES.findall(text)
        for placeholder in placeholders:
            if placeholder not in _PATTERNS:
                raise SourceError(
                    f"stocks source: {placeholder!r} is no placeholder; allowed are {{date}} and {{hour}}"
                )
        for required in _PATTERNS:
            if required not in placeholders:
                raise SourceError(f"stocks source: the template lacks {required}; it needs both {{date}} and {{hour}}")
        self.text = text
        self._regex = _regex(text)

    @property
    def prefix(self) -> str:
        """What stands before the first placeholder: every file's path begins with it."""
        return self.text.partition("{")[0]

    def at(self, hour: datetime) -> str:
        """Return the text for that hour."""
        hour = partition_hour(hour)
        return self.text.replace("{date}", hour.date().isoformat()).replace("{hour}", f"{hour.hour:02d}")

    def hour_of(self, text: str) -> datetime | None:
        """Return the hour (aware UTC) whose text this is, or None."""
        match = self._regex.fullmatch(text)
        if match is None or match["hour"] > "23":
            return None
        try:
            return datetime.fromisoformat(f"{match['date']}T{match['hour']}:00:00+00:00")
        except ValueError:
            return None


def file_name(location: str, hour: datetime) -> str:
    """Return the name under which a file is kept: its own, or the publisher's where that is no plain name."""
    name = location.rpartition("/")[2]
    return name if _PLAIN_NAME.fullmatch(name) else Template("").at(hour).rpartition("/")[2]


def component_regex(component: str) -> re.Pattern[str]:
    """Return what one folder or file name of a template can look like."""
    return _regex(component)


def _regex(text: str) -> re.Pattern[str]:
    pattern, seen = "", set[str]()
    for part in re.split(r"(\{date\}|\{hour\})", text):
        if part not in _PATTERNS:
            pattern += re.escape(part)
        elif part in seen:
            pattern += f"(?P={part[1:-1]})"
        else:
            seen.add(part)
            pattern += f"(?P<{part[1:-1]}>{_PATTERNS[part]})"
    return re.compile(pattern)
