"""A session is stopped without waiting for Python's server of accumulators."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from lake_assets.spark.stopping import stop


class Accumulators:
    """A server whose thread has not noticed yet that it is to end."""

    def __init__(self) -> None:
        self.noticed = Event()
        self.ended = Event()

    def shutdown(self) -> None:
        assert self.noticed.wait(60)
        self.ended.set()


class Session:
    def __init__(self, accumulators: Accumulators, error: Exception | None = None) -> None:
        self.sparkContext: Any = SimpleNamespace(_accumulatorServer=accumulators)
        self.error = error

    def stop(self) -> None:
        # pyspark waits for the server, if the context still has it.
        assert self.sparkContext._accumulatorServer is None
        if self.error is not None:
            raise self.error


def test_it_ends_later_by_itself() -> None:
    accumulators = Accumulators()
    session: Any = Session(accumulators)
    stop(session)
    assert not accumulators.ended.is_set()
    accumulators.noticed.set()
    assert accumulators.ended.wait(60)


def test_it_ends_also_if_the_session_does_not() -> None:
    accumulators = Accumulators()
    accumulators.noticed.set()
    session: Any = Session(accumulators, OSError("the JVM is gone"))
    with pytest.raises(OSError, match="gone"):
        stop(session)
    assert accumulators.ended.wait(60)
