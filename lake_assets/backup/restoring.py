"""What a restore takes from the backup of a lake on a server."""

from __future__ import annotations

from pathlib import Path

from lake_assets.backup.folder import BackupError, read_record
from lake_assets.lake.contract import MAIN, Copied, Lake
from lake_assets.lake.errors import RefNotFound


def check_server(lake: Lake, source: Path) -> Copied:
    """Check that a server, which was restored by its own means, holds what a backup says.

    Parameters
    ----------
    lake
        The lake on the server.
    source
        Folder of the backup.

    Returns
    -------
    Copied
        ``missing`` names the branches and tags whose commits the server lacks.

    Raises
    ------
    BackupError
        There is no complete backup in the folder, or the server lacks the commit that ``main`` had.
    """
    record = read_record(source)
    if record is None or not record.main:
        raise BackupError(f"{source} holds no complete backup: name a folder of `lake-assets backup`")
    if not _holds(lake, record.main):
        raise BackupError(
            f"the lake {lake.repository!r} lacks commit {record.main}, which {MAIN} had in {source}: restore the "
            "server's database and object store first, then run this again"
        )
    named = {
        **{f"branch {name}": commit for name, commit in record.branches.items()},
        **{f"tag {name}": commit for name, commit in record.tags.items()},
    }
    lacking = (f"{name} at commit {commit}" for name, commit in named.items() if not _holds(lake, commit))
    return Copied(lake.head(MAIN).id, 0, 0, 0, tuple(lacking))


def _holds(lake: Lake, commit: str) -> bool:
    try:
        return lake.head(commit).id == commit
    except RefNotFound:
        return False
