"""Remedies for errors of the disk."""

from __future__ import annotations

DAMAGED = (
    "; the store is damaged: `lake-assets restore` brings back a backup; if there is none, move the folder away, and "
    "the sinks make their tables anew"
)
"""The remedy for damage."""

_DAMAGE = ("MDB_CORRUPTED", "MDB_PAGE_NOTFOUND", "MDB_INVALID", "MDB_PANIC", "MDB_VERSION_MISMATCH")


def remedy(error: Exception) -> str:
    """Return the remedy for an error of the disk, to be appended to its message. Empty if none is known.

    Parameters
    ----------
    error
        The error.
    """
    text = str(error)
    if any(name in text for name in _DAMAGE):
        return DAMAGED
    if "No space left" in text:
        return "; nothing was written: free some disk space and write again"
    if "Permission denied" in text or "Read-only file system" in text:
        return "; the folder is not writable: open the store read-only, or make the folder writable"
    return ""
