"""Marker objects under `.lake/` that make two writes of the same folder a merge conflict in lakeFS.

lakeFS merges by path, and engines choose random file names. So if two runs replace one folder, lakeFS would merge them
without a conflict, and the folder would contain the files of both. To prevent this, each write also changes the object
``.lake/changed/<folder>``. So two writes of a folder change the same path, and lakeFS refuses to merge them. Whether
they really conflict is then determined from the changed data paths. A write that adds files keeps the size of this
object, and one that replaces the folder changes it, so that both need one object, and one call, for each folder.
Programs of before used a second object for that, ``.lake/replaced/<folder>``.

A folder that was once written as a whole, not by partitions, also has ``.lake/whole/<folder>``. A write below such a
folder also changes the folder's markers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from lake_assets.lake.lakefs.server import END, Server, paths_of
from lake_assets.lake.names import ancestors, is_within
from lake_assets.lake.spec import WriteSpec

ROOT = ".lake"
_CHANGED = f"{ROOT}/changed/"
_REPLACED = f"{ROOT}/replaced/"
_WHOLE = f"{ROOT}/whole/"

_SIZE = 32
"""Size of the marker of a folder that was never replaced. Programs of before wrote no other."""
_SIZES = 1000
"""Number of sizes that a marker may have, one after the other."""


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
    touch_folders(server, branch, spec.targets, replaced=not spec.appends, whole=spec.partitions is None)
    for path in spec.beside:
        touch_folders(server, branch, [path], replaced=True, whole=True)


def touch_folders(server: Server, branch: str, targets: Sequence[str], *, replaced: bool, whole: bool) -> None:
    """Change the markers of some folders below one top folder, with one call for each.

    Parameters
    ----------
    server, branch
        Where the markers are changed: a private branch.
    targets
        The folders.
    replaced
        Whether they are replaced, and not added to.
    whole
        Whether each is written as a whole, not as a partition.
    """
    if not targets:
        return
    known = _folders(server, branch, _WHOLE, targets[0].split("/")[0])
    above = {folder for target in targets for folder in ancestors(target) if folder in known}
    held = _sizes(server, branch, targets)
    held |= {folder: item["size_bytes"] for folder in above if (item := server.object(branch, _changed(folder)))}
    new = {target: _other_size(held.get(target, _SIZE)) if replaced else held.get(target, _SIZE) for target in targets}
    new |= {folder: held.get(folder, _SIZE) for folder in above - set(targets)}
    if replaced:
        # Everything below is removed, which must conflict with a concurrent write below.
        gone = set(targets)
        below = [folder for folder in held if not gone.isdisjoint(ancestors(folder))]
        server.delete(branch, list(map(_changed, below)))
    token = uuid4().hex
    for folder, size in new.items():
        server.upload(branch, _changed(folder), token.ljust(size, ".").encode())
    for folder in targets if whole else ():
        if folder not in known:
            server.upload(branch, f"{_WHOLE}{folder}", token.encode())


def renew(server: Server, branch: str, markers: Iterable[str], avoid: Sequence[Sequence[str]] = ()) -> None:
    """Give markers new content, different from that on any other branch.

    Parameters
    ----------
    server, branch
        Where the markers are changed: a private branch.
    markers
        Paths of the markers.
    avoid
        Refs, two or more at a time. A folder that was replaced from the first to the second gets a size that none has.
    """
    wanted = list(markers)
    token = uuid4().hex
    mine = [path[len(_CHANGED) :] for path in wanted if path.startswith(_CHANGED)]
    sizes = _sizes(server, branch, mine)
    compared = [[_sizes(server, ref, mine) for ref in refs] for refs in avoid]
    for path in wanted:
        folder = path[len(_CHANGED) :] if path.startswith(_CHANGED) else ""
        size = sizes.get(folder, _SIZE)
        if folder:
            held = [[sizes_at.get(folder, _SIZE) for sizes_at in refs] for refs in compared]
            taken = [one for before, after, *more in held if before != after for one in (before, after, *more)]
            size = _other_size(size, *taken) if taken else size
        server.upload(branch, path, token.ljust(size, ".").encode())


def _changed(folder: str) -> str:
    return _CHANGED + folder


def _other_size(*taken: int) -> int:
    """Return a size of a marker that differs from others: the next one, and after the last the first again."""
    after = taken[0] - _SIZE
    following = (_SIZE + (after + step) % _SIZES for step in range(1, _SIZES))
    return next(size for size in following if size not in taken)


def _sizes(server: Server, ref: str, targets: Sequence[str]) -> dict[str, int]:
    """Return the sizes of the markers of some folders, and of those below them."""
    found = server.inside(ref, [_changed(target) for target in targets])
    return {item["path"][len(_CHANGED) :]: item["size_bytes"] for item in found}


def is_replaced(server: Server, before: str, after: str, folder: str) -> bool:
    """Tell whether a folder was replaced as a whole between two commits, or whether its replacement was undone.

    Parameters
    ----------
    server
        The server.
    before, after
        The commits.
    folder
        The folder.
    """
    items = [server.object(ref, _changed(folder)) for ref in (before, after)]
    return len({item["size_bytes"] if item is not None else _SIZE for item in items}) > 1


def wholes(server: Server, ref: str) -> set[str]:
    """Return the folders that a ref's markers list as written as a whole."""
    return _folders(server, ref, _WHOLE)


def conflicts(
    ours: Iterable[Mapping[str, Any]],
    theirs: Iterable[Mapping[str, Any]],
    between: Iterable[Mapping[str, Any]],
    replaced: Callable[[str], bool],
) -> set[str]:
    """Return the paths at which two sides conflict.

    Parameters
    ----------
    ours, theirs
        The changes of each side since the merge base.
    between
        The differences between the two sides.
    replaced
        Tells whether ``theirs`` replaced a folder whose marker it changed.
    """
    theirs = list(theirs)
    mine, other = (_data(side) for side in (ours, theirs))
    differing = _data(between).keys()
    found = mine.keys() & other.keys() & differing
    for item in theirs:
        kind = next((kind for kind in (_CHANGED, _REPLACED) if item["path"].startswith(kind)), None)
        if kind is None:
            continue
        folder = item["path"][len(kind) :]
        inside = {path for path in differing if is_within(path, folder)}
        if not inside or not any(is_within(path, folder) for path in mine):
            continue
        if any(is_within(path, folder) for path in other) and (kind == _REPLACED or replaced(folder)):
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
