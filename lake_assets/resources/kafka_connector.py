"""Spark on Kafka: the connector's place on Spark's class path."""

from __future__ import annotations

from pathlib import Path

from lake_assets.resources.spark_jars import KAFKA, jars


def kafka_classpath(folder: Path) -> str:
    """Return the entry of Spark's class path that holds the Kafka connector; the first call fetches it.

    Parameters
    ----------
    folder
        Where connectors are kept.

    Raises
    ------
    JarsUnavailable
        The connector cannot be fetched.
    """
    return f"{jars(folder, KAFKA)}/*"
