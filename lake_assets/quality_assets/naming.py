"""The key of the profile of an asset, and where its constraints are declared."""

from __future__ import annotations

from dagster import AssetKey

CONSTRAINTS = "quality/constraints"
"""Definition metadata of a profile: the constraints of its asset, as YAML."""


def profile_key(asset: AssetKey) -> AssetKey:
    """Return the key of an asset's profile: ``<asset>_profile``.

    Parameters
    ----------
    asset
        Key of the asset.
    """
    return AssetKey([*asset.path[:-1], f"{asset.path[-1]}_profile"])
