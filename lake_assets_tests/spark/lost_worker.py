"""A streaming query whose worker is lost after a task of it has succeeded: started by the tests.

``python -m lake_assets_tests.spark.lost_worker FOLDER`` prints what the query has counted and observed, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.spark.session import prepare_process, session_conf
from lake_assets.streaming.checkpoint_files import CheckpointFiles
from lake_assets.streaming.microbatches import consume

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame


def main(folder: Path) -> None:
    """Run the query over four lines. The worker with the first task is killed when that has ended."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as sf

    prepare_process()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local-cluster[2,1,512]").config("spark.executor.memory", "512m")
    for name, value in (session_conf() | {"spark.sql.shuffle.partitions": "2"}).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    source, mark, told = folder / "source", folder / "first", folder / "told"
    source.mkdir()
    (source / "lines.txt").write_text("a b\nc d\ne f\ng h\n")

    def lose(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        import psutil
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        yield from batches
        if context.partitionId() == 0 and not mark.exists():
            executor = next(parent for parent in psutil.Process().parents() if parent.name() == "java")
            mark.with_suffix(".new").write_text(str(executor.pid))
            mark.with_suffix(".new").rename(mark)
        killed = mark.with_suffix(".killed")
        if context.partitionId() == 1 and not killed.exists():
            killed.touch()
            while not told.exists():
                time.sleep(0.1)
            os.kill(int(mark.read_text()), signal.SIGKILL)

    def tell() -> None:
        """Tell the second task when the driver knows of the end of the first."""
        tracker = session.sparkContext.statusTracker()
        while not told.exists():
            stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
            if mark.exists() and any(stage.numCompletedTasks for stage in stages):
                told.touch()
            time.sleep(0.1)

    threading.Thread(target=tell, daemon=True).start()
    lines = session.readStream.text(f"file://{source}").repartition(2).mapInArrow(lose, "value string")
    observed = lines.observe("lines", sf.count(sf.lit(1)).alias("lines"))
    words = observed.select(sf.explode(sf.split("value", " ")).alias("word")).groupBy("word").count()
    found: dict[str, int] = {}

    def keep(rows: DataFrame, number: int) -> None:
        del number
        found.update({row["word"]: row["count"] for row in rows.collect()})

    consumed = consume(words, CheckpointFiles.local(folder / "checkpoint"), keep, -1)
    print(json.dumps({"words": sum(found.values()), "lines": consumed.observed["lines"], "exact": consumed.exact}))
    session.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
