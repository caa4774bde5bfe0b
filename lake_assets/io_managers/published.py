"""Refuses to materialize partitions of a sink that ``main`` never held, such as after a restore from a backup."""

from __future__ import annotations

from collections.abc import Iterator

from dagster import AssetKey, Failure, OutputContext, PartitionsDefinition

from lake_assets._dagster import assets_of_job, instance_of
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.names import join
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import folders
from lake_assets.runs.asset_metadata import PREFIX

_SHOWN = 5


def refuse_unpublished(context: OutputContext, lake: Lake, commit: str) -> None:
    """Raise if ``main`` never held a partition that a sink's step is about to materialize.

    A partition that was deleted or rolled back is none of these: the sink follows that.

    Parameters
    ----------
    context
        The sink's output.
    lake
        The lake.
    commit
        The commit of ``main`` that the sink reflects now.

    Raises
    ------
    Failure
        Names the partitions.
    """
    if not context.has_asset_partitions:
        return
    definition = context.asset_partitions_def
    keys = list(context.asset_partition_keys)
    parents = list(_lake_parents(context, lake, commit, definition))
    if not parents:
        return
    places = folders(definition, keys)
    lacking = [key for key in keys if not any(_ever_held(lake, commit, join(up, places[key])) for up in parents)]
    if lacking:
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        raise Failure(
            f"{MAIN} never held {', '.join(lacking[:_SHOWN])}{more} of {', '.join(parents)}, so "
            f"{context.asset_key.to_user_string()} was brought to what {MAIN} holds at commit {commit}, and nothing is "
            "materialized for them. Was the lake restored from a backup? Then `lake-assets verify` says what it lacks: "
            "materialize and publish that first.",
            allow_retries=False,
        )


def _lake_parents(
    context: OutputContext, lake: Lake, commit: str, definition: PartitionsDefinition[str]
) -> Iterator[str]:
    """Yield the folders of the upstream assets that are in the lake and have the same partitions."""
    layer = assets_of_job(context)
    for key in sorted(layer.get(context.asset_key).parent_keys):
        if layer.has(key) and layer.get(key).partitions_def == definition and _is_in_lake(context, lake, commit, key):
            yield prefix_of(key)


def _is_in_lake(context: OutputContext, lake: Lake, commit: str, key: AssetKey) -> bool:
    if _ever_held(lake, commit, prefix_of(key)):
        return True
    # The lake may be older than all that Dagster knows.
    event = instance_of(context).get_latest_materialization_event(key)
    made = event.asset_materialization if event is not None else None
    return made is not None and PREFIX in made.metadata


def _ever_held(lake: Lake, commit: str, folder: str) -> bool:
    if lake.fingerprint(commit, folder) is not None:
        return True
    return next(lake.log(commit, 1, folder), None) is not None
