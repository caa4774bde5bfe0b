"""The manifest in every folder that an output replaces: its rows, data version and files.

Two runs that write one partition differ in it, so that merging both is a conflict and never a mixture of their files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lake_assets.lake.names import beside
from lake_assets.streaming.places import moved

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lake_assets.lake.contract import Snapshot

MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written to one folder: rows, version of the content, and file name to size in bytes.

    ``beside`` are the files in the folder beside it; ``columns`` says of each column what the file itself does not: of
    CSV its type. ``windows`` are the time windows that are the asset's partitions, as :func:`.partitions.windows_of`
    spells them.
    """

    rows: int
    data_version: str
    files: dict[str, int]
    beside: dict[str, int] = field(default_factory=dict[str, int])
    columns: Sequence[Mapping[str, Any]] = ()
    windows: str = ""


def write_manifest(
    filesystem: FileSystem,
    root: str,
    rows: int,
    data_version: str,
    apart: Mapping[str, int] | None = None,
    columns: Sequence[Mapping[str, Any]] = (),
    windows: str = "",
) -> None:
    """Write the manifest of the files that lie below ``root``.

    Parameters
    ----------
    filesystem, root
        The folder.
    rows, data_version
        What it holds.
    apart
        The files in the folder beside it: not all of them are written anew.
    columns
        What is to be known of each column.
    windows
        The time windows that are the asset's partitions.
    """
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root, recursive=True))
    listed = {
        info.path[len(root) + 1 :]: info.size
        for info in infos
        if info.type == FileType.File and not info.base_name.startswith(("_", "."))
    }
    content: dict[str, object] = {"rows": rows, "data_version": data_version, "files": dict(sorted(listed.items()))}
    if apart:
        content["beside"] = dict(sorted(apart.items()))
    if columns:
        content["columns"] = list(columns)
    if windows:
        content["windows"] = windows
    with filesystem.open_output_stream(f"{root}/{MANIFEST}") as stream:
        stream.write(_encoded(content))


def read_manifest(snapshot: Snapshot) -> Manifest:
    """Read the manifest that a snapshot is, or of the folder that it holds."""
    single = snapshot.prefix.endswith(f"/{MANIFEST}")
    return _read(snapshot.filesystem, snapshot.root if single else f"{snapshot.root}/{MANIFEST}")


def manifest_in(filesystem: FileSystem, root: str) -> Manifest:
    """Read the manifest of a folder."""
    return _read(filesystem, f"{root}/{MANIFEST}")


def _read(filesystem: FileSystem, path: str) -> Manifest:
    with filesystem.open_input_stream(path) as stream:
        content = json.loads(stream.readall())
    held = content.get("beside", {}), content.get("columns", ()), content.get("windows", "")
    return Manifest(content["rows"], content["data_version"], content["files"], *held)


def moved_manifest(content: bytes, prefix: str) -> bytes:
    """Return the manifest of a stream of format 1, all of which lay at its prefix, with its files where they lie now.

    Rows and version stay: what moved is the same data.
    """
    manifest = json.loads(content)
    folder = f"{beside(prefix)}/"
    files = {moved(f"{prefix}/{name}", prefix): size for name, size in manifest["files"].items()}
    apart = {path.removeprefix(folder): size for path, size in files.items() if path.startswith(folder)}
    own = {path[len(prefix) + 1 :]: size for path, size in files.items() if not path.startswith(folder)}
    return _encoded({**manifest, "files": dict(sorted(own.items())), "beside": dict(sorted(apart.items()))})


def _encoded(content: Mapping[str, object]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
