"""The manifest in every folder that an output replaces. It records the rows, data version and files of the folder.

If two runs write the same partition, their manifests differ. So merging both is a conflict and never mixes their files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lake_assets.lake.names import beside
from lake_assets.streaming.places import moved

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lake_assets.lake.contract import Snapshot

MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A description of what was written to one folder.

    Parameters
    ----------
    rows
        The number of rows.
    data_version
        Version of the content.
    files
        File name to size in bytes.
    beside
        Name to size of the files in the folder beside it.
    columns
        What the files do not record about each column, such as the types of CSV columns.
    windows
        The time windows of the asset's partitions, as :func:`.partitions.windows_of` returns them.
    """

    rows: int
    data_version: str
    files: dict[str, int] = field(default_factory=dict[str, int])
    beside: dict[str, int] = field(default_factory=dict[str, int])
    columns: Sequence[Mapping[str, Any]] = ()
    windows: str = ""


def write_manifest(filesystem: FileSystem, root: str, manifest: Manifest) -> None:
    """Write the manifest of a folder, with the files that are in the folder.

    Parameters
    ----------
    filesystem
        The file system.
    root
        The folder.
    manifest
        What was written. Its files are not looked at.
    """
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root, recursive=True))
    listed = {
        info.path[len(root) + 1 :]: info.size
        for info in infos
        if info.type == FileType.File and not info.base_name.startswith(("_", "."))
    }
    save_manifest(filesystem, root, replace(manifest, files=listed))


def save_manifest(filesystem: FileSystem, root: str, manifest: Manifest) -> None:
    """Write the manifest of a folder as it is.

    Parameters
    ----------
    filesystem
        The file system.
    root
        The folder.
    manifest
        What the folder holds.
    """
    content: dict[str, object] = {
        "rows": manifest.rows,
        "data_version": manifest.data_version,
        "files": dict(sorted(manifest.files.items())),
    }
    if manifest.beside:
        content["beside"] = dict(sorted(manifest.beside.items()))
    if manifest.columns:
        content["columns"] = list(manifest.columns)
    if manifest.windows:
        content["windows"] = manifest.windows
    with filesystem.open_output_stream(f"{root}/{MANIFEST}") as stream:
        stream.write(_encoded(content))


def read_manifest(snapshot: Snapshot) -> Manifest:
    """Read the manifest of a snapshot.

    Parameters
    ----------
    snapshot
        A snapshot of a folder, or of the manifest itself.
    """
    single = snapshot.prefix.endswith(f"/{MANIFEST}")
    return _read(snapshot.filesystem, snapshot.root if single else f"{snapshot.root}/{MANIFEST}")


def manifest_in(filesystem: FileSystem, root: str) -> Manifest:
    """Read the manifest of a folder.

    Parameters
    ----------
    filesystem
        The file system.
    root
        The folder.
    """
    return _read(filesystem, f"{root}/{MANIFEST}")


def _read(filesystem: FileSystem, path: str) -> Manifest:
    with filesystem.open_input_stream(path) as stream:
        content = json.loads(stream.readall())
    return Manifest(
        rows=content["rows"],
        data_version=content["data_version"],
        files=content["files"],
        beside=content.get("beside", {}),
        columns=content.get("columns", ()),
        windows=content.get("windows", ""),
    )


def moved_manifest(content: bytes, prefix: str) -> bytes:
    """Return the manifest of a stream of format 1 with the paths of format 2.

    In format 1 all files of a stream were at its prefix. Rows and version stay, since the data are the same.

    Parameters
    ----------
    content
        The manifest of format 1.
    prefix
        The asset's folder.
    """
    manifest = json.loads(content)
    folder = f"{beside(prefix)}/"
    files = {moved(f"{prefix}/{name}", prefix): size for name, size in manifest["files"].items()}
    apart = {path.removeprefix(folder): size for path, size in files.items() if path.startswith(folder)}
    own = {path[len(prefix) + 1 :]: size for path, size in files.items() if not path.startswith(folder)}
    return _encoded({**manifest, "files": dict(sorted(own.items())), "beside": dict(sorted(apart.items()))})


def _encoded(content: Mapping[str, object]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
