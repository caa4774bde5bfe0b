"""The key of the profile of an asset, and where its constraints are declared."""

from __future__ import annotations

import msgspec
from dagster import AssetKey

from lake_assets.quality.anomaly import AnomalyBounds

CONSTRAINTS = "quality/constraints"
"""Definition metadata of a profile: the constraints of its asset, as YAML."""

ANOMALY = "quality/anomaly"
"""Definition metadata of a profile: how its check `anomaly` judges, as :class:`AnomalyRules` in JSON."""


class AnomalyRules(msgspec.Struct, frozen=True):
    """How the check `anomaly` of an asset judges.

    Parameters
    ----------
    ignore
        Columns that are not judged.
    bounds
        What is an anomaly.
    """

    ignore: list[str] = []
    bounds: AnomalyBounds = AnomalyBounds()


def profile_key(asset: AssetKey) -> AssetKey:
    """Return the key of an asset's profile: ``<asset>_profile``.

    Parameters
    ----------
    asset
        Key of the asset.
    """
    return AssetKey([*asset.path[:-1], f"{asset.path[-1]}_profile"])
