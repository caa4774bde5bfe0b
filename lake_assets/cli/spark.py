"""The command `prepare-spark`."""

from __future__ import annotations

from lake_assets import environments


def prepare_spark() -> None:
    """Fetch Spark's connectors and make its archive of classes, once for a machine or an image.

    With the archive Spark starts in about half the time. Both are kept in SPARK_JARS.
    """
    # The lake is not opened: Spark's settings of lakeFS need no server.
    for path in environments.spark_resource(environments.lake_resource()).prepare():
        print(path)
