"""The Spark session of a run: one, lazy, on dagster-pyspark's lazy resource."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

from lake_assets.spark.session import check_java, prepare_process, read_any_file_name, session_conf

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource
    from pyspark.sql import SparkSession


class SparkResource(ConfigurableResource["SparkResource"]):
    """One lazy Spark session a run: nothing starts before :attr:`session` is read, and it stops with the run.

    Parameters
    ----------
    master
        Any Spark master: ``local[*]``, ``spark://host:7077``, ``yarn``, ``k8s://…``.
    conf
        Further Spark settings; they win over ours.
    s3a_bucket, s3a_endpoint
        The S3-compatible store that the lake's data are in, where they are not on disk; see :mod:`.s3a`.
    kafka
        Whether streams of Kafka are read or written.
    jars
        Where connectors are kept.
    """

    master: str = Field(default="local[*]", description="Spark master URL")
    conf: dict[str, str] = Field(default_factory=dict, description="Spark settings, winning over the defaults")
    s3a_bucket: str = Field(default="", description="Bucket that Spark reads and writes through S3A; none if empty")
    s3a_endpoint: str = Field(default="", description="Address of that bucket's gateway")
    kafka: bool = Field(default=False, description="Whether Spark is to have its Kafka connector")
    jars: str = Field(default="", description="Folder where connectors are kept, fetched when first needed")
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
            check_java()
            from dagster_pyspark import LazyPySparkResource

            prepare_process()
            settings = {**session_conf(), **self._connectors(), "spark.master": self.master, **self.conf}
            lazy = LazyPySparkResource(spark_config=settings)
            read_any_file_name(lazy.spark_session)
            self._lazy = lazy
        return self._lazy.spark_session

    def _connectors(self) -> dict[str, str]:
        from lake_assets.spark.jars import KAFKA, S3A, class_path
        from lake_assets.spark.s3a import s3a_conf

        wanted = [connector for connector, is_used in ((S3A, self.s3a_bucket), (KAFKA, self.kafka)) if is_used]
        settings = s3a_conf(self.s3a_bucket, self.s3a_endpoint) if self.s3a_bucket else {}
        return settings | class_path(Path(self.jars).expanduser(), wanted)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Stop the session, if one was started here."""
        if self._lazy is not None:
            self._lazy.spark_session.stop()
            self._lazy = None
