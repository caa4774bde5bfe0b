"""The session of the pandas API on Spark, which follows pandas and not ANSI SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from lake_assets.spark.active import activate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_own: WeakKeyDictionary[SparkSession, SparkSession] = WeakKeyDictionary()


def pandas_session(session: SparkSession) -> SparkSession:
    """Return the session for frames of pandas on Spark, and make it the active one of this thread.

    It shares the cluster of ``session``. In it alone, ANSI mode is off: Spark 4.0 refuses these frames otherwise. Rows
    are numbered where they are, which takes no job (the default index ``distributed``).

    Parameters
    ----------
    session
        The session of a run.
    """
    import pyspark.pandas as ps

    if session not in _own:
        own = session.newSession()
        own.conf.set("spark.sql.ansi.enabled", "false")
        own.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
        _own[session] = own
        activate(own)
        ps.set_option("compute.default_index_type", "distributed")
    return activate(_own[session])
