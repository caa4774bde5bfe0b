"""Which of the partitions that an input asks for are in the lake, and what happens where some are not.

An asset may have 80,000 possible hours, of which ten were made. One listing of the asset's folder finds the ten; the
possible ones are not enumerated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from dagster import InputContext, MetadataValue, MultiPartitionsDefinition, TimeWindowPartitionsDefinition
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.subset import AllPartitionsSubset

from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.io_managers.target import Target
from lake_assets.lake.errors import PathNotFound
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import key_of, partition_columns
from lake_assets.runs.asset_metadata import COMMIT, FIRST_MISSING, MISSING_PARTITIONS, PARTITIONS, PREFIX

if TYPE_CHECKING:
    from dagster import PartitionsDefinition
    from dagster._core.definitions.partitions.subset import PartitionsSubset

    from lake_assets.lake.contract import Lake, Snapshot

ALLOW_MISSING = "allow_missing_partitions"
"""Metadata of an input (`AssetIn`), of the asset that reads, or of the one that is read; the first that has it counts.
True loads what exists, False refuses holes."""

_SHOWN = 5
"""Missing partitions that are named one by one."""


@dataclass(frozen=True, slots=True)
class FoundInput:
    """What of an input is in the lake.

    Parameters
    ----------
    snapshot
        The folder of the one partition that is asked for, or the asset's folder.
    target
        The partitions that are there.
    several
        Whether several partitions are asked for, so that ``snapshot`` is the asset's folder.
    files
        Of several, folder below the prefix to the names of its files.
    """

    snapshot: Snapshot
    target: Target
    several: bool = False
    files: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def place(self, key: str) -> str:
        """Return where a partition is below the snapshot."""
        return self.target.folders[key] if self.several else ""


def find_input(context: InputContext, lake: Lake, ref: str) -> FoundInput | None:
    """Return what an input is to hold, as a commit has it; None where it is to hold no partition.

    An input of all partitions gets those that exist. Of any other input each partition must exist.
    :data:`ALLOW_MISSING` changes both. The event log gets the commit and the holes.

    Parameters
    ----------
    context
        The input.
    lake, ref
        The commit that the run reads.

    Raises
    ------
    PathNotFound
        The asset, or a partition that must be there, was never materialized on what this run reads.
    """
    prefix = prefix_of(context.asset_key)
    if not context.has_asset_partitions:
        _record(context, ref, prefix, {})
        with suppress(PathNotFound):
            return FoundInput(lake.path(ref, prefix), Target(prefix, None))
        what = f"{context.asset_key.to_user_string()} is not in the lake: materialize it first"
        raise PathNotFound(what, repository=lake.repository, ref=ref, path=prefix)
    with partition_loading_context(dynamic_partitions_store=context.instance):
        return _find_partitions(context, lake, ref, prefix)


def _find_partitions(context: InputContext, lake: Lake, ref: str, prefix: str) -> FoundInput | None:
    definition, subset = context.asset_partitions_def, _subset_of(context)
    number = _size(definition, subset)
    if number == 0:
        _record(context, ref, prefix, {})
        return None
    if number == 1:
        key = next(iter(subset.get_partition_keys()))
        target = Target(prefix, {key: partition_columns(definition, key)})
        _record(context, ref, prefix, {})
        with suppress(PathNotFound):
            return FoundInput(lake.path(ref, target.path(key)), target)
        if not _allows_missing(context):
            what = _missing(context, 1, [key], 1)
            raise PathNotFound(what, repository=lake.repository, ref=ref, path=target.path(key))
        return None
    files = _files(lake, ref, prefix)
    there = _present(definition, subset, number, files)
    absent = number - len(there)
    shown = list(islice((key for key in _keys(definition, subset) if key not in there), _SHOWN)) if absent else []
    _record(context, ref, prefix, _holes(number, shown, absent))
    if absent:
        allowed = _allows_missing(context)
        if not (allowed or (allowed is None and there and isinstance(subset, AllPartitionsSubset))):
            what = _missing(context, number, shown, absent)
            raise PathNotFound(what, repository=lake.repository, ref=ref, path=prefix)
    return FoundInput(lake.path(ref, prefix), Target(prefix, there), True, files) if there else None


def _subset_of(context: InputContext) -> PartitionsSubset:
    """Return the partitions that an input asks for.

    Not by ``asset_partition_keys``, which is public: it makes a list of every possible hour.
    """
    subset = context._asset_partitions_subset  # pyright: ignore[reportPrivateUsage]
    assert subset is not None
    return subset


def _size(definition: PartitionsDefinition[str], subset: PartitionsSubset) -> int:
    """Return how many partitions are asked for."""
    return definition.get_num_partitions() if isinstance(subset, AllPartitionsSubset) else len(subset)


def _files(lake: Lake, ref: str, prefix: str) -> dict[str, list[str]]:
    """Return each folder below an asset's that has files, with their names."""
    found: dict[str, list[str]] = {}
    for item in lake.list(ref, prefix):
        place, _, name = item.path[len(prefix) + 1 :].rpartition("/")
        found.setdefault(place, []).append(name)
    return found


