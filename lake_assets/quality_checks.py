"""A factory of asset checks that are made from constraints."""

# No postponed annotations here: Dagster reads them when the decorators run.

import warnings
from collections.abc import Collection, Iterator, Sequence

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    PartitionsDefinition,
    PreviewWarning,
    multi_asset_check,
)

from lake_assets.lake.names import join
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import folders
from lake_assets.quality.constraints import AnyConstraint, Complete
from lake_assets.quality.lake_profiles import rows_at
from lake_assets.quality.profiling import profile
from lake_assets.quality.verifying import Verdict, verify
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import read_ref
from lake_assets.runs.check_results import logged
from lake_assets.runs.checked_commits import checked_at


def constraint_checks(
    asset: str | Sequence[str] | AssetKey,
    constraints: Sequence[AnyConstraint],
    *,
    partitions_def: PartitionsDefinition[str] | None = None,
    personal: Collection[str] = (),
) -> AssetChecksDefinition:
    """Return checks of an asset, one for each constraint. A constraint of severity ``ERROR`` blocks.

    They read the run's branch. A partition's rows are read at once.

    Parameters
    ----------
    asset
        Key of the asset.
    constraints
        The constraints.
    partitions_def
        The partitions of the asset.
    personal
        Names of columns of which the profile keeps no value.

    Examples
    --------
    >>> checks = constraint_checks("trades", [Complete(column="isin"), Range(column="price", min=0)])
    """
    key = AssetKey.from_coercible(asset)
    with warnings.catch_warnings():
        # Without partitions a check would get the whole history.
        warnings.simplefilter("ignore", PreviewWarning)
        specs = [
            AssetCheckSpec(
                one.title,
                asset=key,
                description=_describe(one),
                blocking=one.severity == "ERROR",
                partitions_def=partitions_def,
            )
            for one in constraints
        ]

    @multi_asset_check(name=f"{'_'.join(key.path)}_constraints", specs=specs)
    def check(context: AssetCheckExecutionContext, lake: LakeResource) -> Iterator[AssetCheckResult]:
        """Verify the constraints: by the profile where that suffices, all others in one more pass."""
        ref = read_ref(lake.lake, context.instance, context.run)
        places = [""]
        if partitions_def is not None:
            places = list(folders(partitions_def, context.op_execution_context.partition_keys).values())
        found: list[list[Verdict]] = []
        for place in places:
            rows = rows_at(lake.lake, ref, join(prefix_of(key), place) if place else prefix_of(key))
            found.append(verify(rows, constraints, known=profile(rows, personal=personal)))
        for one, verdicts in zip(constraints, zip(*found, strict=True), strict=True):
            yield logged(context.log, _result(key, one, verdicts, ref))

    return check


def _result(key: AssetKey, one: AnyConstraint, verdicts: Sequence[Verdict], ref: str) -> AssetCheckResult:
    bad, rows = sum(verdict.bad for verdict in verdicts), sum(verdict.rows for verdict in verdicts)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    return AssetCheckResult(
        asset_key=key,
        check_name=one.title,
        passed=not failed,
        severity=AssetCheckSeverity.ERROR if one.severity == "ERROR" else AssetCheckSeverity.WARN,
        description=(failed or verdicts)[0].description if len(verdicts) == 1 else f"{bad:,} of {rows:,} rows break it",
        metadata={"bad_rows": bad, "rows": rows, **checked_at(ref)},
    )


def _describe(one: AnyConstraint) -> str:
    kind = (type(one).__doc__ or "").partition("\n")[0]
    about = ", ".join(one.named_columns)
    share = f" At least {one.at_least:.1%}." if isinstance(one, Complete) else ""
    return f"{about}: {kind}{share}" if about else kind
