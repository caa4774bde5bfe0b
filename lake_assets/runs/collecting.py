"""Collecting garbage, once a week."""

# No postponed annotations here: Dagster reads them when the decorators run.

from datetime import timedelta

from dagster import DefaultSensorStatus, SensorEvaluationContext, SkipReason, sensor

from lake_assets import settings
from lake_assets.lake.errors import NotSupported
from lake_assets.resources.lake import LakeResource


@sensor(
    minimum_interval_seconds=7 * 24 * 3600,
    default_status=DefaultSensorStatus.RUNNING,
    description=(
        "Once a week: packs the lake's Git objects, and removes what no branch, tag or reader has needed for "
        "GC_GRACE_DAYS."
    ),
)
def collect_garbage(context: SensorEvaluationContext, lake: LakeResource) -> SkipReason:
    """Collect, and say what was freed."""
    try:
        freed = lake.lake.collect_garbage(timedelta(days=settings.GC_GRACE_DAYS.number(0, 36_500)))
    except NotSupported as reason:
        return SkipReason(str(reason))
    for item in freed:
        context.log.info("Removed %s %s(s), %s bytes", item.count, item.kind, item.frees)
    return SkipReason(f"Freed {sum(item.frees for item in freed):,} bytes.")
