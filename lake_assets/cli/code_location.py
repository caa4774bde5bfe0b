"""The graph of the code location, whose blocking checks decide what may be published."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph


def load_graph() -> AssetGraph:
    """Load the code location and return its asset graph."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's notes for developers
        from lake_assets.definitions import defs
    return defs.resolve_asset_graph()
