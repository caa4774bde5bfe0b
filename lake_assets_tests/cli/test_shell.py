"""`shell`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lake_assets.lake.contract import Commit
from lake_assets.nosql.contract import NoSQLStore

PROGRAM = str(Path(sys.executable).with_name("lake-assets"))


def test_the_lake_and_the_tables_are_there_and_spark_is_not_started(head: Commit, store: NoSQLStore) -> None:
    lines = [
        "print(lake.head('main').id)",
        "print(tables.get('bars', ('DE1', 480))['N'])",
        "print(spark)",
        "import sys; print('pyspark' in sys.modules)",
    ]
    done = subprocess.run([PROGRAM, "shell"], input="\n".join(lines), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.replace(">>> ", "").split("\n")
    assert shown[:4] == [head.id, "7", "<a Spark session that starts when it is first used>", "False"]
    assert f"main at {head.id[:12]}" in done.stderr
    assert "tables  bars, latest" in done.stderr
