"""The versioned lake: one contract, and its backends.

Examples
--------
>>> lake = open("embedded", home=".lake")
>>> lake.branches()
('main',)
"""

from lake_assets.lake.backends import open_lake as open  # noqa: A004 -- `lake_assets.lake.open(…)`

__all__ = ["open"]
