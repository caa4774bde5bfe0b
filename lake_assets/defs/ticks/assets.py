"""The assets of group `ticks`: a stream of trades in the lake, their series, their publication, and the latest ones."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from dagster import AssetExecutionContext, AssetOut, Config, Failure, MaterializeResult, Output, asset, multi_asset

from lake_assets.defs.ticks.acknowledging import READ, read_messages, read_table
from lake_assets.defs.ticks.plot import plots
from lake_assets.defs.ticks.schema import KEY, METRIC, REJECTED_KEY, as_row, rejected_schema, ticks_schema
from lake_assets.defs.ticks.series import follow_ticks
from lake_assets.defs.ticks.settings import TicksSettings
from lake_assets.defs.ticks.source import decoder, open_ticks
from lake_assets.frames.increment import Increment, read_state
from lake_assets.io_managers.by_difference import rows_at, update_by_difference
from lake_assets.io_managers.nosql import KEY as TABLE_KEY
from lake_assets.io_managers.nosql import MODE, SHOWS, TableUpdate
from lake_assets.lake.contract import Lake
from lake_assets.messages.contract import Message, MessagesError
from lake_assets.quality.constraints import Range, Unique
from lake_assets.quality_assets.checks import constraint_checks
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.asset_metadata import COMMIT
from lake_assets.runs.branch import read_ref
from lake_assets.runs.publishing import published_asset
from lake_assets.series.changing import remove
from lake_assets.series.days import add_to_days, add_to_file
from lake_assets.series.times import parse_time

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

GROUP = "ticks"
OWNERS = ["team:data-platform"]
POOL = "ticks"
"""Only one run at a time, since two would read the same messages, and only one could publish."""
REJECTED = "ticks_rejected"
ALL = "all"
"""Name of the file of rejected messages."""


class TicksConfig(Config):
    """Run configuration: whether a run fails if messages are lost."""

    fail_on_data_loss: bool = True


@multi_asset(
    name="read_ticks",
    group_name=GROUP,
    pool=POOL,
    outs={
        REJECTED: AssetOut(
            io_manager_key="incremental_io_manager",
            description="Messages that are no ticks, with the reason: the dead letters.",
            kinds={"parquet", "lake"},
            owners=OWNERS,
            tags={"layer": "quarantine"},
            code_version="1",
        ),
        "ticks": AssetOut(
            io_manager_key="incremental_io_manager",
            description="Trades by security, currency and time. Of equal ones, the last message stays.",
            kinds={"parquet", "lake"},
            owners=OWNERS,
            tags={"layer": "raw"},
            code_version="1",
        ),
    },
)
def read_ticks(
    context: AssetExecutionContext, config: TicksConfig, lake: LakeResource, kafka: KafkaResource
) -> Iterator[Output[Increment]]:
    """Read on where the ticks in the lake end. The position is in the same commit as the ticks."""
    ref = read_ref(lake.lake, context.instance, context.run)
    state = read_state(lake.lake, ref, "ticks")
    position = state.position if state is not None else {}
    try:
        with open_ticks(kafka) as reader:
            batch = reader.read(position, TicksSettings.read().per_run, fail_on_loss=config.fail_on_data_loss)
    except MessagesError as error:
        raise Failure(str(error)) from error
    decode = decoder().decode
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for message in batch.messages:
        tick = decode(message.body)
        if isinstance(tick, str):
            rejected.append(_rejected(message, tick))
        else:
            rows.append(as_row(message, tick))
    told = {"messages": len(batch.messages), "rejected": len(rejected)}
    context.log.info("%s: %d message(s), of which %d are rejected", reader.name, *told.values())
    # First, without a position: if the run ends between the two, they are read again, and stay one by one.
    yield Output(_rejections(lake.lake, ref, rejected, told), REJECTED)
    ticks = pa.Table.from_pylist(rows, ticks_schema())
    increment = add_to_days(lake.lake, ref, "ticks", rows=ticks, key=KEY, position=batch.position, metadata=told)
    if not reader.exactly_once:
        increment = replace(increment, beside={READ: read_table(batch.messages)})
    yield Output(increment, "ticks")


def _rejected(message: Message, reason: str) -> dict[str, Any]:
    return {"partition": message.partition, "offset": message.offset, "reason": reason, "body": message.body}


def _rejections(lake: Lake, ref: str, rejected: list[dict[str, Any]], told: Mapping[str, Any]) -> Increment:
    if not rejected:
        return Increment(rejected_schema(), {}, {}, metadata=told)
    fresh = pa.Table.from_pylist(rejected, rejected_schema())
    return add_to_file(lake, ref, REJECTED, name=ALL, rows=fresh, key=REJECTED_KEY, metadata=told)


class SeriesConfig(Config):
    """Run configuration: a time range whose samples are removed, of some labels."""

    delete_start: str = ""
    delete_end: str = ""
    delete_labels: dict[str, list[str]] = {}  # noqa: RUF012 -- pydantic copies it


@asset(
    group_name=GROUP,
    pool=POOL,
    deps=["ticks"],
    io_manager_key="incremental_io_manager",
    kinds={"parquet", "lake"},
    owners=OWNERS,
    tags={"layer": "refined"},
    code_version="1",
)
def stock_series(context: AssetExecutionContext, config: SeriesConfig, lake: LakeResource) -> Increment:
    """Price and volume as time series by ISIN and currency, with sums over minutes, hours and days."""
    ref = read_ref(lake.lake, context.instance, context.run)
    state = read_state(lake.lake, ref, "stock_series")
    before = str(state.position.get("ticks", "")) if state is not None else ""
    newest = next(lake.lake.log(ref, 1, "ticks"), None)
    position = {"ticks": newest.id if newest is not None else ""}
    if config.delete_start or config.delete_end:
        now = datetime.now(timezone.utc)
        try:
            start, end = parse_time(config.delete_start, now), parse_time(config.delete_end, now)
            kept = {"ticks": before}
            return _with_plots(
                remove(
                    lake.lake,
                    ref,
                    "stock_series",
                    metric=METRIC,
                    start=start,
                    end=end,
                    labels=config.delete_labels,
                    position=kept,
                )
            )
        except ValueError as error:
            raise Failure(f"delete_start and delete_end: {error}", allow_retries=False) from error
    return _with_plots(follow_ticks(lake.lake, before, ref, position))


def _with_plots(increment: Increment) -> Increment:
    found = plots(increment.files)
    return Increment(
        increment.schema, increment.files, increment.position, increment.beside, {**increment.metadata, **found}
    )


# Equal keys are of one day, and so of one file.
ticks_audit = constraint_checks("ticks", [Unique(columns=KEY), Range(column="price", min=0)], by_file=True)
stock_series_audit = constraint_checks("stock_series", [Unique(columns=KEY)], by_file=True)

ticks_published = published_asset(GROUP, [read_ticks, stock_series], owners=OWNERS)


@asset(
    group_name=GROUP,
    pool=POOL,
    deps=["ticks_published", "ticks"],
    kinds={"queue"},
    owners=OWNERS,
    code_version="1",
)
def ticks_acknowledged(
    context: AssetExecutionContext, lake: LakeResource, kafka: KafkaResource
) -> MaterializeResult[Any]:
    """Messages of a queue, acknowledged once `main` holds what they say. Other sources have nothing to acknowledge."""
    head = lake.lake.head(lake.target).id
    left = read_messages(lake.lake, head, "ticks")

    def is_published(message: Message) -> bool:
        left[message.offset] -= 1
        return left[message.offset] >= 0

    try:
        with open_ticks(kafka) as reader:
            number = reader.settle(is_published, TicksSettings.read().per_run) if not reader.exactly_once else 0
    except MessagesError as error:
        raise Failure(str(error)) from error
    context.log.info("%s: %d message(s) acknowledged", reader.name, number)
    return MaterializeResult(metadata={"acknowledged": number, COMMIT: head})


def shown(connection: "DuckDBPyConnection", lake: Lake, commit: str) -> "DuckDBPyRelation":
    """Return what the table shows of a commit: the latest tick of each security and currency.

    Parameters
    ----------
    connection, lake, commit
        Where the rows are.
    """
    rows = rows_at(connection, lake, commit, "ticks")
    if rows is None:
        return connection.from_arrow(ticks_schema().empty_table())
    ranked = rows.project("*, row_number() OVER (PARTITION BY isin, currency ORDER BY time DESC) AS place")
    return ranked.filter("place = 1").select(*ticks_schema().names)


@asset(
    group_name=GROUP,
    deps=["ticks_published", "ticks"],
    io_manager_key="nosql_io_manager",
    kinds={"table"},
    owners=OWNERS,
    tags={"layer": "sink"},
    code_version="1",
    metadata={TABLE_KEY: "isin,currency", MODE: "append", SHOWS: "lake_assets.defs.ticks.assets:shown"},
)
def ticks_table(context: AssetExecutionContext, lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
    """The latest tick of each security and currency. This sink is fed only from published commits."""
    from_commit = nosql.reflected_commit(context.asset_key)
    # The head is read after the table's commit, so that it is never behind it.
    to_commit = lake.lake.head(lake.target).id
    if nosql.off:
        return TableUpdate(None, to_commit, "off")
    update = update_by_difference(
        lake.lake, "ticks", from_commit, to_commit=to_commit, shown=shown, key=["isin", "currency"]
    )
    context.log.info("ticks_table: %s", update.describe())
    return update
