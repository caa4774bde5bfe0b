"""The Spark session of a benchmark, configured as the Spark resource does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import Connector, connector_conf
from lake_assets.spark.jvm import driver_options
from lake_assets.spark.session import prepare_process, session_conf

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def session(*connectors: Connector, **conf: str) -> SparkSession:
    """Start it, with connectors on its class path, and further settings."""
    from pyspark.sql import SparkSession

    prepare_process()
    builder = SparkSession.builder.master("local[*]")
    folder = SparkSettings.read().jars.expanduser()
    settings = {**session_conf(), **connector_conf(folder, connectors, conf), **conf}
    for key, value in {**settings, **driver_options(folder, settings)}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
