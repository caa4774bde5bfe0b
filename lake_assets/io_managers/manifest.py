"""The manifest in every folder that an output replaces: its rows, data version and files.

Two runs that write one partition differ in it, so that merging both is a conflict and never a mixture of their files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.lake.names import is_within

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lake_assets.lake.contract import Snapshot

MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written to one folder: rows, version of the content, and file name to size in bytes.

    ``columns`` says of each column what the file itself does not: of CSV its type.
    """

    rows: int
    data_version: str
    files: dict[str, int]
    columns: Sequence[Mapping[str, Any]] = ()


def write_manifest(
    filesystem: FileSystem,
    root: str,
    rows: int,
    data_version: str,
    updated: Sequence[str] = (),
    held: Mapping[str, int] | None = None,
    columns: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the manifest of the files that lie below ``root``.

    Parameters
    ----------
    filesystem, root
        The folder.
    rows, data_version
        What it holds.
    updated
        Folders below it that are not listed: ``held`` says what is in them, since not all of it is there yet.
    held
        File name to size in bytes.
    columns
        What is to be known of each column.
    """
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root, recursive=True))
    listed = {
        info.path[len(root) + 1 :]: info.size
        for info in infos
        if info.type == FileType.File and not info.base_name.startswith(("_", "."))
    }
    fresh = {name: size for name, size in listed.items() if not any(is_within(name, folder) for folder in updated)}
    files = dict(sorted({**fresh, **(held or {})}.items()))
    content: dict[str, Any] = {"rows": rows, "data_version": data_version, "files": files}
    if columns:
        content["columns"] = list(columns)
    with filesystem.open_output_stream(f"{root}/{MANIFEST}") as stream:
        stream.write((json.dumps(content, indent=1) + "\n").encode())


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
    return Manifest(content["rows"], content["data_version"], content["files"], content.get("columns", ()))
