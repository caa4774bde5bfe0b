"""The lakeFS lake backend; imported where it is used, since its client is not free."""

from lake_assets.lake.lakefs.repository import LakeFSLake

__all__ = ["LakeFSLake"]
