"""The Spark resource on the test run's one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.resources.spark import SparkResource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SharedSpark(SparkResource):
    """Takes the session of the `spark` fixture, which outlives a Dagster run."""

    @property
    def session(self) -> SparkSession:
        """The shared session."""
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        assert session is not None, "the test lacks the `spark` fixture"
        return session
