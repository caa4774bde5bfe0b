"""Marker objects under `.lake/` that make two writes of the same folder a merge conflict in lakeFS.

lakeFS merges by path, and engines choose random file names. So if two runs replace one folder, lakeFS would merge them
without a conflict, and the folder would contain the files of both. To prevent this, each write also changes the object
``.lake/changed/<folder>``, and a write that replaces the folder changes ``.lake/replaced/<folder>``. So two writes of a
folder change the same path, and lakeFS refuses to merge them. Whether they really conflict is then determined from the
changed data paths.

A folder that was once written as a whole, not by partitions, also has ``.lake/whole/<folder>``. A write below such a
folder also changes the folder's markers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from lake_assets.lake.lakefs.server import END, Server, paths_of
from lake_assets.lake.names import ancestors, is_within
from lake_assets.lake.spec import WriteSpec

ROOT = ".lake"
_CHANGED = f"{ROOT}/changed/"
_REPLACED = f"{ROOT}/replaced/"
_WHOLE = f"{ROOT}/whole/"


def is_marker(path: str) -> bool:
    """Tell whether a path is a marker object and not data."""
    return path == END or is_within(path, ROOT)


def touch(server: Server, branch: str, spec: WriteSpec) -> None:
    """Change the markers of the folders that a write changes.

    Parameters
    ----------
    server, branch
        Where the markers are changed: a private branch.
    spec
        The write.
    """
    _touch(server, branch, spec.targets, replaced=not spec.appends, whole=spec.partitions is None)
    for path in spec.beside:
        _touch(server, branch, [path], replaced=True, whole=True)


def _touch(server: Server, branch: str, targets: Sequence[str], *, replaced: bool, whole: bool) -> None:
    """Change the markers of some folders below one top folder, each written as a ``whole`` or as a partition."""
    if not targets:
        return
    token = uuid4().hex.encode()
    known = _folders(server, branch, _WHOLE, targets[0].split("/")[0])
    for target in targets:
        above = [folder for folder in ancestors(target) if folder in known]
        markers = [f"{_CHANGED}{folder}" for folder in (target, *above)]
        markers += [f"{_REPLACED}{target}"] * replaced
        markers += [f"{_WHOLE}{target}"] * (whole and target not in known)
        for marker in markers:
            server.upload(branch, marker, token)
        if replaced:
            # Everything below is removed, which must conflict with a concurrent write below.
            below = paths_of(server.objects(branch, f"{_CHANGED}{target}/"))
            server.delete(branch, [*below, *[_REPLACED + path[len(_CHANGED) :] for path in below]])


def renew(server: Server, branch: str, markers: Iterable[str]) -> None:
    """Give markers new content, different from that on any other branch."""
    token = uuid4().hex.encode()
    for marker in markers:
        server.upload(branch, marker, token)


def wholes(server: Server, ref: str) -> set[str]:
    """Return the folders that a ref's markers list as written as a whole."""
    return _folders(server, ref, _WHOLE)


def replaced_in(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the folders that some changes replaced as a whole, or whose replacement they undid."""
    return [item["path"][len(_REPLACED) :] for item in changes if item["path"].startswith(_REPLACED)]


def conflicts(
    ours: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]], between: Iterable[Mapping[str, Any]]
) -> set[str]:
    """Return the paths at which two sides conflict.

    Parameters
    ----------
    ours, theirs
        The changes of each side since the merge base.
    between
        The differences between the two sides.
    """
    theirs = list(theirs)
    replaced = replaced_in(theirs)
    mine, other = (_data(side) for side in (ours, theirs))
    differing = _data(between).keys()
    found = mine.keys() & other.keys() & differing
    for folder in replaced:
        inside = {path for path in differing if is_within(path, folder)}
        if inside and any(is_within(path, folder) for path in mine) and any(is_within(path, folder) for path in other):
            found |= inside
    return found | _in_the_way(mine, other) | _in_the_way(other, mine)


def _in_the_way(files: Mapping[str, str], others: Mapping[str, str]) -> set[str]:
    """Return the paths that are files on one side and folders on the other."""
    kept = {path for path, kind in files.items() if kind != "removed"}
    added = [path for path, kind in others.items() if kind != "removed"]
    return {folder for path in added for folder in ancestors(path) if folder in kept and folder not in others}


def in_the_way(paths: Collection[str]) -> set[str]:
    """Return those paths that are also a parent folder of another path."""
    held = set(paths)
    return {folder for path in held for folder in ancestors(path) if folder in held}


def _data(changes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {item["path"]: item["type"] for item in changes if not is_marker(item["path"])}


def _folders(server: Server, ref: str, kind: str, top: str = "") -> set[str]:
    return {path[len(kind) :] for path in paths_of(server.objects(ref, kind + top))}
