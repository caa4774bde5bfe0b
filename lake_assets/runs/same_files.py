"""Compares the files of a place in a commit that is to be merged with those in other commits."""

from __future__ import annotations

from lake_assets.lake.contract import Commit, Lake
from lake_assets.lake.names import belongs_to, beside, is_path, is_within


class SameFiles:
    """The files of a commit, place by place. Another commit is compared with it once.

    Parameters
    ----------
    lake
        The lake.
    source
        The commit.
    """

    def __init__(self, lake: Lake, source: Commit) -> None:
        self._lake = lake
        self._source = source
        self._differing: dict[tuple[str, str], tuple[str, ...]] = {}

    def fingerprints(self, commit: str, place: str) -> tuple[str | None, ...]:
        """Return the fingerprints of a place's folder, and of the folder beside it that holds its state.

        Parameters
        ----------
        commit
            Id of a commit.
        place
            The folder. A fingerprint is None where the commit has no such folder.
        """
        return tuple(self._lake.fingerprint(commit, folder) for folder in (place, beside(place)))

    def are_at(self, commit: str, place: str) -> bool:
        """Return whether another commit holds the same files at a place.

        Parameters
        ----------
        commit
            Id of the other commit.
        place
            The folder.

        Raises
        ------
        RefNotFound
            The lake has no such commit.
        """
        if commit == self._source.id:
            return True
        top = place.partition("/")[0]
        # Other programs may have made files at any path. Those are compared with all others.
        top = top if is_path(top) else ""
        if (commit, top) not in self._differing:
            tops = (top, beside(top)) if top else ("",)
            differing = [path for folder in tops for path in self._lake.diff(commit, self._source.id, folder).paths]
            self._differing[commit, top] = tuple(differing)
        return not any(is_within(belongs_to(path), place) for path in self._differing[commit, top])


def maker(lake: Lake, commit: Commit, place: str) -> Commit:
    """Return the commit that wrote what another one holds at a place, or the other one if that cannot be told.

    Parameters
    ----------
    lake
        The lake.
    commit
        The commit that holds it.
    place
        The folder.
    """
    return next((found for found in lake.log(commit.id, None, place) if len(found.parents) < 2), commit)
