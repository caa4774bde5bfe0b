"""The private parts of Dagster that are used, each with the reason.

When Dagster is upgraded, check this module first.
"""

# No postponed annotations here: they are re-exported to modules whose annotations Dagster reads.

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import DataVersion

# Type hints only: the graph of all assets of a code location, which `RepositoryDefinition.asset_graph` returns.
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

# Type hints only: the assets of one job.
from dagster._core.definitions.assets.job.asset_layer import AssetLayer

# The keys of a dynamic partitions definition are in the instance. The definition reads them through this context.
from dagster._core.definitions.partitions.context import partition_loading_context

# The partitions that an input asks for, without a list of every possible hour.
from dagster._core.definitions.partitions.subset import AllPartitionsSubset, PartitionsSubset

# What a launcher of runs is handed, and what it answers to Dagster's monitoring of runs.
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus

# What Dagster records of the code location that a run belongs to. Only the launcher of a run sets it publicly.
from dagster._core.remote_origin import RemoteRepositoryOrigin

# What a coordinator of runs is handed.
from dagster._core.run_coordinator import SubmitRunContext

# Type hints only: one execution of a check in the event log's index.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

# What `dagster.yaml` says of a class that it names.
from dagster._serdes import ConfigurableClassData

# To parse a time partition's key as Dagster does, also at a change of the clocks.
from dagster._time import dst_safe_strptime, get_timezone

# Around a run, signals are noted; inside, where it is safe, they end it.
from dagster._utils.interrupts import capture_interrupts
from dagster._utils.schedules import CroniterShim

if TYPE_CHECKING:
    from dagster import (
        AssetCheckExecutionContext,
        AssetCheckKey,
        AssetExecutionContext,
        AssetKey,
        AssetsDefinition,
        DagsterInstance,
        DagsterRun,
        InputContext,
        OutputContext,
        SensorEvaluationContext,
    )

__all__ = [
    "AllPartitionsSubset",
    "AssetCheckExecutionRecord",
    "AssetGraph",
    "AssetLayer",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "CroniterShim",
    "LaunchRunContext",
    "PartitionsSubset",
    "SubmitRunContext",
    "WorkerStatus",
    "add_input_metadata",
    "add_partition_metadata",
    "assets_made",
    "assets_of_job",
    "capture_interrupts",
    "dst_safe_strptime",
    "execute_run",
    "get_timezone",
    "graph_of",
    "instance_of",
    "is_own_input",
    "partition_loading_context",
    "partitions_subset",
    "record_location",
    "run_of",
    "set_data_version",
    "source_file_of",
]

# The context of an IO manager has no public access to the run, its instance, or the assets of its job.


def run_of(context: "InputContext | OutputContext") -> "DagsterRun":
    """Return the run of an input or output.

    Parameters
    ----------
    context
        Context of the input or output.
    """
    return context.step_context.dagster_run


def instance_of(context: "InputContext | OutputContext") -> "DagsterInstance":
    """Return the Dagster instance of an input's or output's run.

    Parameters
    ----------
    context
        Context of the input or output.
    """
    return context.step_context.instance


def assets_of_job(context: "InputContext | OutputContext") -> AssetLayer:
    """Return the assets of an input's or output's job.

    Parameters
    ----------
    context
        Context of the input or output.
    """
    return context.step_context.job_def.asset_layer


def is_own_input(context: "InputContext") -> bool:
    """Return whether a step reads other partitions of an asset that it makes itself.

    Parameters
    ----------
    context
        Context of the input.
    """
    made = assets_made(context)
    return made is not None and context.asset_key in made.keys


def assets_made(context: "InputContext") -> "AssetsDefinition | None":
    """Return the assets that the step of an input makes; None if it makes no assets.

    Parameters
    ----------
    context
        Context of the input.
    """
    step = context.step_context
    return step.job_def.asset_layer.get_assets_def_for_node(step.node_handle)


def partitions_subset(context: "InputContext") -> PartitionsSubset:
    """Return the partitions that an input asks for.

    The public ``asset_partition_keys`` makes a list of every possible hour.

    Parameters
    ----------
    context
        Context of the input.
    """
    subset = context._asset_partitions_subset  # pyright: ignore[reportPrivateUsage]
    assert subset is not None
    return subset


def set_data_version(context: "OutputContext", version: str) -> None:
    """Set the data version of an output. Publicly, only the context of an asset's function can do it.

    Parameters
    ----------
    context
        Context of the output.
    version
        The data version.
    """
    context.step_context.set_data_version(context.asset_key, DataVersion(version))


