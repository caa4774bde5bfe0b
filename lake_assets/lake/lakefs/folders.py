"""What lets two writers of one folder collide: objects under `.lake/` that a write of the folder changes.

lakeFS merges by path, and engines name their files at random: two runs that replace one folder would merge into a
mixture of both, unseen. So each write also changes ``.lake/changed/<folder>``, and one that replaces the folder
``.lake/replaced/<folder>``. Two writes of a folder thus change one path, and lakeFS itself refuses, in the very moment
of the merge, to put them together; whether they truly conflict is then worked out from what they changed.

A folder that was once written as a whole, not by partitions, has ``.lake/whole/<folder>``, too: what is written below
it changes its marker besides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import uuid4

from lake_assets.lake.lakefs.server import END, Server, paths_of
from lake_assets.lake.names import ancestors, is_within

ROOT = ".lake"
_CHANGED = f"{ROOT}/changed/"
_REPLACED = f"{ROOT}/replaced/"
_WHOLE = f"{ROOT}/whole/"


def is_marker(path: str) -> bool:
    """Tell whether a path is no data, but a marker."""
    return path == END or is_within(path, ROOT)


def touch(server: Server, branch: str, prefix: str, targets: Iterable[str], *, replaced: bool, whole: bool) -> None:
    """Change, on a private branch, the markers of the folders at or below ``prefix`` that it writes."""
    token = uuid4().hex.encode()
    known = _folders(server, branch, _WHOLE, prefix.split("/")[0])
    for target in targets:
        above = [folder for folder in ancestors(target) if folder in known]
        markers = [f"{_CHANGED}{folder}" for folder in (target, *above)]
        markers += [f"{_REPLACED}{target}"] * replaced
        markers += [f"{_WHOLE}{target}"] * (whole and target not in known)
        for marker in markers:
            server.upload(branch, marker, token)
        if replaced:
            # What is below is gone, and a write of it elsewhere must collide with that.
            below = paths_of(server.objects(branch, f"{_CHANGED}{target}/"))
            server.delete(branch, [*below, *[_REPLACED + path[len(_CHANGED) :] for path in below]])


def renew(server: Server, branch: str, markers: Iterable[str]) -> None:
    """Give markers a content that no other branch has."""
    token = uuid4().hex.encode()
    for marker in markers:
        server.upload(branch, marker, token)


def wholes(server: Server, ref: str) -> set[str]:
    """Return the folders that a ref knows as written whole."""
    return _folders(server, ref, _WHOLE)


def replaced_in(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the folders that some changes replaced as wholes, or that they undid the replacing of."""
    return [item["path"][len(_REPLACED) :] for item in changes if item["path"].startswith(_REPLACED)]


def conflicts(
    ours: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]], between: Iterable[Mapping[str, Any]]
) -> set[str]:
    """Return the paths at which two sides must not be merged.

    Parameters
    ----------
    ours, theirs
        What each side changed since they parted.
    between
        What differs between the two sides.
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
    """Return the files that one side has where the other has a folder."""
    kept = {path for path, kind in files.items() if kind != "removed"}
    added = [path for path, kind in others.items() if kind != "removed"]
    return {folder for path in added for folder in ancestors(path) if folder in kept and folder not in others}


def in_the_way(paths: Collection[str]) -> set[str]:
    """Return those of the paths that others have as a folder."""
    held = set(paths)
    return {folder for path in held for folder in ancestors(path) if folder in held}


def _data(changes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {item["path"]: item["type"] for item in changes if not is_marker(item["path"])}


def _folders(server: Server, ref: str, kind: str, top: str = "") -> set[str]:
    return {path[len(kind) :] for path in paths_of(server.objects(ref, kind + top))}
