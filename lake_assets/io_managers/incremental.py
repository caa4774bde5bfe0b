"""Assets that are written by increments: a run replaces some files, and the others stay."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from dagster import Failure, MetadataValue, OutputContext

from lake_assets.databases.contract import DatabaseError
from lake_assets.frames.increment import (
    EMPTY,
    POSITION,
    Increment,
    next_state,
    read_state,
    state_path,
    write_file,
)
from lake_assets.frames.stored_types import stored_schema
from lake_assets.io_managers.lake_io_manager import message_of
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, Write
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import beside
from lake_assets.layout.manifest import Manifest, read_manifest, save_manifest

SOURCE_POSITION = "source/position"
"""Commit metadata: how far the source was read, as JSON."""


class IncrementalIOManager(ParquetIOManager):
    """Stores increments of an unpartitioned asset as Parquet, and loads the whole asset as a frame.

    An asset returns an :class:`~lake_assets.frames.increment.Increment`. One commit holds the rows, the files that are
    derived from them, and the position up to which the source was read. So rows and position always agree: a run that
    fails, is killed or is rolled back reads again exactly what is not in the lake.

    Examples
    --------
    >>> @asset(io_manager_key="incremental_io_manager", pool="ticks")
    ... def ticks(lake: LakeResource) -> Increment: ...
    """

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Store an increment in one commit.

        Parameters
        ----------
        context
            The output.
        obj
            The increment.

        Raises
        ------
        OtherColumns
            The files that stay have other columns.
        """
        name = context.asset_key.to_user_string()
        if not isinstance(obj, Increment):
            raise TypeError(f"{name} returned a {type(obj).__name__}; incremental_io_manager stores an Increment")
        if context.has_asset_partitions:
            raise TypeError(f"{name} has partitions: what incremental_io_manager stores has none")
        try:
            super().handle_output(context, obj)
        except DatabaseError as error:
            # The rows are read while they are written.
            raise Failure(str(error)) from None

    def _open(
        self, context: OutputContext, lake: Lake, branch: str, target: Target, obj: Any
    ) -> AbstractContextManager[Write]:
        # The files of folders beside the written one stay. So the asset's own folder is beside that of its position.
        apart = beside(target.prefix)
        folders = sorted({f"{apart}/{name.partition('/')[0]}" for name in obj.beside})
        return lake.write(branch, f"{apart}/{POSITION}", message=message_of(context), beside=[target.prefix, *folders])

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        increment: Increment = obj
        lake, prefix = self.lake.lake, target.prefix
        before = read_state(lake, write.base, prefix)
        schema = stored_schema(increment.schema)
        written: dict[str, tuple[int, int, int]] = {}
        for name, rows in increment.files.items():
            path = f"{prefix}/{name}.parquet"
            if rows is None:
                write.removed.add(path)
                continue
            schema, written[name] = write_file(write.filesystem, _place(write, path), rows)
        for name, rows in increment.beside.items():
            path = f"{beside(prefix)}/{name}.parquet"
            if rows is None:
                write.removed.add(path)
            else:
                write_file(write.filesystem, _place(write, path), rows)
        state = next_state(before, schema, increment, written)
        if not state.files:
            _, sums = write_file(write.filesystem, _place(write, f"{prefix}/{EMPTY}.parquet"), schema.empty_table())
            state = next_state(None, schema, increment, {EMPTY: sums})
        elif before is not None and EMPTY in before.files:
            write.removed.add(f"{prefix}/{EMPTY}.parquet")
        with write.filesystem.open_output_stream(f"{write.root}/{state_path('').rpartition('/')[2]}") as stream:
            stream.write(state.encode())
        write.metadata[SOURCE_POSITION] = json.dumps(increment.position, sort_keys=True)
        content = state.content(schema)
        manifest = self._manifest(write, target)
        metadata = {"source_position": MetadataValue.json(dict(increment.position)), **increment.metadata}
        return {"": Stored(content.rows, content.version, metadata, manifest.beside)}

    def _manifest(self, write: Write, target: Target) -> Manifest:
        """Return a manifest with the files that the commit will have, by the manifest before."""
        lake, prefix = self.lake.lake, target.prefix
        apart = beside(prefix)
        sizes = {item.path: item.size for folder in (prefix, apart) for item in lake.list(write.base, folder)}
        sizes |= _written(write, f"{apart}/{POSITION}", write.root)
        for folder, root in write.beside.items():
            sizes |= _written(write, folder, root)
        for path in write.removed:
            sizes.pop(path, None)
        rows = {path[len(prefix) + 1 :]: size for path, size in sizes.items() if path.startswith(f"{prefix}/")}
        others = {path[len(apart) + 1 :]: size for path, size in sizes.items() if path.startswith(f"{apart}/")}
        shown = {name: size for name, size in rows.items() if not name.rpartition("/")[2].startswith(("_", "."))}
        return Manifest(rows=0, data_version="", files=shown, beside=others)

    def _describe(self, write: Write, target: Target, stored: Mapping[str, Stored]) -> None:
        files = self._manifest(write, target).files
        part = stored[""].manifest(target.windows)
        manifest = Manifest(rows=part.rows, data_version=part.data_version, files=files, beside=part.beside)
        save_manifest(write.filesystem, write.beside[target.prefix], manifest)

    def _unchanged(
        self, lake: Lake, commit: str, target: Target, stored: Mapping[str, Stored]
    ) -> dict[str, Stored] | None:
        """Return what was stored if the commit holds the same rows, read up to the same position."""
        state = read_state(lake, commit, target.prefix)
        position = stored[""].metadata["source_position"].value
        try:
            version = read_manifest(lake.path(commit, target.prefix)).data_version
        except (PathNotFound, OSError, ValueError, KeyError):
            return None
        same = state is not None and state.position == position and version == stored[""].version
        return dict(stored) if same else None


def _place(write: Write, path: str) -> str:
    place = write.place(path)
    write.filesystem.create_dir(place.rpartition("/")[0], recursive=True)
    return place


def _written(write: Write, folder: str, root: str) -> dict[str, int]:
    """Return the files that were written to a folder: path in the lake to size."""
    from pyarrow.fs import FileSelector, FileType

    found = write.filesystem.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
    return {f"{folder}{info.path[len(root) :]}": info.size for info in found if info.type == FileType.File}
