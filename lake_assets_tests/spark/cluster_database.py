"""Publishes a table of a database, which workers of a cluster read, or this process: started by the tests.

What it is asked for comes as JSON on stdin. What is published goes as JSON to stdout.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from types import SimpleNamespace
from typing import Any

from dagster import materialize

from lake_assets import EmbeddedLake, IncrementalIOManager, LakeFS, published_asset, table_from_database
from lake_assets.databases import spark_jdbc
from lake_assets.lake.contract import MAIN
from lake_assets.layout.manifest import read_manifest
from lake_assets.resources.spark import SparkResource
from lake_assets_tests.databases.statements import execute


def main(asked: dict[str, Any]) -> None:
    """Materialize it."""
    far = "master" in asked
    lake = LakeFS(**asked["lake"]) if far else EmbeddedLake(**asked["lake"])
    resources: dict[str, Any] = {"lake": lake, "incremental_io_manager": IncrementalIOManager(lake=lake)}
    if far:
        resources["spark"] = SparkResource(master=asked["master"], conf_lines=asked["conf"], lake=lake, postgresql=True)
        change_after_the_state_is_named(asked["url"], asked["meanwhile"])
    table = table_from_database(
        "rows", url=asked["url"], table=asked["table"], key="id", partition_column="id", spark=far, group_name="g"
    )
    result = materialize([table, published_asset("g", [table])], resources=resources, raise_on_error=False)
    with closing(lake.open()) as opened:
        manifest = read_manifest(opened.path(MAIN, "rows")) if result.success else None
    print(json.dumps([manifest.rows, manifest.data_version] if manifest is not None else None))


def change_after_the_state_is_named(url: str, statement: str) -> None:
    """Let a table change between the driver's first look and the workers' reading."""
    original = spark_jdbc.jdbc_frame

    def changed(*arguments: Any) -> Any:
        frame = original(*arguments)
        execute(SimpleNamespace(url=url), statement)
        return frame

    spark_jdbc.jdbc_frame = changed


if __name__ == "__main__":
    main(json.loads(sys.stdin.read()))
