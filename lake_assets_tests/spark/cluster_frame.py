"""Stores a Spark frame as a table in DynamoDB, which the workers of a cluster write: started by the tests.

What it is asked for comes as JSON on stdin. What the table tells of the write goes as JSON to stdout.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dagster import asset, materialize

from lake_assets.io_managers.nosql import NoSQLIOManager
from lake_assets.resources.nosql import DynamoDBNoSQL
from lake_assets.resources.spark import SparkResource

COLUMNS = ["concat('key ', id) as k", "id as n", "cast(id / 4 as decimal(12, 2)) as money", "array(id) as list"]


def main(asked: dict[str, Any]) -> None:
    """Materialize it twice: a new table, and other rows in their place."""
    spark = SparkResource(master=asked["master"], conf_lines=asked["conf"])
    nosql = DynamoDBNoSQL(prefix=asked["prefix"], endpoint_url=asked["endpoint"])

    @asset(io_manager_key="io_manager", metadata={"nosql/key": "k", "nosql/mode": "overwrite"})
    def numbers() -> Any:
        return spark.session.range(*asked["rows"], numPartitions=4).selectExpr(*COLUMNS)

    manager = NoSQLIOManager(nosql=nosql, spark=spark)
    result = materialize([numbers], resources={"io_manager": manager}, raise_on_error=False)
    (written,) = result.asset_materializations_for_node("numbers") if result.success else [None]
    found = written.metadata if written is not None else {}
    print(json.dumps({name: value.value for name, value in found.items() if name in ("put", "deleted")}))


if __name__ == "__main__":
    main(json.loads(sys.stdin.read()))
