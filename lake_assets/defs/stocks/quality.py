"""The profile of `stocks_parquet`, what its rows must be besides the audit, and how hours are compared."""

from __future__ import annotations

from lake_assets.defs.stocks.assets import BACKFILL, GROUP, OWNERS
from lake_assets.defs.stocks.partitions import HOURS
from lake_assets.quality.constraints import Complete, Pattern, Range
from lake_assets.quality_assets.comparison import Comparison
from lake_assets.quality_assets.profiled import profiled

stocks_parquet_profile, stocks_parquet_constraints = profiled(
    "stocks_parquet",
    [
        # What the parser makes sure of is not verified again: each check costs a run some tenths of a second.
        Complete(column="SecurityID"),
        Pattern(column="Currency", regex="[A-Z]{3}"),
        Range(column="StartPrice", min=0, severity="WARN"),
    ],
    group_name=GROUP,
    owners=OWNERS,
    partitions_def=HOURS,
    backfill_policy=BACKFILL,
    # Each hour has its own.
    compare=Comparison(ignore=("Date", "Time")),
)