def _present(
    definition: PartitionsDefinition[str], subset: PartitionsSubset, number: int, files: Mapping[str, Sequence[str]]
) -> dict[str, PartitionValues]:
    """Return the partitions that are asked for and have files, with their columns."""
    is_measured = isinstance(definition, (TimeWindowPartitionsDefinition, MultiPartitionsDefinition))
    if number > len(files) and is_measured:
        found = (key_of(definition, place) for place in files)
        return {key: partition_columns(definition, key) for key in found if key is not None and key in subset}
    asked = {key: partition_columns(definition, key) for key in subset.get_partition_keys()}
    return {key: values for key, values in asked.items() if folder(values) in files}


def _keys(definition: PartitionsDefinition[str], subset: PartitionsSubset) -> Iterator[str]:
    """Yield the keys that are asked for, each when it is wanted."""
    if not isinstance(definition, TimeWindowPartitionsDefinition):
        yield from subset.get_partition_keys()
        return
    for keys in subset.get_partition_key_ranges(definition):
        key: str | None = keys.start
        while key is not None:
            yield key
            key = definition.get_next_partition_key(key) if key != keys.end else None


def _allows_missing(context: InputContext) -> bool | None:
    """Return whether metadata allow holes; None where they do not mention them."""
    layer = context.step_context.job_def.asset_layer
    places: list[Mapping[str, Any]] = [context.definition_metadata or {}]
    made = layer.get_assets_def_for_node(context.step_context.node_handle)
    places += made.metadata_by_key.values() if made is not None else ()
    places.append(layer.get(context.asset_key).metadata)
    for metadata in places:
        if ALLOW_MISSING in metadata:
            value = metadata[ALLOW_MISSING]
            return bool(getattr(value, "value", value))
    return None


def _missing(context: InputContext, number: int, shown: Sequence[str], absent: int) -> str:
    """Return, in one line, which partitions are not in the lake, and what to do."""
    name = context.asset_key.to_user_string()
    keys = _list(shown, absent)
    if number == 1:
        what = f"{name} {keys} is not in the lake"
    else:
        what = f"{name} {keys} ({absent} of {number} partitions) are not in the lake"
    layer = context.step_context.job_def.asset_layer
    made = layer.get_assets_def_for_node(context.step_context.node_handle)
    if made is not None and context.asset_key in made.keys:
        return f"{what}: {name} reads its own earlier partitions, so make them first, one run each"
    return (
        f"{what}: materialize {'it' if absent == 1 else 'them'} first or, to load what exists, give the input "
        f'AssetIn(metadata={{"{ALLOW_MISSING}": True}})'
    )


def _list(shown: Sequence[str], absent: int) -> str:
    return ", ".join(shown) + (f" and {absent - len(shown)} more" if absent > len(shown) else "")


def _holes(number: int, shown: Sequence[str], absent: int) -> dict[str, MetadataValue[Any]]:
    """Return metadata of a loading: how many partitions there are, and which are missing."""
    found: dict[str, MetadataValue[Any]] = {PARTITIONS: MetadataValue.int(number - absent)}
    if absent:
        found[MISSING_PARTITIONS] = MetadataValue.int(absent)
        found[FIRST_MISSING] = MetadataValue.text(_list(shown, absent))
    return found


def _record(context: InputContext, commit: str, prefix: str, holes: Mapping[str, MetadataValue[Any]]) -> None:
    """Put into the event log which commit an input is read at: of a check's input, it is the commit that is checked.

    Not by ``add_input_metadata``: that observes the asset besides, and refuses an input of several partitions.
    """
    metadata = {COMMIT: MetadataValue.text(commit), PREFIX: MetadataValue.text(prefix), **holes}
    context._user_generated_metadata = {  # pyright: ignore[reportPrivateUsage]
        **context._user_generated_metadata,  # pyright: ignore[reportPrivateUsage]
        **metadata,
    }
