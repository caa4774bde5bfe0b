"""The streaming words against the plain Spark script of the same query: ``python -m benchmarks.words_stream``.

The script counts with a local checkpoint and writes all counts to a Parquet folder: no lake, no Dagster, no commit,
nothing that ties the two together. The other side materializes `word_counts`, publishes it, and is timed with its
checks and without. Both take the same lines, on the same warm Spark session, in turns: first all of them, then one
hundredth more.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.session import session
from lake_assets.kafka.address import TopicAddress
from lake_assets.spark.jars import KAFKA
from lake_assets_tests.kafka_broker import own_broker, remove

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WORDS_A_LINE = 8
VOCABULARY = 50_000
FIRST_BOUND = 0.9
SECOND_BOUND = 1.5


def lines_of(count: int, seed: int) -> list[str]:
    """Return lines of words that occur as those of a language do, a few very often."""
    chosen = random.Random(seed)
    words = [f"word{number}" for number in range(VOCABULARY)]
    weights = [1 / (rank + 1) for rank in range(VOCABULARY)]
    drawn = chosen.choices(words, weights, k=count * WORDS_A_LINE)
    return [" ".join(drawn[at : at + WORDS_A_LINE]) for at in range(0, len(drawn), WORDS_A_LINE)]


def plain(spark: SparkSession, source: Callable[[SparkSession], DataFrame], folder: Path) -> None:
    """Count what is new, as one would by hand."""
    from pyspark.sql import functions as sf

    word = sf.explode(sf.split(sf.col("value").cast("string"), " ")).alias("word")
    counts = source(spark).select(word).where("word != ''").groupBy("word").count()

    def keep(rows: DataFrame, _: int) -> None:
        rows.write.mode("overwrite").parquet(f"{folder}/counts")

    stream = counts.writeStream.outputMode("complete").option("checkpointLocation", f"{folder}/checkpoint")
    stream.trigger(availableNow=True).foreachBatch(keep).start().awaitTermination()


class Materialized:
    """The asset on an embedded lake of its own."""

    def __init__(self, home: Path) -> None:
        from dagster import DagsterInstance

        from lake_assets import definitions, environments
        from lake_assets_tests.shared_spark import SharedSpark

        os.environ["LAKE_HOME"] = str(home)
        self.instance = DagsterInstance.ephemeral()
        self.defs = definitions.definitions(environments.resources(SharedSpark()))

    def run(self) -> tuple[float, float]:
        """Materialize and publish; return the seconds without and with those of its checks."""
        from dagster import AssetKey

        from lake_assets import environments
        from lake_assets.runs.publishing import publish

        begin = time.perf_counter()
        result = self.defs.resolve_job_def("words").execute_in_process(
            instance=self.instance, asset_selection=[AssetKey("word_counts")]
        )
        assert result.success
        publish(environments.open_lake(), self.instance, result.dagster_run)
        took = time.perf_counter() - begin
        steps = {stats.step_key: stats for stats in self.instance.get_run_step_stats(result.run_id)}
        checks = [steps[name] for name in ("words_checks", "word_counts_audit") if name in steps]
        return took - sum((step.end_time or 0) - (step.start_time or 0) for step in checks), took


class Lines:
    """A source that both sides read: a folder, or a topic."""

    def __init__(self, kind: str, folder: Path, running: ExitStack) -> None:
        self.folder = folder
        self._files = 0
        self._broker: Any = None
        if kind == "kafka":
            self._broker = own_broker()
            running.callback(remove, self._broker)
            self._broker.start()
            self._address = TopicAddress(self._broker.servers, self._broker.fresh_topic())
            os.environ["WORDS_SOURCE"] = str(self._address)
        else:
            os.environ["WORDS_SOURCE"] = str(folder)

    def add(self, lines: list[str]) -> None:
        """Put lines there: a file for each 250,000, or records."""
        if self._broker is None:
            for at in range(0, len(lines), 250_000):
                self._files += 1
                (self.folder / f"{self._files}.txt").write_text("\n".join(lines[at : at + 250_000]) + "\n")
            return
        producer = self._broker.cluster().producer(**{"linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
        for line in lines:
            while True:
                try:
                    producer.produce(self._address.topic, line.encode())
                    break
                except BufferError:
                    producer.poll(0.5)
        producer.flush()

    def open(self, spark: SparkSession) -> DataFrame:
        """Return them as a plain stream."""
        if self._broker is None:
            return spark.readStream.text(str(self.folder))
        reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", self._address.servers)
        return reader.option("subscribe", self._address.topic).option("startingOffsets", "earliest").load()


def measure(kind: str, count: int, repeats: int, folder: Path, running: ExitStack) -> None:
    """Take turns, each on fresh folders, and print the ratios."""
    spark = session(*[KAFKA] * (kind == "kafka"))
    running.callback(spark.stop)
    logging.disable(logging.INFO)
    seconds: dict[str, list[float]] = {}
    for turn in range(repeats + 1):
        place = folder / f"{turn}"
        (place / "lines").mkdir(parents=True)
        with ExitStack() as source:
            lines = Lines(kind, place / "lines", source)
            ours = Materialized(place / "home")
            # The first turn warms the JVM up.
            for part, size in (("all", count if turn else count // 10), ("one hundredth more", count // 100)):
                lines.add(lines_of(size, turn))
                begin = time.perf_counter()
                plain(spark, lines.open, place)
                took = {"plain": time.perf_counter() - begin}
                took["asset"], took["asset with checks"] = ours.run()
                for side, value in took.items():
                    print(f"  {f'turn {turn}' if turn else 'warm-up'}, {part}: {side} {value:.1f} s", flush=True)
                    if turn:
                        seconds.setdefault(f"{side}, {part}", []).append(value)
        shutil.rmtree(place, ignore_errors=True)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for side in ("asset", "asset with checks"):
        first = median["plain, all"] / median[f"{side}, all"]
        second = median[f"{side}, one hundredth more"] / median["plain, one hundredth more"]
        told = f"words of {kind}, {side}"
        print(f"{told}: {first:.2f} of plain Spark's lines a second, {count:,} lines (at least {FIRST_BOUND})")
        print(f"{told}: {second:.2f} times its time, {count // 100:,} lines more (at most {SECOND_BOUND})")


def main() -> None:
    """Print the ratios for files, and for Kafka."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--source", choices=("files", "kafka"), default="files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-assets-benchmark-") as folder, ExitStack() as running:
        measure(options.source, options.lines, options.repeats, Path(folder), running)


if __name__ == "__main__":
    main()
