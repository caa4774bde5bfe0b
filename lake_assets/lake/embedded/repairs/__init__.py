"""Finding damage of an embedded lake, and mending it from other copies of what was lost."""

from lake_assets.lake.embedded.repairs.finding import Finding
from lake_assets.lake.embedded.repairs.repair import repair

__all__ = ["Finding", "repair"]
