"""Sensor `sinks_follow_main`: a sink is brought to `main`'s head where no run of its job does it."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dagster import (
    AssetKey,
    AssetSelection,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import RefNotFound
from lake_assets.layout.asset_folders import name_of, prefix_of
from lake_assets.nosql.contract import NoSQLError
from lake_assets.outbox.contract import OutboxError
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.resources.outbox import OutboxResource
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.lock import is_alive
from lake_assets.runs.publishing import LAYER, PUBLISHED

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

SINK = "sink"

RUNS_PER_TICK = 20
"""The first run brings the sink to the head; the others tell Dagster so of further stretches of partitions."""

DEADLINE = 10.0
"""Seconds that a tick waits for a server."""

Reflected = Callable[[AssetKey], str | None]
"""Tells which commit a sink reflects, and disturbs no run that feeds it; None: it was never fed."""


@sensor(
    target=AssetSelection.tag(LAYER, SINK),
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description=(
        "Runs a sink that is behind `main`: after a rollback, after a run that was published without its sinks, after "
        "a commit that no run made."
    ),
)
def sinks_follow_main(
    context: SensorEvaluationContext, lake: LakeResource, nosql: NoSQLResource, words_outbox: OutboxResource
) -> SensorResult | SkipReason:
    """Compare the commit that each sink reflects with the head of `main`."""
    repository = context.repository_def
    assert repository is not None
    head = lake.lake.head(MAIN)
    if context.cursor == head.id:
        return SkipReason(f"{MAIN} is still at {head.id}.")
    publisher = context.instance.get_run_by_id(CommitMetadata.parse(head.metadata).run_id or "")
    if publisher is not None and is_alive(context.instance, publisher):
        return SkipReason(f"Run {publisher.run_id}, which published {head.id}, goes on: it feeds its sinks itself.")
    graph = repository.asset_graph
    # A kind of sink is the resource that it writes to.
    kinds: Mapping[str, Reflected] = {
        "nosql": lambda sink: nosql.store.source_commit(name_of(sink)),
        "words_outbox": lambda _: words_outbox.outbox(lake.lake.repository, DEADLINE).delivered(),
    }
    requests: list[RunRequest] = []
    unknown: list[str] = []
    for sink in sorted(key for key in graph.toposorted_asset_keys if graph.get(key).tags.get(LAYER) == SINK):
        try:
            since = _reflected(graph, sink, kinds)
        except (NoSQLError, OutboxError) as error:
            # The other sinks are not to wait for it.
            unknown.append(f"{sink.to_user_string()}: {error}")
            continue
        if since is None:
            continue  # Never fed: the next run of its job builds it.
        inputs = [key for key in graph.get(sink).parent_keys if graph.get(key).tags.get(LAYER) != PUBLISHED]
        try:
            paths = [path for key in inputs for path in lake.lake.diff(since, head.id, prefix_of(key)).paths]
        except RefNotFound:
            continue  # Of another lake: built anew by the next run, too.
        requests += _requests(graph, sink, head.id, paths)
    if len(requests) > RUNS_PER_TICK:
        context.log.warning("%d runs would be wanted; the first %d are requested", len(requests), RUNS_PER_TICK)
    for problem in unknown:
        context.log.warning("%s", problem)
    # Asked again at the next tick, as long as one did not answer.
    cursor = context.cursor if unknown else head.id
    skip = "; ".join(unknown) or f"Every sink holds what {MAIN} holds at {head.id}."
    return SensorResult(requests[:RUNS_PER_TICK], skip_reason=None if requests else skip, cursor=cursor)


def _reflected(graph: "AssetGraph", sink: AssetKey, kinds: Mapping[str, Reflected]) -> str | None:
    """Return the commit that a sink reflects, as its kind tells; None where it has none of these kinds."""
    uses = graph.get(sink).assets_def.required_resource_keys
    return next((reflected(sink) for kind, reflected in kinds.items() if kind in uses), None)


def _requests(graph: "AssetGraph", sink: AssetKey, head: str, paths: Sequence[str]) -> list[RunRequest]:
    """Return a run for each stretch of adjacent partitions that changed, the newest first."""
    if not paths:
        return []
    name, definition = sink.to_user_string(), graph.get(sink).partitions_def
    if definition is None:
        return [RunRequest(f"{name}:{head}", asset_selection=[sink])]
    keys = {place.partition for place in AssetPlaces(graph).of(paths) if place.partition is not None}
    stretches = definition.subset_with_partition_keys(keys).get_partition_key_ranges(definition)
    requests: list[RunRequest] = []
    for first, last in sorted((stretch.start, stretch.end) for stretch in stretches):
        run_key = f"{name}:{head}:{first}"
        if first == last:
            requests.append(RunRequest(run_key, partition_key=first, asset_selection=[sink]))
        else:
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            requests.append(RunRequest(run_key, tags=tags, asset_selection=[sink]))
    return requests[::-1]
