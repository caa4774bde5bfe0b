"""The assets of group `words`: counts over all time and by windows, and their publication."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Callable
from typing import Any

from dagster import AssetsDefinition, Failure, TableSchema, asset

from lake_assets.defs.words import queries
from lake_assets.defs.words.config import StreamConfig
from lake_assets.defs.words.schema import counts_schema, windowed_schema
from lake_assets.defs.words.settings import WordsSettings
from lake_assets.defs.words.source import open_source
from lake_assets.resources.kafka import KafkaResource
from lake_assets.runs.asset_metadata import COLUMN_SCHEMA
from lake_assets.runs.publishing import LAYER, published_asset
from lake_assets.streaming.query import StreamQuery, StreamSourceError

GROUP = "words"
OWNERS = ["team:data-platform"]
POOL = "words"
"""Only one run at a time, since two would read the same lines, and only one could publish."""


def _stream(schema: TableSchema) -> Callable[[Callable[..., Any]], AssetsDefinition]:
    """Return the decorator of a streaming asset."""
    return asset(
        group_name=GROUP,
        pool=POOL,
        io_manager_key="stream_io_manager",
        kinds={"spark", "kafka", "parquet", "lake"},
        owners=OWNERS,
        tags={LAYER: "refined"},
        code_version="1",
        metadata={COLUMN_SCHEMA: schema},
    )


@_stream(counts_schema())
def word_counts(config: StreamConfig, kafka: KafkaResource) -> Any:
    """The count of each word in all lines, over all time. Each run reads new lines exactly once."""
    return StreamQuery(
        name=queries.NAME,
        key=("word",),
        columns=queries.COUNTS,
        build=lambda lines, _: queries.word_counts(lines),
        **_configured(config, kafka),
    )


@_stream(windowed_schema())
def word_counts_windowed(config: StreamConfig, kafka: KafkaResource) -> Any:
    """The count of each word in the lines of each time window.

    A line's time is that of its Kafka record, or in a file the ISO time at its beginning. Lines that are later than the
    watermark are not included, but their number is reported.
    """
    windows = queries.Windows.from_settings()
    return StreamQuery(
        name=windows.query,
        key=("window_start", "window_end", "word"),
        columns=queries.WINDOWED,
        # Spark's own watermark begins at 0, and it drops what is older without a word.
        build=lambda lines, mark: queries.word_counts_windowed(lines, mark or 0, windows),
        delay=windows.delay * 1000,
        **_configured(config, kafka),
    )


def _configured(config: StreamConfig, kafka: KafkaResource) -> dict[str, Any]:
    """Return the parts of a query that come from settings and run configuration."""
    settings = WordsSettings.read()
    try:
        source = open_source(config.source or settings.source, kafka)
    except StreamSourceError as error:
        raise Failure(str(error), allow_retries=False) from error
    return {
        "source": source,
        "fail_on_data_loss": config.fail_on_data_loss,
        "reset": config.reset_checkpoint,
        "state_store": settings.state_store,
        "csv": settings.csv,
    }


words_published = published_asset(GROUP, [word_counts, word_counts_windowed], owners=OWNERS)
