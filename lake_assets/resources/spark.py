"""The Spark session of a run, on dagster-pyspark's lazy resource."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from dagster import ConfigurableResource, InitResourceContext, ResourceDependency
from pydantic import Field, PrivateAttr

from lake_assets.resources.lake import LakeResource
from lake_assets.spark import s3a
from lake_assets.spark.active import activate
from lake_assets.spark.conf_lines import parse_conf
from lake_assets.spark.errors import log_errors_once
from lake_assets.spark.jars import KAFKA, POSTGRESQL, S3A, Connector, connector_conf, jars
from lake_assets.spark.jvm import driver_options, make_archive
from lake_assets.spark.session import (
    check_java,
    give_credentials,
    prepare_process,
    read_any_file_name,
    session_conf,
    without_credentials,
)
from lake_assets.spark.stopping import stop
from lake_assets.spark.warm import prepare_jvm

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
    conf_lines
        Further Spark settings, which override those of ``conf``: lines ``key=value``, or the path of a file with such
        lines. As an ``EnvVar``, they are not shown on Dagster's page.
    lake
        The lake whose data Spark reads and writes. Spark gets address and credentials from it. Not needed for a lake
        on a local disk.
    kafka, s3, postgresql
        Whether Spark needs its connector of Kafka; that of S3, which a lake on lakeFS needs in any case; the driver of
        PostgreSQL.
    jars
        Folder of Spark's connectors.
    """

    master: str = Field(default="local[*]", description="Spark master URL")
    conf: dict[str, str] = Field(
        default_factory=dict,
        repr=False,  # may hold credentials
        description="Spark settings, which override the defaults",
    )
    conf_lines: str = Field(
        default="", repr=False, description="Lines key=value, or a file of them, which override conf"
    )
    lake: ResourceDependency[LakeResource | None] = None  # pyright: ignore[reportAssignmentType]
    kafka: bool = Field(default=False, description="Whether Spark needs its Kafka connector")
    s3: bool = Field(default=False, description="Whether Spark needs its S3 connector; with lakeFS it has it anyway")
    postgresql: bool = Field(default=False, description="Whether Spark needs the driver of PostgreSQL")
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

            settings, credentials = without_credentials(self._settings())
            prepare_process(settings)
            prepare_jvm(settings)
            lazy = LazyPySparkResource(spark_config=settings)
            log_errors_once()
            read_any_file_name(lazy.spark_session)
            give_credentials(lazy.spark_session, credentials)
            self._lazy = lazy
        # A frame of pandas on Spark has made another session the active one.
        return activate(self._lazy.spark_session)

    def prepare(self) -> list[Path]:
        """Fetch the connectors, and make the archive of classes that halves the time of a cold start.

        A session fetches missing connectors by itself, and starts without an archive if there is none.

        Returns
        -------
        list[Path]
            The connectors' folders, and the archive.

        Raises
        ------
        RuntimeError
            There is no suitable Java.
        JarsUnavailable
            The connectors cannot be fetched.
        ArchiveFailed
            The archive cannot be made.
        """
        check_java()
        folder = Path(self.jars).expanduser()
        lake_conf = self.lake.spark_conf() if self.lake is not None else {}
        return [*(jars(folder, connector) for connector in self._connectors(lake_conf)), make_archive(folder)]

    def _settings(self) -> dict[str, str]:
        lake_conf = self.lake.spark_conf() if self.lake is not None else {}
        chosen = {"spark.master": self.master, **self.conf, **parse_conf(self.conf_lines)}
        settings = {**session_conf(chosen["spark.master"]), **lake_conf, **chosen}
        folder = Path(self.jars).expanduser()
        connectors = connector_conf(folder, self._connectors(lake_conf), settings)
        return {**settings, **connectors, **driver_options(folder, settings)}

    def _connectors(self, lake_conf: Mapping[str, str]) -> list[Connector]:
        wanted = ((S3A, self.s3 or s3a.is_needed(lake_conf)), (KAFKA, self.kafka), (POSTGRESQL, self.postgresql))
        return [connector for connector, used in wanted if used]

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Stop the session if this resource has started it."""
        if self._lazy is not None:
            stop(self._lazy.spark_session)
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
