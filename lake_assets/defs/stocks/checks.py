"""The audit of `stocks_parquet`: the blocking checks before a run's branch is merged into `main`."""

# No postponed annotations here: Dagster reads them when the decorators run.

import warnings
from collections.abc import Iterator, Sequence

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSpec,
    MetadataValue,
    PreviewWarning,
    multi_asset_check,
)

from lake_assets.defs.stocks.bar_rules import check_bars
from lake_assets.defs.stocks.bars import PREFIX, open_bars
from lake_assets.defs.stocks.partitions import HOURS
from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.lake.contract import Lake, Snapshot
from lake_assets.lake.names import join
from lake_assets.lake.rows import bounded_connection
from lake_assets.layout.manifest import read_manifest
from lake_assets.layout.partitions import folders
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import read_ref
from lake_assets.runs.check_results import logged
from lake_assets.runs.checked_commits import checked_at
from lake_assets.runs.partitions import partitions_of

CHECKS = {
    "rows_reconcile": "Every row of the file is in `stocks_parquet` or in `stocks_quarantine`.",
    "key_is_unique": "(ISIN, Date, Time) is unique.",
    "prices_in_range": "MinPrice <= StartPrice <= MaxPrice and MinPrice <= EndPrice <= MaxPrice.",
    "volume_not_negative": "TradedVolume and NumberOfTrades are not negative.",
    "quarantine_bounded": "The share of quarantined rows is within STOCKS_MAX_QUARANTINED.",
}

ALSO_READ = ("stocks_csv", "stocks_quarantine")
"""The assets whose rows two of the checks count. What these do not pass for is not published either."""


def _specs() -> Sequence[AssetCheckSpec]:
    with warnings.catch_warnings():
        # Without partitions a check would get the whole history.
        warnings.simplefilter("ignore", PreviewWarning)
        return [
            AssetCheckSpec(
                name,
                asset="stocks_parquet",
                additional_deps=ALSO_READ if name in ("rows_reconcile", "quarantine_bounded") else (),
                description=text,
                blocking=True,
                partitions_def=HOURS,
            )
            for name, text in CHECKS.items()
        ]


@multi_asset_check(name="stocks_audit", specs=_specs())
def stocks_audit(context: AssetCheckExecutionContext, lake: LakeResource) -> Iterator[AssetCheckResult]:
    """Audit the data of this run, on its branch, in one query."""
    ref = read_ref(lake.lake, context.instance, context.run)
    places = list(folders(HOURS, partitions_of(context)).values())
    counts = [_counts(lake.lake, ref, place) for place in places]
    wrong = {place: count for place, count in zip(places, counts, strict=True) if count[0] != count[1] + count[2]}
    lines, parquet, quarantined = (sum(column) for column in zip(*counts, strict=True))
    rows_reconcile = AssetCheckResult(
        check_name="rows_reconcile",
        passed=not wrong,
        description=f"{len(wrong)} of {len(places)} hours have rows too many or too few",
        metadata={
            "file": lines,
            "parquet": parquet,
            "quarantine": quarantined,
            "wrong": sorted(wrong),
            **checked_at(ref),
        },
    )
    yield logged(context.log, rows_reconcile)
    with bounded_connection() as connection:
        results = check_bars(open_bars(connection, "run", lake.lake, ref, [join(PREFIX, place) for place in places]))
    for name, result in results.items():
        rule = AssetCheckResult(
            check_name=name,
            passed=result.passed,
            description=f"{result.bad:,} of {parquet:,} rows break it: {CHECKS[name]}",
            metadata={"bad_rows": result.bad, "examples": MetadataValue.json(result.examples), **checked_at(ref)},
        )
        yield logged(context.log, rule)
    bound = StocksSettings.read().max_quarantined
    shares = [bad / total if total else 0.0 for total, _, bad in counts]
    quarantine_bounded = AssetCheckResult(
        check_name="quarantine_bounded",
        passed=max(shares) <= bound,
        description=(
            f"{quarantined:,} of {lines:,} rows are quarantined; the highest share of an hour is {max(shares):.2%}, "
            f"and STOCKS_MAX_QUARANTINED allows {bound:.2%}"
        ),
        metadata={"share": max(shares), "bound": bound, "quarantined": quarantined, **checked_at(ref)},
    )
    yield logged(context.log, quarantine_bounded)


def _counts(lake: Lake, ref: str, place: str) -> tuple[int, int, int]:
    """Return the number of rows of an hour: in the fetched file, in its Parquet file, and in quarantine."""
    csv = read_manifest(lake.path(ref, join("stocks_csv", place))).rows
    parquet, quarantine = (
        _parquet_rows(lake.path(ref, join(prefix, place))) for prefix in ("stocks_parquet", "stocks_quarantine")
    )
    return csv, parquet, quarantine


def _parquet_rows(snapshot: Snapshot) -> int:
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSelector

    infos = snapshot.filesystem.get_file_info(FileSelector(snapshot.root))
    return sum(
        pq.read_metadata(info.path, filesystem=snapshot.filesystem).num_rows
        for info in infos
        if info.base_name.endswith(".parquet")
    )
