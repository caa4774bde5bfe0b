"""Data quality: profiles in one pass whose states merge, constraints, and drift. It knows nothing of Dagster."""

from __future__ import annotations

from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.profile import Profile
from lake_assets.quality.profiling import profile, profile_files

__all__ = ["ColumnProfile", "Profile", "profile", "profile_files"]
