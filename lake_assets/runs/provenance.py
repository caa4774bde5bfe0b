"""Traces data back to the commits, runs, inputs and sources that made them. No data file is read.

A *place* is a folder that one write replaces as a whole: a partition's folder, or the prefix of an unpartitioned asset.
A place has a manifest. Each commit of an IO manager names the commit of each input. A rollback names the commit that it
restored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lake_assets.lake.contract import Commit, Lake, LakeObject
from lake_assets.lake.names import belongs_to, is_within
from lake_assets.layout.asset_folders import folders_of_name
from lake_assets.layout.manifest import MANIFEST
from lake_assets.runs.commit_metadata import CommitMetadata


@dataclass(frozen=True, slots=True)
class Origin:
    """Places of one asset that one commit made, and their inputs.

    Parameters
    ----------
    asset
        The asset's key as Dagster shows it; the prefix if the commit names no asset.
    prefix
        The asset's folder.
    places
        The places, sorted.
    commit
        The commit that made them.
    inputs
        The origins of what that commit read, or of what a rollback restored.
    """

    asset: str
    prefix: str
    places: tuple[str, ...]
    commit: Commit
    inputs: tuple[Origin, ...] = field(default=())


def parents(path: str) -> Iterator[str]:
    """Yield the folders that contain a path, the nearest first. The last one is the root ``""``.

    A path beside a place counts as a path in the place.

    Parameters
    ----------
    path
        The path.
    """
    path = belongs_to(path)
    while path:
        path = path.rpartition("/")[0]
        yield path


def place_of(path: str, places: Collection[str]) -> str | None:
    """Return the nearest place that contains a file; None if there is none.

    Parameters
    ----------
    path
        Path of the file.
    places
        The places to choose from.
    """
    return next((folder for folder in parents(path) if folder in places), None)


def places_of(objects: Iterable[LakeObject]) -> frozenset[str]:
    """Return the places in a listing: the folders that hold a manifest.

    Parameters
    ----------
    objects
        The listing.
    """
    return frozenset(
        folder for folder, _, name in (item.path.rpartition("/") for item in objects) if folder and name == MANIFEST
    )


class Maker(NamedTuple):
    """The commit that made the files of a place, and the place where it wrote them. A migration may have moved them.

    Parameters
    ----------
    commit
        The commit.
    place
        The place in that commit.
    """

    commit: Commit
    place: str


def makers(lake: Lake, ref: str, places: Iterable[str], prefix: str = "") -> dict[str, Commit]:
    """Return for each place the commit that made its files: the newest one that changed it.

    Parameters
    ----------
    lake
        The lake.
    ref
        The ref that holds the places.
    places
        The places.
    prefix
        A folder that contains all places. Only its history is read.
    """
    return {place: made.commit for place, made in trace_makers(lake, ref, places, prefix).items()}


def trace_makers(lake: Lake, ref: str, places: Iterable[str], prefix: str = "") -> dict[str, Maker]:
    """Return for each place the commit that made its files, and the place where it wrote them.

    Parameters
    ----------
    lake
        The lake.
    ref
        The ref that holds the places.
    places
        The places.
    prefix
        A folder that contains all places. Only its history is read.
    """
    remaining = set(places)
    found: dict[str, Maker] = {}
    if not remaining:
        return found
    for commit in lake.log(ref, None, prefix or None):
        made = CommitMetadata.parse(commit.metadata)
        if len(commit.parents) > 1 and made.asset is None:
            continue  # A merge brings in what other commits made.
        for place in _touched(lake, commit, prefix) & remaining:
            found[place] = Maker(commit, place)
            if place in made.moved and commit.parents:
                before = made.moved[place]
                found[place] = trace_makers(lake, commit.parents[0], [before], before).get(before, found[place])
        remaining -= found.keys()
        if not remaining:
            break
    return found


def _touched(lake: Lake, commit: Commit, prefix: str) -> set[str]:
    if commit.parents:
        paths: Iterable[str] = lake.diff(commit.parents[0], commit.id, prefix).paths
    else:
        paths = [item.path for item in lake.list(commit.id, prefix)]
    return {place for path in paths for place in (path, *parents(path))}


def origins(lake: Lake, ref: str, prefix: str) -> tuple[Origin, ...]:
    """Return the origins of everything that a ref holds at a prefix, newest first; empty if it holds nothing there.

    Parameters
    ----------
    lake
        The lake.
    ref
        A branch, tag or commit id.
    prefix
        An asset's prefix, or a folder or file in it.
    """
    return _Walk(lake).origins(lake.head(ref), [prefix])


class _Walk:
    """One search for origins. A commit that several others read is examined once."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[tuple[str, tuple[str, ...]], tuple[Origin, ...]] = {}

    def origins(self, at: Commit, prefixes: Sequence[str]) -> tuple[Origin, ...]:
        key = (at.id, tuple(prefixes))
        if key not in self._known:
            self._known[key] = tuple(self._find(at, prefixes))
        return self._known[key]

    def _find(self, at: Commit, prefixes: Sequence[str]) -> Iterator[Origin]:
        made: dict[str, list[str]] = {}
        commits: dict[str, tuple[Commit, str, str]] = {}
        for wanted in prefixes:
            prefix = self._written_as_a_whole(at, wanted)
            objects = list(self._lake.list(at.id, prefix))
            places = places_of(objects)
            if any(place_of(item.path, places) is None for item in objects):
                places |= {prefix}
            for place, commit in makers(self._lake, at.id, places, prefix).items():
                made.setdefault(commit.id, []).append(place)
                asset = CommitMetadata.parse(commit.metadata).asset or prefix
                mine = next((folder for folder in folders_of_name(asset) if is_within(place, folder)), prefix)
                commits.setdefault(commit.id, (commit, asset, mine))
        for commit, asset, mine in sorted(commits.values(), key=lambda item: item[0].committed_at, reverse=True):
            folders = tuple(sorted(made[commit.id]))
            yield Origin(asset, mine, folders, commit, tuple(self._inputs(commit, mine, folders)))

    def _written_as_a_whole(self, at: Commit, prefix: str) -> str:
        """Return the place that contains a file or folder; the given path if no place contains it."""
        if self._lake.fingerprint(at.id, f"{prefix}/{MANIFEST}") is not None:
            return prefix
        manifests = (f"{folder}/{MANIFEST}" for folder in parents(prefix) if folder)
        found = next((path for path in manifests if self._lake.fingerprint(at.id, path) is not None), None)
        return prefix if found is None else found.rpartition("/")[0]

    def _inputs(self, commit: Commit, prefix: str, places: Sequence[str]) -> Iterator[Origin]:
        made = CommitMetadata.parse(commit.metadata)
        if made.rollback_to:
            yield from self.origins(self._lake.head(made.rollback_to), places)
            return
        below = [place[len(prefix) + 1 :] for place in places if place.startswith(f"{prefix}/")]
        for asset, read in sorted(made.inputs.items()):
            at = self._lake.head(read)
            folders = folders_of_name(asset)
            upstream = next((folder for folder in folders if self._lake.fingerprint(at.id, folder)), folders[0])
            # The input's partitions of the same names, if it has them. Else all of it may have been read.
            same = [f"{upstream}/{folder}" for folder in below]
            same = [place for place in same if self._lake.fingerprint(at.id, place) is not None]
            yield from self.origins(at, same or [upstream])
