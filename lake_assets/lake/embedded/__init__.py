"""The embedded lake backend. Import it only when it is used, since importing pygit2 takes time."""

from lake_assets.lake.embedded.repository import GitLake

__all__ = ["GitLake"]
