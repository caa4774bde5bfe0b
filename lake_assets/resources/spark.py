"""The Spark session of a run, on dagster-pyspark's lazy resource."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from dagster import ConfigurableResource, InitResourceContext, ResourceDependency
from pydantic import Field, PrivateAttr

from lake_assets.resources.lake import LakeResource
from lake_assets.spark.session import (
    check_java,
    give_credentials,
    prepare_process,
    read_any_file_name,
    session_conf,
    without_credentials,
)

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource
    from pyspark.sql import SparkSession


class SparkResource(ConfigurableResource["SparkResource"]):
    """The Spark session of a run. It starts when :attr:`session` is first read, and stops with the run.

    Parameters
    ----------
    master
        Any Spark master: ``local[*]``, ``spark://host:7077``, ``yarn``, ``k8s://…``.
    conf
        Further Spark settings. They override the defaults.
    lake
        The lake whose data Spark reads and writes. Spark gets address and credentials from it. Not needed for a lake
        on a local disk.
    kafka
        Whether Spark needs its Kafka connector.
    jars
        Folder of Spark's connectors.
    """

    master: str = Field(default="local[*]", description="Spark master URL")
    conf: dict[str, str] = Field(
        default_factory=dict,
        repr=False,  # may hold credentials
        description="Spark settings, which override the defaults",
    )
    lake: ResourceDependency[LakeResource | None] = None  # pyright: ignore[reportAssignmentType]
    kafka: bool = Field(default=False, description="Whether Spark needs its Kafka connector")
    jars: str = Field(
        default="~/.cache/lake_assets/jars", description="Folder of connectors, which are fetched when first needed"
    )
    _lazy: Optional["LazyPySparkResource"] = PrivateAttr(default=None)

    @property
    def session(self) -> "SparkSession":
        """The session, which is started at first use.

        Raises
        ------
        RuntimeError
            There is no suitable Java.
        """
        if self._lazy is None:
            check_java()
            from dagster_pyspark import LazyPySparkResource

            prepare_process()
            lake_conf = self.lake.spark_conf() if self.lake is not None else {}
            connectors = self._connectors(lake_conf)
            settings = {**session_conf(), **lake_conf, **connectors, "spark.master": self.master, **self.conf}
            settings, credentials = without_credentials(settings)
            lazy = LazyPySparkResource(spark_config=settings)
            read_any_file_name(lazy.spark_session)
            give_credentials(lazy.spark_session, credentials)
            self._lazy = lazy
        return self._lazy.spark_session

    def _connectors(self, lake_conf: Mapping[str, str]) -> dict[str, str]:
        from lake_assets.spark import s3a
        from lake_assets.spark.jars import KAFKA, S3A, class_path

        wanted = [connector for connector, used in ((S3A, s3a.is_needed(lake_conf)), (KAFKA, self.kafka)) if used]
        return class_path(Path(self.jars).expanduser(), wanted)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Stop the session if this resource has started it."""
        if self._lazy is not None:
            self._lazy.spark_session.stop()
            self._lazy = None


def session_of(spark: SparkResource | None) -> "SparkSession":
    """Return the session of an IO manager's Spark resource.

    Parameters
    ----------
    spark
        The Spark resource, or None.

    Raises
    ------
    RuntimeError
        The IO manager has no Spark resource, or there is no suitable Java.
    """
    if spark is None:
        raise RuntimeError(
            "the asset needs Spark, but its IO manager has no Spark resource: add spark=SparkResource(lake=lake)"
        )
    return spark.session
