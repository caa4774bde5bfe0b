"""Finds the partitions of an input that are in the lake, and handles missing ones.

An asset may have 80,000 possible hours, of which ten exist. One listing of the asset's folder finds the ten. The
possible ones are not enumerated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from dagster import InputContext, MetadataValue, MultiPartitionsDefinition, TimeWindowPartitionsDefinition

from lake_assets._dagster import (
    AllPartitionsSubset,
    PartitionsSubset,
    add_input_metadata,
    assets_made,
    assets_of_job,
    is_own_input,
    partition_loading_context,
    partitions_subset,
)
from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.io_managers.target import Target
from lake_assets.lake.errors import PathNotFound
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import partition_columns, partition_key_of
from lake_assets.runs.asset_metadata import COMMIT, FIRST_MISSING, MISSING_PARTITIONS, PARTITIONS, PREFIX

if TYPE_CHECKING:
    from dagster import PartitionsDefinition

    from lake_assets.lake.contract import Lake, Snapshot

ALLOW_MISSING = "allow_missing_partitions"
"""Metadata key: True loads the partitions that exist, False refuses missing ones.

It is looked up in the metadata of the input (`AssetIn`), then of the asset that reads, then of the asset that is read.
"""

_SHOWN = 5
"""The number of missing partitions that are named."""


@dataclass(frozen=True, slots=True)
class FoundInput:
    """The partitions of an input that are in the lake.

    Parameters
    ----------
    snapshot
        The asset's folder, or the folder of the only partition that is asked for.
    target
        The partitions that exist.
    several
        Whether several partitions are asked for. Then ``snapshot`` is the asset's folder.
    files
        Folder below the prefix to the names of its files, if several partitions are asked for.
    """

    snapshot: Snapshot
    target: Target
    several: bool = False
    files: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def place(self, key: str) -> str:
        """Return the folder of a partition below the snapshot.

        Parameters
        ----------
        key
            Partition key.
        """
        return self.target.folders[key] if self.several else ""


def find_input(context: InputContext, lake: Lake, ref: str) -> FoundInput | None:
    """Find the partitions of an input in a commit; None if there is no partition to load.

    If the input asks for all partitions, those that exist are loaded. Otherwise each partition must exist.
    :data:`ALLOW_MISSING` changes both. The commit and the missing partitions are written to the event log.

    Parameters
    ----------
    context
        The input.
    lake
        The lake.
    ref
        The commit that the run reads.

    Raises
    ------
    PathNotFound
        The asset, or a partition that must exist, is not in the commit.
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
    definition, subset = context.asset_partitions_def, partitions_subset(context)
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
    present = _present(definition, subset, number, files)
    absent = number - len(present)
    shown = list(islice((key for key in _keys(definition, subset) if key not in present), _SHOWN)) if absent else []
    _record(context, ref, prefix, _partition_counts(number, shown, absent))
    if absent:
        allowed = _allows_missing(context)
        if not (allowed or (allowed is None and present and isinstance(subset, AllPartitionsSubset))):
            what = _missing(context, number, shown, absent)
            raise PathNotFound(what, repository=lake.repository, ref=ref, path=prefix)
    return FoundInput(lake.path(ref, prefix), Target(prefix, present), True, files) if present else None


def _size(definition: PartitionsDefinition[str], subset: PartitionsSubset) -> int:
    """Return the number of partitions that are asked for."""
    return definition.get_num_partitions() if isinstance(subset, AllPartitionsSubset) else len(subset)


def _files(lake: Lake, ref: str, prefix: str) -> dict[str, list[str]]:
    """Return each folder below an asset's folder that has files, with the names of the files."""
    found: dict[str, list[str]] = {}
    for item in lake.list(ref, prefix):
        place, _, name = item.path[len(prefix) + 1 :].rpartition("/")
        found.setdefault(place, []).append(name)
    return found


def _present(
    definition: PartitionsDefinition[str], subset: PartitionsSubset, number: int, files: Mapping[str, Sequence[str]]
) -> dict[str, PartitionValues]:
    """Return the partitions that are asked for and have files, with their columns."""
    may_be_many = isinstance(definition, (TimeWindowPartitionsDefinition, MultiPartitionsDefinition))
    if number > len(files) and may_be_many:
        found = (partition_key_of(definition, place) for place in files)
        return {key: partition_columns(definition, key) for key in found if key is not None and key in subset}
    asked = {key: partition_columns(definition, key) for key in subset.get_partition_keys()}
    return {key: values for key, values in asked.items() if folder(values) in files}


def _keys(definition: PartitionsDefinition[str], subset: PartitionsSubset) -> Iterator[str]:
    """Yield the keys that are asked for, lazily."""
    if not isinstance(definition, TimeWindowPartitionsDefinition):
        yield from subset.get_partition_keys()
        return
    for keys in subset.get_partition_key_ranges(definition):
        key: str | None = keys.start
        while key is not None:
            yield key
            key = definition.get_next_partition_key(key) if key != keys.end else None


def _allows_missing(context: InputContext) -> bool | None:
    """Return whether the metadata allow missing partitions; None if they do not say."""
    places: list[Mapping[str, Any]] = [context.definition_metadata or {}]
    made = assets_made(context)
    places += made.metadata_by_key.values() if made is not None else ()
    places.append(assets_of_job(context).get(context.asset_key).metadata)
    for metadata in places:
        if ALLOW_MISSING in metadata:
            value = metadata[ALLOW_MISSING]
            return bool(getattr(value, "value", value))
    return None


def _missing(context: InputContext, number: int, shown: Sequence[str], absent: int) -> str:
    """Return an error message: which partitions are not in the lake, and what to do."""
    name = context.asset_key.to_user_string()
    keys = _list(shown, absent)
    if number == 1:
        what = f"{name} {keys} is not in the lake"
    else:
        what = f"{name} {keys} ({absent} of {number} partitions) are not in the lake"
    if is_own_input(context):
        return f"{what}: {name} reads its own earlier partitions, so materialize them first, each in its own run"
    return (
        f"{what}: materialize {'it' if absent == 1 else 'them'} first or, to load what exists, give the input "
        f'AssetIn(metadata={{"{ALLOW_MISSING}": True}})'
    )


def _list(shown: Sequence[str], absent: int) -> str:
    return ", ".join(shown) + (f" and {absent - len(shown)} more" if absent > len(shown) else "")


def _partition_counts(number: int, shown: Sequence[str], absent: int) -> dict[str, MetadataValue[Any]]:
    """Return the metadata of an input: how many partitions were loaded, and which are missing."""
    found: dict[str, MetadataValue[Any]] = {PARTITIONS: MetadataValue.int(number - absent)}
    if absent:
        found[MISSING_PARTITIONS] = MetadataValue.int(absent)
        found[FIRST_MISSING] = MetadataValue.text(_list(shown, absent))
    return found


def _record(context: InputContext, commit: str, prefix: str, counts: Mapping[str, MetadataValue[Any]]) -> None:
    """Write to the event log at which commit an input is read. For a check's input, that is the commit it checks."""
    metadata = {COMMIT: MetadataValue.text(commit), PREFIX: MetadataValue.text(prefix), **counts}
    add_input_metadata(context, metadata)
