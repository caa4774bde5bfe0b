"""Profiles that are kept in the lake: JSON for people, and the state for merging, in a folder for each partition.

A kept profile names the files that it is of, by their fingerprint. So a profile of other files is never taken for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from lake_assets.lake.audit import UNDOES, assets_of_merge
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import join
from lake_assets.quality.profile import Profile

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lake_assets.lake.contract import Commit, Lake

FIGURES, STATE = "profile.json", "profile.state"
_CODEC = "zstd"
_ROLLBACK_TO = "rollback_to"
"""Metadata of the commit of a rollback: the commit whose files were restored."""


def write_profile(
    filesystem: FileSystem, root: str, profile: Profile, of: str, more: Mapping[str, Any] | None = None
) -> None:
    """Write the two files of a profile into a folder.

    Parameters
    ----------
    filesystem, root
        The folder.
    profile
        The profile.
    of
        Fingerprint of the files that were profiled.
    more
        Further figures, as values of JSON.
    """
    figures = {"of": of, **profile.as_dict(), **(more or {})}
    with filesystem.open_output_stream(f"{root}/{FIGURES}", compression=None) as stream:
        stream.write(json.dumps(figures, indent=1, ensure_ascii=False, default=str).encode())
    with filesystem.open_output_stream(f"{root}/{STATE}", compression=_CODEC) as stream:
        stream.write(profile.to_bytes())


def read_figures(lake: Lake, ref: str, folder: str) -> Mapping[str, Any]:
    """Return the figures of a kept profile.

    Parameters
    ----------
    lake, ref, folder
        The place.

    Raises
    ------
    PathNotFound
        There is none.
    """
    with lake.open_file(ref, join(folder, FIGURES)) as file:
        found: Mapping[str, Any] = json.loads(file.readall())
    return found


def read_profile(lake: Lake, ref: str, folder: str) -> Profile:
    """Return a kept profile, which merges with others.

    Parameters
    ----------
    lake, ref, folder
        The place.

    Raises
    ------
    PathNotFound
        There is none.
    ValueError
        It is of an unknown version.
    """
    import pyarrow as pa

    with lake.open_file(ref, join(folder, STATE)) as file, pa.CompressedInputStream(file, _CODEC) as stream:
        return Profile.from_bytes(stream.read())


def kept_profile(lake: Lake, ref: str, folder: str, of: str) -> Profile | None:
    """Return the kept profile of some files; None if there is none, or only one of other files.

    Parameters
    ----------
    lake, ref, folder
        Where it may be kept.
    of
        Fingerprint of the files.
    """
    try:
        return read_profile(lake, ref, folder) if read_figures(lake, ref, folder).get("of") == of else None
    except (PathNotFound, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class PublishedProfile:
    """A profile of what a commit published.

    Parameters
    ----------
    commit
        The commit, of the branch's own line.
    place
        The partition's folder below the asset's; empty for an asset without partitions.
    folder
        The folder of the profile.
    figures
        Its figures, as :func:`read_figures` returns them.
    """

    commit: Commit
    place: str
    folder: str
    figures: Mapping[str, Any]


def published_profiles(
    lake: Lake, commit: str, data: str, profiles: str, *, asset: str = "", within: int | None = None
) -> Iterator[PublishedProfile]:
    """Yield the profiles of what was published, newest first.

    What a rollback took back is passed over, and so are profiles of other files than those that were published.
    A run that did not succeed has published nothing.

    Parameters
    ----------
    lake
        The lake.
    commit
        The newest commit of the history, of ``main`` or a working branch.
    data, profiles
        The folders of the asset and of its profiles.
    asset
        Name of the asset in the record of a merge. A merge that changed other assets only is passed over by its record.
    within
        The number of commits that are looked at. By default all, which on a server takes a call for each.
    """
    at: str | None = commit
    undone: set[str] = set()
    numbers = iter(count() if within is None else range(within))
    while at is not None:
        begin, at = at, None
        for _, found in zip(numbers, lake.first_parents(begin), strict=False):
            if found.id in undone:
                continue
            merged = assets_of_merge(found.metadata)
            if asset and merged is not None and asset not in merged:
                continue
            paths = _changed(lake, found, data)
            if not paths:
                continue
            undone.add(found.metadata.get(UNDOES, ""))
            at = found.metadata.get(_ROLLBACK_TO)
            if at is not None:
                break
            yield from _published_by(lake, found, paths, data, profiles)


def _changed(lake: Lake, commit: Commit, folder: str) -> Sequence[str]:
    if commit.parents:
        return lake.diff(commit.parents[0], commit.id, folder).paths
    return tuple(item.path for item in lake.list(commit.id, folder))


def _published_by(
    lake: Lake, commit: Commit, paths: Sequence[str], data: str, profiles: str
) -> Iterator[PublishedProfile]:
    for folder in sorted({path.rpartition("/")[0] for path in paths}, reverse=True):
        place = folder[len(data) :].strip("/")
        of = lake.fingerprint(commit.id, folder)
        try:
            figures = read_figures(lake, commit.id, join(profiles, place))
            if of is not None and figures.get("of") == of:
                yield PublishedProfile(commit, place, join(profiles, place), figures)
        except (PathNotFound, ValueError):
            continue  # None was made, or somebody wrote something else.
