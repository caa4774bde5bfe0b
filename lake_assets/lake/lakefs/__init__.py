"""The lakeFS lake backend. Import it only when it is used, since importing its client takes time."""

from lake_assets.lake.lakefs.repository import LakeFSLake

__all__ = ["LakeFSLake"]
