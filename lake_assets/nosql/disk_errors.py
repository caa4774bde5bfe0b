"""Remedies for errors of the disk."""

from __future__ import annotations


def remedy(error: Exception) -> str:
    """Return the remedy for an error of the disk, to be appended to its message. Empty if none is known.

    Parameters
    ----------
    error
        The error.
    """
    text = str(error)
    if "No space left" in text:
        return "; nothing was written: free some disk space and write again"
    if "Permission denied" in text or "Read-only file system" in text:
        return "; the folder is not writable: open the store read-only, or make the folder writable"
    return ""
