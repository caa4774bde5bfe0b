"""The assets that constraints refer to: their keys, and their rows at a commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagster import AssetKey

from lake_assets.lake.errors import PathNotFound
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.quality.constraints import AnyConstraint, Refers
from lake_assets.quality.lake_profiles import rows_at

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Lake


def referenced(constraints: Sequence[AnyConstraint]) -> list[AssetKey]:
    """Return the keys of the assets that constraints refer to.

    Parameters
    ----------
    constraints
        The constraints.
    """
    return [AssetKey.from_user_string(name) for name in _columns(constraints)]


def references_at(lake: Lake, ref: str, constraints: Sequence[AnyConstraint]) -> dict[str, pyarrow.Table]:
    """Return the rows that constraints refer to, by the names of their assets. Only columns that are named are kept.

    Parameters
    ----------
    lake
        The lake.
    ref
        Where the rows are read: all partitions.
    constraints
        The constraints.

    Raises
    ------
    ValueError
        An asset, or a column of it, is not there.
    """
    return {name: _rows(lake, ref, name, columns) for name, columns in _columns(constraints).items()}


def _columns(constraints: Sequence[AnyConstraint]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in constraints:
        if isinstance(one, Refers):
            found.setdefault(one.rows, []).append(one.to)
    return found


def _rows(lake: Lake, ref: str, name: str, columns: Sequence[str]) -> pyarrow.Table:
    try:
        return rows_at(lake, ref, prefix_of(AssetKey.from_user_string(name)), dict.fromkeys(columns))
    except PathNotFound as error:
        raise ValueError(
            f"constraints refer to the asset {name!r}, which has no rows in the lake at {ref}: materialize it first, "
            "or correct its name"
        ) from error
    except ValueError as error:
        raise ValueError(f"constraints refer to the asset {name!r}: {error}") from error
