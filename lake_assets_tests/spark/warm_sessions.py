"""A process that runs one session after another in a JVM that is kept: ``python -m …warm_sessions FOLDER``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lake_assets.resources.spark import SparkResource
from lake_assets.spark import warm

SMALL = {"spark.driver.memory": "600m"}


def main(folder: Path) -> None:
    warm.keep()
    said: dict[str, Any] = {}

    first = _session(**{"spark.sql.caseSensitive": "true", "spark.hadoop.fs.leaks": "yes", "spark.leaks": "yes"})
    jvm: Any = first._jvm
    said["first jvm"] = _pid(jvm)
    first.range(3).createGlobalTempView("left")
    first.range(3).createOrReplaceTempView("left")
    first.udf.register("left_function", lambda: 1)
    first.conf.set("spark.sql.shuffle.partitions", "77")
    jvm.java.lang.System.setProperty("spark.sql.session.timeZone", "Asia/Tokyo")
    # What the JVM says goes where this process's stderr goes at the moment, as in a step.
    usual = os.dup(2)
    with (folder / "captured").open("wb") as captured:
        os.dup2(captured.fileno(), 2)
        jvm.java.lang.System.err.println("said by the JVM")
        said["captured"] = _wait_for(folder / "captured")
        os.dup2(usual, 2)
    # Its user forgot to stop it.
    said["clean"] = warm.clean_jvm()

    second = _session()
    said["second jvm"] = _pid(second._jvm)
    names = ("spark.sql.caseSensitive", "spark.leaks", "spark.sql.shuffle.partitions", "spark.sql.session.timeZone")
    values = second.conf.getAll
    said["settings"] = {name: values.get(name) for name in names}
    configuration: Any = second._jsc
    said["hadoop"] = configuration.hadoopConfiguration().get("fs.leaks")
    said["tables"] = [table.name for table in second.catalog.listTables()]
    said["views"] = [table.name for table in second.catalog.listTables("global_temp")]
    said["function"] = second.catalog.functionExists("left_function")
    second.stop()

    bigger = _session(**{"spark.driver.memory": "700m"})
    said["third jvm"] = _pid(bigger._jvm)
    said["counted"] = bigger.range(5).count()
    bigger.stop()
    warm.end_jvm()
    said["alive"] = warm.is_alive()
    (folder / "said.json").write_text(json.dumps(said))


def _session(**conf: str) -> Any:
    return SparkResource(master="local[1]", conf={**SMALL, **conf}).session


def _pid(jvm: Any) -> int:
    return jvm.java.lang.ProcessHandle.current().pid()


def _wait_for(path: Path) -> str:
    import time

    deadline = time.monotonic() + 30
    while not path.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text().strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
