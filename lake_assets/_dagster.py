"""What is used of Dagster beyond its public API, each with the reason why.

An upgrade of Dagster is looked at here first.
"""

# No postponed annotations here: they are re-exported to modules whose annotations Dagster reads.

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import DataVersion

# Type hints only: the graph of all assets of a code location, which `RepositoryDefinition.asset_graph` returns.
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

# Type hints only: the assets of one job.
from dagster._core.definitions.assets.job.asset_layer import AssetLayer

# Keys of a dynamic definition are in the instance, and a definition asks for them through this context.
from dagster._core.definitions.partitions.context import partition_loading_context

# Which partitions an input asks for, without a list of every possible hour.
from dagster._core.definitions.partitions.subset import AllPartitionsSubset, PartitionsSubset

# Type hints only: one execution of a check, as the event log's index has it.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

# A key of a time window is read as Dagster reads it, at the change of the clocks, too.
from dagster._time import dst_safe_strptime, get_timezone
from dagster._utils.schedules import CroniterShim

if TYPE_CHECKING:
    from dagster import (
        AssetExecutionContext,
        AssetKey,
        AssetsDefinition,
        DagsterInstance,
        DagsterRun,
        InputContext,
        OutputContext,
    )

__all__ = [
    "AllPartitionsSubset",
    "AssetCheckExecutionRecord",
    "AssetGraph",
    "AssetLayer",
    "CroniterShim",
    "PartitionsSubset",
    "add_input_metadata",
    "add_partition_metadata",
    "assets_made",
    "assets_of_job",
    "dst_safe_strptime",
    "get_timezone",
    "graph_of",
    "instance_of",
    "is_own_input",
    "partition_loading_context",
    "partitions_subset",
    "run_of",
    "set_data_version",
    "source_file_of",
]

# An IO manager's context has no public way to the run, its instance, or the assets of its job.


def run_of(context: "InputContext | OutputContext") -> "DagsterRun":
    """Return the run that an input or output belongs to."""
    return context.step_context.dagster_run


def instance_of(context: "InputContext | OutputContext") -> "DagsterInstance":
    """Return the Dagster instance of an input's or output's run."""
    return context.step_context.instance


def assets_of_job(context: "InputContext | OutputContext") -> AssetLayer:
    """Return the assets of an input's or output's job."""
    return context.step_context.job_def.asset_layer


def is_own_input(context: "InputContext") -> bool:
    """Return whether a step reads an asset that it makes itself: other partitions of it."""
    made = assets_made(context)
    return made is not None and context.asset_key in made.keys


def assets_made(context: "InputContext") -> "AssetsDefinition | None":
    """Return the assets that the step of an input makes; None where it makes none."""
    step = context.step_context
    return step.job_def.asset_layer.get_assets_def_for_node(step.node_handle)


def partitions_subset(context: "InputContext") -> PartitionsSubset:
    """Return the partitions that an input asks for.

    ``asset_partition_keys``, which is public, makes a list of every possible hour.
    """
    subset = context._asset_partitions_subset  # pyright: ignore[reportPrivateUsage]
    assert subset is not None
    return subset


def set_data_version(context: "OutputContext", version: str) -> None:
    """Set the data version of an output. Only the context of an asset's function has it publicly."""
    context.step_context.set_data_version(context.asset_key, DataVersion(version))


def add_partition_metadata(context: "OutputContext", metadata: Mapping[str, Any], partition: str) -> None:
    """Add metadata to one partition of an output. `add_output_metadata` repeats them on every partition."""
    context.step_context.add_asset_metadata(metadata, context.asset_key, partition)


def add_input_metadata(context: "InputContext", metadata: Mapping[str, Any]) -> None:
    """Add metadata to the event of a loaded input.

    `InputContext.add_input_metadata` observes the asset besides, and refuses an input of several partitions.
    """
    merged = {**context._user_generated_metadata, **metadata}  # pyright: ignore[reportPrivateUsage]
    context._user_generated_metadata = merged  # pyright: ignore[reportPrivateUsage]


def graph_of(context: "AssetExecutionContext") -> AssetGraph:
    """Return the graph of the whole code location, whatever the run's job selected of it.

    A job's own graph lacks the checks that it did not select. It knows the graph that it was selected from, in a run
    without a code location, too.
    """
    return context.job_def.asset_layer.asset_graph.source_asset_graph


def source_file_of(layer: AssetLayer, key: "AssetKey") -> str | None:
    """Return the file of an asset's function; None where its function is of no file, or it is made by a graph."""
    function = getattr(getattr(layer.get(key).assets_def.node_def, "compute_fn", None), "decorated_fn", None)
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) if function is not None else None
    except TypeError:
        return None
