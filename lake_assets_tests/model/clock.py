"""The model's own time: how a sequence ends must not depend on how fast the machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

from lake_assets.lake.embedded import commits

_BEHIND = 200
"""Seconds: commits of now and of a sequence's end are both in the past, and not long before their runs."""


class Clock:
    """A second passes each time that it is asked.

    The same write twice in one second is one commit of Git's, and of several merge bases Git takes one by their dates.
    """

    def __init__(self) -> None:
        self._seconds = count(int(time.time()) - _BEHIND)

    def time(self) -> int:
        return next(self._seconds)

    @contextmanager
    def dates_commits(self) -> Iterator[None]:
        """Let the embedded lake date its commits so."""
        with patch.object(commits, "time", self):
            yield
