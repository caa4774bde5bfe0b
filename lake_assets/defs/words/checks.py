"""Checks of the word counts: blocking checks before the merge into `main`, data loss, and a recount."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    Failure,
    MetadataValue,
    multi_asset_check,
)

from lake_assets.defs.words.recount import differences
from lake_assets.defs.words.source import open_source
from lake_assets.lake.contract import Lake
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.spark import SparkResource
from lake_assets.runs.branch import read_ref
from lake_assets.runs.check_results import logged
from lake_assets.runs.checked_commits import checked_at
from lake_assets.streaming.checkpoint_files import CheckpointFiles
from lake_assets.streaming.places import places_at
from lake_assets.streaming.position import Position, read_position
from lake_assets.streaming.query import StreamSourceError
from lake_assets.streaming.results import open_counts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_STREAMS = {"word_counts": "word", "word_counts_windowed": "window_start, window_end, word"}
"""Asset to its key columns."""
_CHECKS = {
    "words_reconcile": "The counts add up to the number of words read in all runs of this checkpoint.",
    "key_is_unique": "No two rows have the same key.",
    "counts_positive": "No word is empty, and every count is positive.",
}
_NO_DATA_LOSS = "no_data_loss"
_NONE_LATE = "none_late"

AUDIT = AssetCheckKey(AssetKey("word_counts"), "word_counts_audit")


def _specs() -> list[AssetCheckSpec]:
    specs = [
        AssetCheckSpec(name, asset=stream, description=text, blocking=True)
        for stream in _STREAMS
        for name, text in _CHECKS.items()
    ]
    specs += [
        AssetCheckSpec(
            _NO_DATA_LOSS,
            asset=stream,
            description="The source has lost no lines before they were read.",
        )
        for stream in _STREAMS
    ]
    specs.append(
        AssetCheckSpec(_NONE_LATE, asset="word_counts_windowed", description="No line was later than the watermark.")
    )
    return specs


@multi_asset_check(name="words_checks", specs=_specs(), can_subset=True)
def words_checks(context: AssetCheckExecutionContext, lake: LakeResource) -> Iterator[AssetCheckResult]:
    """Audit the data of this run, on its branch."""
    ref = read_ref(lake.lake, context.instance, context.run)
    for stream, key in _STREAMS.items():
        asset = AssetKey(stream)
        wanted = {check.name for check in context.selected_asset_check_keys if check.asset_key == asset}
        position = read_position(lake.lake, ref, prefix_of(asset)) if wanted else None
        if position is None:
            continue
        with open_counts(lake.lake, ref, prefix_of(asset)) as connection:
            counted_bad = """count(*) FILTER (word = '' OR word IS NULL OR "count" IS NULL OR "count" < 1) AS bad"""
            keys = connection.view("counts_files").aggregate(
                f'sum("count") AS "count", count(*) AS rows, {counted_bad}', key
            )
            totals = 'coalesce(sum("count"), 0), count(*) FILTER (rows > 1), coalesce(sum(bad), 0)'
            (seen,) = keys.aggregate(totals).fetchall()
        words, twice, bad = map(int, seen)
        last = position.last
        results = {
            "words_reconcile": (words == position.totals.get("words", 0), {"counted": words, **position.totals}),
            "key_is_unique": (twice == 0, {"keys_twice": twice}),
            "counts_positive": (bad == 0, {"bad_rows": bad}),
            _NO_DATA_LOSS: (
                not last.get("lost_places"),
                {"lost_offsets": last.get("lost_offsets", 0), "places": last.get("lost_places", 0)},
            ),
            _NONE_LATE: (
                not last.get("late_lines"),
                {"late_lines": last.get("late_lines", 0), "late_words": last.get("late_words", 0)},
            ),
        }
        for name, (passed, metadata) in results.items():
            if name in wanted:
                result = AssetCheckResult(
                    asset_key=asset,
                    check_name=name,
                    passed=passed,
                    severity=AssetCheckSeverity.ERROR if name in _CHECKS else AssetCheckSeverity.WARN,
                    metadata={
                        **checked_at(ref),
                        **{metric: MetadataValue.int(value) for metric, value in metadata.items()},
                    },
                )
                yield logged(context.log, result)


@multi_asset_check(
    name=AUDIT.name,
    specs=[
        AssetCheckSpec(
            AUDIT.name,
            asset=AUDIT.asset_key,
            description="A recount of all lines with `reduceByKey` gives the same counts: job `words_recount`.",
        )
    ],
    can_subset=True,  # so that a run can skip it
)
def word_counts_audit(
    context: AssetCheckExecutionContext, lake: LakeResource, spark: SparkResource, kafka: KafkaResource
) -> Iterator[AssetCheckResult]:
    """Compare the stream's counts with a batch count of the same lines."""
    if context.run.asset_selection:
        context.log.info("Skipped, since it reads the whole source: run the job words_recount.")
        return
    ref = read_ref(lake.lake, context.instance, context.run)
    position = read_position(lake.lake, ref, "word_counts")
    if position is None:
        raise Failure("word_counts is not in the lake: materialize it first", allow_retries=False)
    lines = _all_lines(lake.lake, ref, position, spark=spark, kafka=kafka)
    counts = spark.session.read.parquet(lake.lake.path(ref, places_at(lake.lake, ref, "word_counts").counts).uri)
    wrong, examples = differences(lines, counts)
    result = AssetCheckResult(
        check_name=AUDIT.name,
        passed=wrong == 0,
        metadata={
            **checked_at(ref),
            "words_that_differ": wrong,
            "examples": MetadataValue.json([list(example) for example in examples]),
            "lines": position.totals.get("lines", 0),
        },
    )
    yield logged(context.log, result)


def _all_lines(lake: Lake, ref: str, position: Position, *, spark: SparkResource, kafka: KafkaResource) -> "DataFrame":
    snapshot = lake.path(ref, places_at(lake, ref, "word_counts").checkpoint)
    checkpoint = CheckpointFiles(snapshot.uri, snapshot.filesystem, snapshot.root)
    try:
        source = open_source(position.source, kafka)
        lost = position.totals.get("lost_offsets", 0)
        gone = source.loss(replace(position, offsets=dict.fromkeys(position.offsets, 0)), checkpoint).offsets
        if source.id != position.source_id or gone > lost:
            raise Failure(
                f"{position.source} no longer has all counted lines, so they cannot be counted again",
                allow_retries=False,
            )
        return source.all_lines(spark.session, position, checkpoint)
    except StreamSourceError as error:
        raise Failure(str(error), allow_retries=False) from error
