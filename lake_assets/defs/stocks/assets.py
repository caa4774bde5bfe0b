"""The assets of group `stocks`: raw CSV, Parquet bars, quarantine, publication, and the table of latest bars."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetOut,
    BackfillPolicy,
    Backoff,
    Config,
    Failure,
    FreshnessPolicy,
    Jitter,
    MetadataValue,
    Output,
    RetryPolicy,
    asset,
    multi_asset,
)

from lake_assets.defs.stocks.latest import table_update
from lake_assets.defs.stocks.parsing import BadStocksFile, StocksFile, check_header, parse, quarantined
from lake_assets.defs.stocks.partitions import HOURS, hour_of
from lake_assets.defs.stocks.schema import quarantine_table_schema, table_schema
from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.defs.stocks.source import StocksSourceResource
from lake_assets.io_managers.nosql import KEY, MODE, NEWEST_BY, SHOWS, TableUpdate
from lake_assets.io_managers.raw_file import RawFile, StoredFile
from lake_assets.resources.compute import ComputeResource
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.asset_metadata import COLUMN_SCHEMA
from lake_assets.runs.partitions import partitions_of
from lake_assets.runs.publishing import published_asset
from lake_assets.sources import SourceError, SourceFileMissing

GROUP = "stocks"
OWNERS = ["team:data-platform"]
FETCH_RETRIES = RetryPolicy(max_retries=2, delay=5, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)


def _backfill_policy() -> BackfillPolicy | None:
    hours = StocksSettings.read().partitions_per_run
    if hours == "all":
        return BackfillPolicy.single_run()
    # Dagster's default is also one run for each hour, but tagged with its partition. The runs of a policy are tagged
    # with a range, and the job's page of partitions does not show them.
    return BackfillPolicy.multi_run(hours) if hours > 1 else None


# One policy for the whole group, since a backfill puts assets with different policies into different runs.
BACKFILL = _backfill_policy()


class StocksSourceConfig(Config):
    """Run configuration: a source that replaces the environment's."""

    source: str = ""


@asset(
    group_name=GROUP,
    partitions_def=HOURS,
    backfill_policy=BACKFILL,
    io_manager_key="lake_file_io_manager",
    retry_policy=FETCH_RETRIES,
    kinds={"csv", "lake"},
    owners=OWNERS,
    tags={"layer": "raw"},
    code_version="1",
    metadata={COLUMN_SCHEMA: table_schema()},
)
def stocks_csv(
    context: AssetExecutionContext,
    config: StocksSourceConfig,
    stocks_source: StocksSourceResource,
    lake: LakeResource,
) -> Iterator[Output[Any]]:
    """The exchange's file of one hour, exactly as it was published."""
    try:
        source = stocks_source.open(config.source)
    except SourceError as error:
        raise Failure(str(error), allow_retries=False) from error
    with lake.scratch() as folder:
        files: dict[str, RawFile] = {}
        for key in partitions_of(context):
            try:
                fetched = source.fetch(hour_of(key), folder)
            except SourceFileMissing as error:
                # A retry cannot help.
                raise Failure(str(error), allow_retries=False) from error
            context.log.info("Fetched %s: %d bytes, %d rows", fetched.url, fetched.size, fetched.rows)
            files[key] = RawFile(
                fetched.path.name,
                path=fetched.path,
                rows=fetched.rows,
                sha256=fetched.sha256,
                metadata={
                    "source": MetadataValue.url(fetched.url),
                    "etag": fetched.etag or "",
                },
            )
        # Yielded, not returned: the IO manager moves the files while the scratch folder still exists.
        yield Output(files)


@multi_asset(
    name="parse_stocks",
    partitions_def=HOURS,
    backfill_policy=BACKFILL,
    group_name=GROUP,
    outs={
        "stocks_parquet": AssetOut(
            io_manager_key="parquet_io_manager",
            description="One-minute open, high, low and close bars: the rows of `stocks_csv` that parse.",
            kinds={"parquet", "lake"},
            owners=OWNERS,
            tags={"layer": "refined"},
            code_version="1",
            metadata={COLUMN_SCHEMA: table_schema()},
        ),
        "stocks_quarantine": AssetOut(
            io_manager_key="parquet_io_manager",
            description=(
                "Lines of `stocks_csv` that could not be parsed, or whose ISIN is wrong, with line number, reason and "
                "raw text."
            ),
            kinds={"parquet", "lake"},
            owners=OWNERS,
            tags={"layer": "quarantine"},
            code_version="1",
            metadata={COLUMN_SCHEMA: quarantine_table_schema()},
        ),
    },
)
def parse_stocks(
    context: AssetExecutionContext, compute: ComputeResource, stocks_csv: dict[str, StoredFile]
) -> Iterator[Output[Any]]:
    """Parse the raw files with an explicit schema, in one pass. Only ranges with bad rows take a second one."""
    files: dict[str, StocksFile] = {}
    for key, raw in stocks_csv.items():
        try:
            check_header(raw.open, raw.name)
        except BadStocksFile as error:
            raise Failure(f"{key}: {error}", allow_retries=False) from error
        files[key] = StocksFile(raw.name, raw.filesystem, raw.root)
    bars = parse(files, compute.executor)
    # The IO manager stores each output when it is yielded. So the counts are known once the bars are written.
    yield Output(bars, "stocks_parquet")
    for key, counts in bars.counts.items():
        lines, bad = counts["lines"], counts["bad"]
        context.add_asset_metadata(
            {"lines": lines, "share": bad / lines if lines else 0.0}, asset_key="stocks_quarantine", partition_key=key
        )
        if bad:
            context.log.warning("%s: %d of %d rows are quarantined", files[key].name, bad, lines)
    yield Output(quarantined(files, bars, compute.executor), "stocks_quarantine")


stocks_published = published_asset(
    GROUP,
    [stocks_csv, parse_stocks],
    profiles=["stocks_parquet_profile"],
    owners=OWNERS,
    freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(days=4), warn_window=timedelta(days=3)),
)


@asset(
    group_name=GROUP,
    partitions_def=HOURS,
    backfill_policy=BACKFILL,
    deps=["stocks_published", "stocks_parquet"],
    io_manager_key="nosql_io_manager",
    kinds={"table"},
    owners=OWNERS,
    tags={"layer": "sink"},
    code_version="1",
    metadata={
        KEY: "ISIN",
        MODE: "append",
        NEWEST_BY: "Date,Time",
        SHOWS: "lake_assets.defs.stocks.latest:shown",
        COLUMN_SCHEMA: table_schema(("ISIN",)),
    },
)
def stocks_table(context: AssetExecutionContext, lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
    """The latest bar of each security over all published hours. This sink is fed only from published commits."""
    from_commit = nosql.reflected_commit(context.asset_key)
    # The head is read after the table's commit, so that it is never behind it.
    to_commit = lake.lake.head(lake.target).id
    update = TableUpdate(None, to_commit, "off") if nosql.off else table_update(lake.lake, from_commit, to_commit)
    context.log.info("stocks_table: %s", update.describe())
    return update
