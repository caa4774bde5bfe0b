"""One declaration that gives an asset its profile in the lake, and its checks."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Collection, Sequence

import msgspec
from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    BackfillPolicy,
    Failure,
    PartitionsDefinition,
    asset,
)

from lake_assets.io_managers.profile import AssetProfile
from lake_assets.lake.contract import Lake
from lake_assets.lake.names import join
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import folders
from lake_assets.quality.anomaly import AnomalyBounds
from lake_assets.quality.constraints import AnyConstraint, to_yaml
from lake_assets.quality.lake_profiles import known_profile
from lake_assets.quality.questions import Asked, answers_at
from lake_assets.quality_assets.checks import constraint_checks
from lake_assets.quality_assets.comparison import Comparison
from lake_assets.quality_assets.naming import ANOMALY, CONSTRAINTS, AnomalyRules, profile_key
from lake_assets.quality_assets.page import profile_page
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import PERSONAL_COLUMNS
from lake_assets.runs.branch import read_ref
from lake_assets.runs.partitions import partitions_of


def profiled(
    of: str | Sequence[str] | AssetKey,
    constraints: Sequence[AnyConstraint] = (),
    *,
    group_name: str | None = None,
    owners: Sequence[str] = (),
    partitions_def: PartitionsDefinition[str] | None = None,
    backfill_policy: BackfillPolicy | None = None,
    personal: Collection[str] = (),
    compare: Comparison | None = None,
    asked: Asked | None = None,
) -> tuple[AssetsDefinition, AssetChecksDefinition]:
    """Return the asset ``<asset>_profile``, and the checks of the asset.

    A new partition costs its own profile alone: that of the whole asset is merged from those of its partitions. Give
    the profile to :func:`.published_asset` as one of its ``profiles``.

    Parameters
    ----------
    of
        Key of the asset.
    constraints
        What its rows must be.
    group_name, owners, backfill_policy
        As in :func:`dagster.asset`.
    partitions_def
        The partitions of the asset.
    personal
        Names of columns of which no value is kept or shown.
    compare
        What may differ from what was published before. By default the usual bounds.
    asked
        What the page shows besides, in a pass of its own.

    Examples
    --------
    >>> trades_profile, trades_checks = profiled("trades", [Complete(column="isin"), Range(column="price", min=0)])
    """
    key, rules = AssetKey.from_coercible(of), compare or Comparison()
    judged = AnomalyRules(sorted(rules.ignore), rules.anomaly or AnomalyBounds())

    @asset(
        key=profile_key(key),
        group_name=group_name,
        deps=[key],
        partitions_def=partitions_def,
        backfill_policy=backfill_policy,
        io_manager_key="profile_io_manager",
        kinds={"lake"},
        owners=owners,
        tags={"layer": "profile"},
        code_version="1",
        metadata={
            CONSTRAINTS: to_yaml(constraints),
            ANOMALY: msgspec.json.encode(judged).decode(),
            PERSONAL_COLUMNS: list(personal),
        },
        description=f"The profile of `{key.to_user_string()}`: the figures of its columns, and the state for merging.",
    )
    def made(context: AssetExecutionContext, lake: LakeResource) -> dict[str, AssetProfile]:
        ref = read_ref(lake.lake, context.instance, context.run)
        places = {"": ""} if partitions_def is None else folders(partitions_def, partitions_of(context))
        try:
            return {part: _made(lake.lake, ref, join(prefix_of(key), place)) for part, place in places.items()}
        except ValueError as error:
            # A retry cannot help.
            raise Failure(f"the profile of {key.to_user_string()}: {error}", allow_retries=False) from error

    def _made(lake: Lake, ref: str, place: str) -> AssetProfile:
        found = known_profile(lake, ref, place, personal)
        answers = answers_at(lake, ref, place, found, asked) if asked is not None else ()
        return AssetProfile(found, lake.fingerprint(ref, place) or "", profile_page(found, answers))

    checks = constraint_checks(key, constraints, partitions_def=partitions_def, personal=personal, compare=rules)
    return made, checks
