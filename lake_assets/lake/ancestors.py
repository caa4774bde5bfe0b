"""Merges whose two sides have several common ancestors. A merge compares both sides with one of them."""

from __future__ import annotations

from collections.abc import Collection

from lake_assets.lake.errors import MergeConflict


def refuse_brought_back(paths: Collection[str], repository: str, ref: str) -> None:
    """Raise if a merge would bring back what one side undid.

    Another common ancestor than the merge base changed these paths. One side is at the merge base's state again, which
    looks as if it had never changed there. So the merge would take the other side's state.

    Parameters
    ----------
    paths
        Paths that another common ancestor changed, and that one side alone changed since the merge base.
    repository, ref
        As of :class:`~lake_assets.lake.errors.LakeError`.

    Raises
    ------
    MergeConflict
        There are such paths.
    """
    if paths:
        reason = (
            "both sides merged these paths from elsewhere, and one of them undid that, which this merge would not see; "
            "write them again on a new branch"
        )
        raise MergeConflict(reason, repository=repository, ref=ref, paths=sorted(paths))
