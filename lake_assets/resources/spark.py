"""The Spark session of a run: one, lazy, on dagster-pyspark's lazy resource."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource
    from pyspark.sql import SparkSession


def session_conf() -> dict[str, str]:
    """Return the settings every session of ours has, whatever its master."""
    return {
        "spark.ui.enabled": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        # Loopback unless configured: nothing on this machine listens on an outer address.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": "8",
        "spark.log.level": "ERROR",
    }


class SparkResource(ConfigurableResource["SparkResource"]):
    """One lazy Spark session a run: nothing starts before :attr:`session` is read, and it stops with the run.

    Parameters
    ----------
    master
        Any Spark master: ``local[*]``, ``spark://host:7077``, ``yarn``, ``k8s://…``.
    conf
        Further Spark settings; they win over ours.
    """

    master: str = Field(default="local[*]", description="Spark master URL")
    conf: dict[str, str] = Field(
        default_factory=dict, description="Spark settings, winning over the defaults"
    )
    _lazy: LazyPySparkResource | None = PrivateAttr(default=None)

    @property
    def session(self) -> SparkSession:
        """The session, started at first use.

        Raises
        ------
        RuntimeError
            There is no Java to run it on.
        """
        if self._lazy is None:
            from dagster_pyspark import LazyPySparkResource

            # Workers would otherwise run the system's Python.
            os.environ["PYSPARK_PYTHON"] = sys.executable
            os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
            self._lazy = LazyPySparkResource(
                spark_config={**session_conf(), "spark.master": self.master, **self.conf}
            )
        return self._lazy.spark_session

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Stop the session, if one was started here."""
        if self._lazy is not None:
            self._lazy.spark_session.stop()
            self._lazy = None
