"""The active session of a thread. A write looks data sources up in it, and the pandas API uses it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def activate(session: SparkSession) -> SparkSession:
    """Make a session the active one of this thread, and return it.

    Parameters
    ----------
    session
        The session.
    """
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is not session:
        session.createDataFrame([], "nothing int")
    return session


@contextmanager
def active_again(session: SparkSession) -> Generator[None]:
    """Let the active session be afterwards what it was: a session becomes active when it makes a frame of rows.

    Parameters
    ----------
    session
        Becomes active if none was.
    """
    from pyspark.sql import SparkSession

    before = SparkSession.getActiveSession() or session
    try:
        yield
    except BaseException:
        # Java may be gone: that would hide the error.
        with suppress(Exception):
            activate(before)
        raise
    activate(before)