def add_partition_metadata(context: "OutputContext", metadata: Mapping[str, Any], partition: str) -> None:
    """Add metadata to one partition of an output. The public `add_output_metadata` adds them to every partition.

    Parameters
    ----------
    context
        Context of the output.
    metadata
        The metadata.
    partition
        Partition key.
    """
    context.step_context.add_asset_metadata(metadata, context.asset_key, partition)


def add_input_metadata(context: "InputContext", metadata: Mapping[str, Any]) -> None:
    """Add metadata to the event of a loaded input.

    The public `InputContext.add_input_metadata` also records an observation, and refuses several partitions.

    Parameters
    ----------
    context
        Context of the input.
    metadata
        The metadata.
    """
    merged = {**context._user_generated_metadata, **metadata}  # pyright: ignore[reportPrivateUsage]
    context._user_generated_metadata = merged  # pyright: ignore[reportPrivateUsage]


def graph_of(context: "AssetExecutionContext") -> AssetGraph:
    """Return the graph of the whole code location, whatever the run's job selected.

    The job's own graph lacks the checks that the job did not select. But it knows the graph that it was selected from,
    even in a run without a code location.

    Parameters
    ----------
    context
        Context of the asset.
    """
    return context.job_def.asset_layer.asset_graph.source_asset_graph


def source_file_of(layer: AssetLayer, key: "AssetKey") -> str | None:
    """Return the source file of an asset's function; None if the function has no file, or a graph makes the asset.

    Parameters
    ----------
    layer
        The assets of the job.
    key
        Key of the asset.
    """
    function = getattr(getattr(layer.get(key).assets_def.node_def, "compute_fn", None), "decorated_fn", None)
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) if function is not None else None
    except TypeError:
        return None


def execute_run(instance: "DagsterInstance", run_id: str) -> None:
    """Execute a run in this process, as the process does that Dagster starts for a run. It raises nothing.

    Parameters
    ----------
    instance
        The Dagster instance.
    run_id
        Id of the run.
    """
    # Imported here, since it is Dagster's command line with all that belongs to it.
    from dagster._cli.api import _execute_run_command_body  # pyright: ignore[reportPrivateUsage]

    _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=False)


def record_location(context: "SensorEvaluationContext", run: "DagsterRun") -> None:
    """Record with a run that it belongs to the code location of a sensor, as ``dagster run migrate-repository`` does.

    Parameters
    ----------
    context
        Context of the sensor.
    run
        The run.
    """
    assert context.code_location_origin is not None
    assert context.repository_name is not None
    origin = RemoteRepositoryOrigin(context.code_location_origin, context.repository_name)
    # The tag first: the storage changes it where it is, and adds none.
    context.instance.add_run_tags(run.run_id, {REPOSITORY_LABEL_TAG: origin.get_label()})
    tagged = context.instance.get_run_by_id(run.run_id)
    assert tagged is not None
    context.instance.run_storage.replace_job_origin(tagged, origin.get_job_origin(run.job_name))


def is_selected(context: "AssetCheckExecutionContext", key: "AssetKey") -> bool:
    """Tell whether the run of a check also materializes an asset.

    Parameters
    ----------
    context
        The check.
    key
        The asset.
    """
    return key in context.job_def.asset_layer.selected_asset_keys


def limited_pools(instance: "DagsterInstance") -> set[str]:
    """Return the names of the pools that have a limit. Only a command tells them publicly.

    Parameters
    ----------
    instance
        The Dagster instance.
    """
    return {pool.name for pool in instance.event_log_storage.get_pool_limits()}


def limit_pool(instance: "DagsterInstance", pool: str) -> None:
    """Give a pool the default limit. Dagster's queue does that only after it has counted a new pool's runs.

    Parameters
    ----------
    instance
        The Dagster instance.
    pool
        Name of the pool.
    """
    instance.event_log_storage.initialize_concurrency_limit_to_default(pool)


def check_history(
    instance: "DagsterInstance", key: "AssetCheckKey", limit: int, cursor: int | None
) -> Sequence[AssetCheckExecutionRecord]:
    """Return executions of a check, the newest first. The public API has only the latest.

    Parameters
    ----------
    instance
        The Dagster instance.
    key
        The check.
    limit
        Maximal number.
    cursor
        Id of the execution after which they begin, or None.
    """
    return instance.event_log_storage.get_asset_check_execution_history(key, limit, cursor)
