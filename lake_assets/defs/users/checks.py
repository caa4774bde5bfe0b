"""The audit of `users_without_pii`: the blocking check before a run's branch is merged into `main`."""

# No postponed annotations here: Dagster reads them when the decorators run.

import dataclasses
import warnings

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    MetadataValue,
    PreviewWarning,
    multi_asset_check,
)

from lake_assets.defs.users.config import WITHOUT_PII, dropped_columns
from lake_assets.defs.users.partitions import BATCHES
from lake_assets.defs.users.pii import Search, search
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import read_ref
from lake_assets.runs.check_results import logged
from lake_assets.runs.checked_commits import checked_at
from lake_assets.text.markdown import as_markdown

NO_PII = AssetCheckKey(AssetKey(WITHOUT_PII), "no_pii")

_FILES_SHOWN = 20


def _spec() -> AssetCheckSpec:
    with warnings.catch_warnings():
        # Without partitions a check would get the whole history.
        warnings.simplefilter("ignore", PreviewWarning)
        return AssetCheckSpec(
            NO_PII.name,
            asset=NO_PII.asset_key,
            description=(
                "No file of any batch contains a dropped column, or a value that looks like an e-mail or IP address. "
                "If older batches contain one, run them and this one again as one range."
            ),
            blocking=True,
            partitions_def=BATCHES,
        )


@multi_asset_check(name="users_audit", specs=[_spec()])
def users_audit(context: AssetCheckExecutionContext, lake: LakeResource) -> AssetCheckResult:
    """Search all batches of the asset on the run's branch, including those of other runs."""
    ref = read_ref(lake.lake, context.instance, context.run)
    columns = dropped_columns(context.run.run_config)
    found = search(lake.lake, ref, prefix_of(NO_PII.asset_key), columns)
    result = AssetCheckResult(
        check_name=NO_PII.name,
        passed=not found.columns and not found.values,
        description=_describe(found),
        # Only counts and places, since the values must not become public.
        metadata={
            **checked_at(ref),
            "columns": columns,
            "files": found.files,
            "files_with_columns": len(found.columns),
            "emails": sum(item.emails for item in found.values),
            "ip_addresses": sum(item.ip_addresses for item in found.values),
            "columns_left": MetadataValue.json(dict(sorted(found.columns.items())[:_FILES_SHOWN])),
            "values_left": MetadataValue.json([dataclasses.asdict(item) for item in found.values[:_FILES_SHOWN]]),
        },
    )
    return logged(context.log, result)


def _describe(found: Search) -> str:
    columns = sorted({name for names in found.columns.values() for name in names})
    reasons = [f"{len(found.columns)} file(s) have {', '.join(map(as_markdown, columns))}"] if columns else []
    reasons += [
        f"{as_markdown(item.file)} has {item.emails} e-mail and {item.ip_addresses} IP address(es) in "
        f"{as_markdown(item.column)}"
        for item in found.values[:_FILES_SHOWN]
    ]
    return "; ".join(reasons) or f"Nothing personal is left in {found.files} file(s)."
