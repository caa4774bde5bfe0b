"""The embedded lake backend; imported where it is used, since pygit2 is not free."""

from lake_assets.lake.embedded.repository import EmbeddedLake

__all__ = ["EmbeddedLake"]
