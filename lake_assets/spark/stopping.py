"""Stopping a session, without waiting for what pyspark waits for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def stop(session: SparkSession) -> None:
    """Stop a session and its application.

    The thread that takes Python's accumulators looks only once a second whether it is to end, and pyspark waits for
    that, for half a second a run. Here it ends later, by itself: no worker is left that could send it anything.

    Parameters
    ----------
    session
        The session.
    """
    # Spark has no public API for its server of accumulators.
    context: Any = session.sparkContext
    accumulators = getattr(context, "_accumulatorServer", None)
    context._accumulatorServer = None
    try:
        session.stop()
    finally:
        if accumulators is not None:
            threading.Thread(target=accumulators.shutdown, name="accumulators-end", daemon=True).start()
