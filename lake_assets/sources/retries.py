"""Retries of operations on a source, and their deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import NamedTuple, NoReturn, TypeVar, cast

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

_AHEAD = 4
"""How many chunks are received before the first of them is taken."""


class _Received(NamedTuple):
    chunk: object = None
    error: BaseException | None = None
    ended: bool = False


class Deadline:
    """The time at which an operation must be finished."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left. Negative after the deadline."""
        return self._end - time.monotonic()

    def watch(self, received: Iterable[Result], name: str) -> Iterator[Result]:
        """Yield what another thread receives, until the deadline.

        Time limits of a client begin anew with each byte, or with each address of a host. This one does not, whatever
        the client waits for. At the deadline the thread is left alone: close its connection, and it ends.

        Parameters
        ----------
        received
            What is received. It is read in the other thread alone.
        name
            Name of the source, for the error.

        Raises
        ------
        SourceUnavailable
            The deadline has passed.
        """
        answers: Queue[_Received] = Queue(_AHEAD)
        ended = False

        def receive() -> None:
            try:
                for chunk in received:
                    answers.put(_Received(chunk))
                    if ended:
                        return
                answers.put(_Received(ended=True))
            except BaseException as error:  # noqa: BLE001 -- it is raised where the answer is waited for
                answers.put(_Received(error=error))

        # A daemon, so that a source that never answers does not keep the process from its end.
        Thread(target=receive, name=f"receive {name}", daemon=True).start()
        try:
            while True:
                try:
                    answer = answers.get(timeout=max(self.left, 0))
                except Empty:
                    answer = None
                if answer is None or self.left < 0:
                    raise SourceUnavailable(f"{name}: too slow: not done in {self.seconds:g} s")
                if answer.error is not None:
                    raise answer.error
                if answer.ended:
                    return
                yield cast(Result, answer.chunk)
        finally:
            ended = True
            # So that the other thread does not wait for room.
            with suppress(Empty):
                while True:
                    answers.get_nowait()

    def run(self, operation: Callable[[], Result], name: str) -> Result:
        """Return the result of an operation that another thread runs, as in :meth:`watch`.

        Parameters
        ----------
        operation
            The operation.
        name
            Name of the source, for the error.

        Raises
        ------
        SourceUnavailable
            The deadline has passed.
        """
        return next(self.watch((call() for call in (operation,)), name))


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
