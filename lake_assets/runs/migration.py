"""Migrates a lake from format 1 to format 2. Files move unchanged, and keep their versions and lineage.

The formats differ in three ways:

- Format 1 stored the asset ``a/b`` in the folder ``a/b``. Format 2 stores it in ``a.b``.
- Format 1 named time partitions in UTC. Format 2 names them by their partition keys.
- Format 1 kept all files of a stream in one folder. Format 2 has a folder for its rows and one for the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from uuid import uuid4

from dagster import AssetKey, PartitionsDefinition, TimeWindow, TimeWindowPartitionsDefinition

from lake_assets.frames.hive_folders import folder
from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit, Lake, Write
from lake_assets.lake.errors import LakeError, WriteRefused
from lake_assets.lake.names import BESIDE, beside, is_within
from lake_assets.layout.asset_folders import name_of, old_prefix_of, prefix_of
from lake_assets.layout.manifest import MANIFEST
from lake_assets.layout.partitions import partition_columns
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.provenance import place_of
from lake_assets.streaming.places import moved

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

_POSITION = "position.json"


@dataclass(frozen=True, slots=True)
class Move:
    """The files of one asset that move.

    Parameters
    ----------
    asset
        Name of the asset in commit metadata.
    before
        The asset's folder in format 1.
    after
        The asset's folder in format 2.
    files
        Old path to new path. Files that stay in a folder that is replaced have the same path twice.
    places
        New folder to old folder, for each folder that one write made.
    replaced
        Folders below ``after`` to be replaced. If it is empty, the whole of ``after`` is replaced.
    """

    asset: str
    before: str
    after: str
    files: Mapping[str, str]
    places: Mapping[str, str]
    replaced: tuple[str, ...] = ()


def plan(lake: Lake, graph: AssetGraph, ref: str) -> list[Move]:
    """Return what has to move, asset by asset.

    Parameters
    ----------
    lake
        The lake.
    graph
        The graph of the code location.
    ref
        The ref whose files are examined.

    Raises
    ------
    WriteRefused
        Two files would move to the same path.
    """
    commit = lake.head(ref).id
    assets = {old_prefix_of(key): key for key in graph.toposorted_asset_keys}
    found = (_plan(lake, graph, commit, before, assets) for before in assets)
    return [move for move in found if move is not None]


def apply(lake: Lake, branch: str, wanted: list[Move]) -> None:
    """Move files on a branch other than ``main``, with one commit per asset.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch.
    wanted
        The moves, from :func:`plan`.
    """
    start = lake.head(branch).id
    for move in wanted:
        targets = {*move.files.values()}
        folders_beside = [path for path in (beside(move.after),) if any(is_within(target, path) for target in targets)]
        if move.before != move.after:
            folders_beside.append(move.before)
        with lake.write(
            branch,
            move.after,
            message=f"Move {move.asset} to where format 2 has it",
            metadata=CommitMetadata(moved=move.places).to_metadata(),
            partitions=move.replaced or None,
            beside=folders_beside,
        ) as write:
            _copy(lake, start, move, write)
            if move.before != move.after:
                write.removed |= {path for path in move.files if path.startswith(f"{move.before}/")}


def migrate_main(lake: Lake, wanted: list[Move], by: str) -> Commit:
    """Move files on a branch, merge it into ``main`` at once, and return the merge.

    Parameters
    ----------
    lake
        The lake.
    wanted
        The moves, from :func:`plan`.
    by
        The person who migrates the lake.
    """
    branch = f"migration-{uuid4().hex}"
    lake.create_branch(branch, MAIN)
    try:
        apply(lake, branch, wanted)
        allowed = Override(by, "`lake-assets migrate` moved the same bytes to where format 2 has them")
        return lake.merge(branch, MAIN, "Migrate the lake to format 2", audit=allowed)
    finally:
        with suppress(LakeError):
            lake.delete_branch(branch)


def _plan(lake: Lake, graph: AssetGraph, commit: str, before: str, assets: Mapping[str, AssetKey]) -> Move | None:
    """Return the move of the asset that has the folder ``before`` in format 1, one of ``assets``."""
    key = assets[before]
    after, definition = prefix_of(key), graph.get(key).partitions_def
    # Deeper files may belong to another asset.
    paths = [item.path for item in lake.list(commit, before) if place_of(item.path, assets.keys()) == before]
    if f"{before}/{_POSITION}" in paths and definition is None:
        files = {path: moved(f"{after}/{path[len(before) + 1 :]}", after) for path in paths}
        if files.keys() == {*files.values()}:
            return None
        return _checked(Move(name_of(key), before, after, files, {after: before}))
    folders = {place: place for path in paths if (place := _place(path, before, definition))}
    if isinstance(definition, TimeWindowPartitionsDefinition):
        names = {place: _new_folder(lake, commit, definition, before, place) for place in folders}
    else:
        names = {place: place for place in folders}
    files: dict[str, str] = {}
    for path in paths:
        place = _place(path, before, definition)
        below = path[len(before) + 1 + len(place) :]
        files[path] = f"{after}/{names[place]}{below}" if place else f"{after}/{path[len(before) + 1 :]}"
    if before != after:
        places = {f"{after}/{name}": f"{before}/{place}" for place, name in names.items()} or {after: before}
        return _checked(Move(name_of(key), before, after, files, places)) if files else None
    changed = {place: name for place, name in names.items() if place != name}
    if changed and any(CommitMetadata.parse(found.metadata).moved for found in lake.log(commit, None, before)):
        return None  # Migrated already: read as an old name, each new folder would be that of another partition.
    touched = {*changed, *changed.values()}
    files = {path: new for path, new in files.items() if _place(path, before, definition) in touched}
    places = {f"{after}/{name}": f"{before}/{place}" for place, name in changed.items()}
    return _checked(Move(name_of(key), before, after, files, places, tuple(sorted(touched)))) if changed else None


def _checked(move: Move) -> Move:
    if len({*move.files.values()}) < len(move.files):
        reason = "two files of this asset would have the same path in format 2"
        raise WriteRefused(f"{reason}: roll one of them back first", repository="", path=move.before)
    return move


def _place(path: str, prefix: str, definition: PartitionsDefinition[str] | None) -> str:
    """Return the partition folder of a file, relative to the asset's folder; empty if it is in no partition."""
    parts = path[len(prefix) + 1 :].split("/")[:-1]
    depth = next((number for number, part in enumerate(parts) if "=" not in part), len(parts))
    return "/".join(parts[:depth]) if definition is not None else ""


