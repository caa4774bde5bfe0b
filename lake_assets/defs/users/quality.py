"""The profile of `users`, what its rows must be, and how batches are compared. Personal columns are only counted."""

from __future__ import annotations

from lake_assets.defs.users.assets import GROUP, OWNERS
from lake_assets.defs.users.partitions import BATCHES
from lake_assets.defs.users.schema import PERSONAL
from lake_assets.quality.constraints import Complete, RowCount
from lake_assets.quality_assets.comparison import Comparison
from lake_assets.quality_assets.profiled import profiled

users_profile, users_constraints = profiled(
    "users",
    [Complete(column="id", severity="WARN"), RowCount(min=1, severity="WARN")],
    group_name=GROUP,
    owners=OWNERS,
    partitions_def=BATCHES,
    personal=PERSONAL,
    # Each batch has its own.
    compare=Comparison(ignore=("registration_dttm",)),
)
