"""`reduceByKey` against `groupByKey` for counting words, in bytes shuffled: ``python -m benchmarks.words_rdd``."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.session import session
from benchmarks.words_stream import lines_of
from lake_assets.defs.words.recount import by_grouping, by_reducing

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def shuffled(spark: SparkSession) -> int:
    """Return the bytes that all stages so far have written for others to read."""
    executors = spark.sparkContext._jsc.sc().statusStore().executorList(True)
    return sum(executors.apply(at).totalShuffleWrite() for at in range(executors.size()))


def main() -> None:
    """Print both, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    spark = session()
    seen: dict[str, tuple[int, float, int]] = {}
    with tempfile.TemporaryDirectory(prefix="lake-assets-benchmark-") as folder:
        (Path(folder) / "lines.txt").write_text("\n".join(lines_of(options.lines, 1)) + "\n")
        lines = spark.read.text(folder)
        by_reducing(lines).count()  # Warms the workers up.
        for name, count in (("groupByKey", by_grouping), ("reduceByKey", by_reducing)):
            before, begin = shuffled(spark), time.perf_counter()
            words = count(lines).values().sum()
            seen[name] = (shuffled(spark) - before, time.perf_counter() - begin, words)
            print(f"  {name}: {seen[name][0]:,} bytes shuffled, {seen[name][1]:.1f} s, {words:,} words", flush=True)
    spark.stop()
    (grouped, slow, one), (reduced, quick, other) = seen["groupByKey"], seen["reduceByKey"]
    assert one == other
    print(f"words, {options.lines:,} lines: reduceByKey shuffles {reduced / grouped:.3f} of groupByKey's bytes")
    print(f"words, {options.lines:,} lines: reduceByKey takes {quick / slow:.2f} of groupByKey's time")


if __name__ == "__main__":
    main()