def _new_folder(lake: Lake, commit: str, definition: TimeWindowPartitionsDefinition, prefix: str, place: str) -> str:
    keys = list(_old_keys(definition, place))
    if len(keys) > 1:
        # Where the clocks change, format 1 gave two partitions the same folder. It holds the one written last.
        made = next(lake.log(commit, 1, f"{prefix}/{place}"), None)
        keys = [key for key in keys if made is not None and CommitMetadata.parse(made.metadata).partition == key]
    # A folder that belongs to no partition stays.
    return folder(partition_columns(definition, keys[0])) if len(keys) == 1 else place


def _old_keys(definition: TimeWindowPartitionsDefinition, place: str) -> Iterator[str]:
    """Yield the partition keys that had this folder in format 1."""
    columns = {name: value for name, _, value in (part.partition("=") for part in place.split("/"))}
    try:
        moment = f"{columns['day']} {columns.get('hour', '00')}:{columns.get('minute', '00')}"
        begin = datetime.strptime(moment, "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc)
    except (KeyError, ValueError):
        return
    span = timedelta(days=1)
    if "hour" in columns:
        span = timedelta(minutes=1) if "minute" in columns else timedelta(hours=1)
    for key in definition.get_partition_keys_in_time_window(TimeWindow(begin, begin + span)):
        if old_folder(definition, key) == place:
            yield key


def old_folder(definition: TimeWindowPartitionsDefinition, key: str) -> str:
    """Return the folder of a time window in format 1: its start in UTC, as exact as its length needs.

    Parameters
    ----------
    definition
        The asset's partitions.
    key
        Partition key.
    """
    window = definition.time_window_for_partition_key(key)
    start = window.start.astimezone(timezone.utc)
    columns = {"day": f"{start:%Y-%m-%d}"}
    if window.end - window.start < timedelta(hours=23):
        columns["hour"] = f"{start:%H}"
    if window.end - window.start < timedelta(hours=1):
        columns["minute"] = f"{start:%M}"
    return folder(columns)


def _copy(lake: Lake, commit: str, move: Move, write: Write) -> None:
    """Copy files to their new paths: by hard links on a local disk, by server-side copies in an object store."""
    from pyarrow.fs import LocalFileSystem

    snapshot = lake.path(commit, move.before)
    created: set[str] = set()
    for path, target in move.files.items():
        source = f"{snapshot.root}/{path[len(move.before) + 1 :]}"
        inside = target.startswith(f"{move.after}/")
        destination = f"{write.root}/{target[len(move.after) + 1 :]}" if inside else write.place(target)
        parent = destination.rpartition("/")[0]
        if parent not in created:
            write.filesystem.create_dir(parent, recursive=True)
            created.add(parent)
        if path == f"{move.before}/{MANIFEST}" and any(is_within(new, BESIDE) for new in move.files.values()):
            with snapshot.filesystem.open_input_stream(source) as stream:
                content = json.loads(stream.readall())
            with write.filesystem.open_output_stream(destination) as stream:
                stream.write(_manifest(content, move))
        elif isinstance(write.filesystem, LocalFileSystem):
            os.link(source, destination)
        else:
            write.filesystem.copy_file(source, destination)


def _manifest(content: dict[str, object], move: Move) -> bytes:
    """Return a stream's manifest with the new paths of its files."""
    listed = content["files"]
    assert isinstance(listed, dict)
    sizes = {move.files.get(f"{move.before}/{name}", ""): size for name, size in listed.items()}
    rows, apart = f"{move.after}/", f"{beside(move.after)}/"
    content["files"] = {path[len(rows) :]: size for path, size in sorted(sizes.items()) if path.startswith(rows)}
    content["beside"] = {path[len(apart) :]: size for path, size in sorted(sizes.items()) if path.startswith(apart)}
    return (json.dumps(content, indent=1) + "\n").encode()
