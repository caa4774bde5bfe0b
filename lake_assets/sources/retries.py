"""Retries and timeouts of operations on a source."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random_exponential,
)

from lake_assets.sources.contract import SourceUnavailable, TruncatedDownload

Result = TypeVar("Result")


class Deadline:
    """The time at which an operation must be finished."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left. Negative after the deadline."""
        return self._end - time.monotonic()

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield chunks until the deadline, so that a slow source cannot block for ever.

        Parameters
        ----------
        chunks
            The chunks.

        Raises
        ------
        SourceUnavailable
            The deadline has passed.
        """
        for chunk in chunks:
            if self.left < 0:
                raise SourceUnavailable(f"the source is too slow: not done in {self.seconds:g} s")
            yield chunk


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Limits of an operation on a source. All times are in seconds.

    Parameters
    ----------
    tries
        Maximal number of tries.
    first_wait, longest_wait
        The wait after try n is random, up to ``first_wait * 2 ** (n - 1)`` and at most ``longest_wait``. It is longer
        if the source asks for it.
    deadline
        Time limit of the whole operation with all tries.
    connect_timeout, read_timeout
        Time limits of one connection attempt, and between two reads.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0
    deadline: float = 1800.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0

    def keep_trying(self, attempt: Callable[[Deadline], Result]) -> Result:
        """Call a function until it succeeds, fails with another error, or a limit is reached.

        Parameters
        ----------
        attempt
            Called with the deadline of the whole operation.

        Raises
        ------
        SourceUnavailable, TruncatedDownload
            The error of the last try, with the number of tries. Other errors are raised at once.
        """
        deadline = Deadline(self.deadline)
        retrying = Retrying(
            retry=retry_if_exception_type((SourceUnavailable, TruncatedDownload)),
            wait=self._wait,
            stop=stop_any(stop_after_attempt(self.tries), stop_before_delay(self.deadline)),
            retry_error_callback=_give_up,
        )
        return retrying(attempt, deadline)

    def _wait(self, state: RetryCallState) -> float:
        # Full jitter, so that readers that failed at the same time do not retry at the same time.
        wait = wait_random_exponential(self.first_wait, self.longest_wait)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_after if isinstance(error, SourceUnavailable) else None
        return max(wait, asked or 0)


def _give_up(state: RetryCallState) -> NoReturn:
    """Raise the error of the last try, with the number of tries."""
    error = state.outcome.exception() if state.outcome is not None else None
    assert error is not None
    tries = "1 try" if state.attempt_number == 1 else f"{state.attempt_number} tries"
    error.args = (f"{error} (gave up after {tries} in {state.seconds_since_start or 0:.1f} s)", *error.args[1:])
    raise error
