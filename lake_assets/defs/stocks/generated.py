"""A source of generated stock files. It is the default, so that everything runs without a real source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from lake_assets.defs.stocks.generator import TRADING_HOURS, generate, is_trading, version_of
from lake_assets.defs.stocks.naming import HOURLY_FILES
from lake_assets.sources.contract import FetchedFile, SourceError, SourceFile
from lake_assets.sources.saving import save_stream
from lake_assets.sources.template import Template

_LONGEST_WINDOW = timedelta(days=366)


class GeneratedSource:
    """The generator as a source. It has a file for every hour. Without trading the file has only a header.

    Its files are infinite, so :meth:`files` yields nothing, unless there is a window of days:
    ``generated:2017-07-24..2017-07-28`` lists the trading hours from the first to the last of these days.

    Parameters
    ----------
    window
        ``first..last`` (ISO dates, at most 366 days), one date, or nothing.
    rows
        Number of rows of a trading hour.
    """

    def __init__(self, window: str, rows: int) -> None:
        self._days = _days(window) if window else ()
        self._window = window
        self._rows = rows
        self._template = Template("", HOURLY_FILES)

    def url(self, key: datetime) -> str:
        """Return a name that contains everything the file depends on."""
        return f"generated:{self._template.at(key)}?rows={self._rows}"

    def describe(self) -> str:
        """Return the source's specification."""
        return f"generated:{self._window}" if self._window else "generated"

    def fetch(self, key: datetime, into: Path) -> FetchedFile:
        """Generate the file."""
        return save_stream(
            generate(key, self._rows),
            into,
            self._template.file_name(self._template.at(key), key),
            url=self.url(key),
            etag=version_of(key, self._rows),
            expected=None,
        )

    def head(self, key: datetime) -> SourceFile:
        """Return the file's version. Its size is not known before it is generated."""
        return SourceFile(self.url(key), None, version_of(key, self._rows), None)

    def files(self, passed_over: Callable[[str], object] = str) -> Iterator[tuple[datetime, SourceFile]]:
        """Yield the trading hours of the window. Without a window, yield nothing."""
        for day in self._days:
            for number in TRADING_HOURS:
                hour = datetime(day.year, day.month, day.day, number, tzinfo=timezone.utc)
                if is_trading(hour):
                    yield hour, self.head(hour)


def _days(window: str) -> tuple[date, ...]:
    start, dots, end = window.partition("..")
    try:
        first, last = date.fromisoformat(start), date.fromisoformat(end if dots else start)
    except ValueError:
        first, last = date.max, date.min
    if not timedelta(0) <= last - first <= _LONGEST_WINDOW:
        raise SourceError(
            f"stocks source: {window!r} is not a range of days; write generated:2017-07-24..2017-07-28 "
            f"(at most {_LONGEST_WINDOW.days} days)"
        )
    return tuple(first + timedelta(days=day) for day in range((last - first).days + 1))
