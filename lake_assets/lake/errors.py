"""The one exception family of every lake backend: each names repository, ref and path."""

from __future__ import annotations

from collections.abc import Sequence


class LakeError(Exception):
    """Something the lake could not do.

    Parameters
    ----------
    reason
        What is wrong, and what to do about it.
    repository, ref, path
        Where; empty where it does not apply.
    """

    def __init__(self, reason: str, *, repository: str, ref: str = "", path: str = "") -> None:
        self.reason = reason
        self.repository = repository
        self.ref = ref
        self.path = path
        where = ", ".join(f"{name} {value!r}" for name, value in (("ref", ref), ("path", path)) if value)
        super().__init__(f"{reason} (lake {repository!r}{', ' + where if where else ''})")


class RefNotFound(LakeError):
    """No branch, tag or commit of that name."""


class PathNotFound(LakeError):
    """The commit holds nothing under that prefix."""


class AlreadyExists(LakeError):
    """A branch or tag of that name is there already."""


class ProtectedBranch(LakeError):
    """Only a merge may change this branch."""


class InvalidName(LakeError):
    """A branch, tag or path name that the lake cannot keep."""


class WriteRefused(LakeError):
    """What was written cannot be committed: unfinished, outside its prefix, or already there."""


class WriteConflict(LakeError):
    """The prefix changed on the branch while it was being written; nothing was committed."""


class LakeUnavailable(LakeError):
    """The store does not answer, is full, or may not be written."""


class FormatMismatch(LakeError):
    """The lake is of another format than this program."""


class NotSupported(LakeError):
    """A backend does not do that; the message says what does."""


class Expired(LakeError):
    """The data of an old commit were removed by `expire`; the commit itself, and what it says, stay."""


class DataCorrupted(LakeError):
    """Stored bytes are missing or are not what their checksum says."""


class Unaudited(LakeError):
    """A merge into ``main`` states no audit, or its audit does not cover all that it would change there.

    Parameters
    ----------
    paths
        The paths that are not covered, sorted; each is in the message up to the first ten.
    """

    def __init__(self, reason: str, *, repository: str, ref: str = "", paths: Sequence[str] = ()) -> None:
        self.paths = tuple(sorted(paths))
        super().__init__(f"{reason}{_listed(self.paths)}", repository=repository, ref=ref)


class MergeConflict(LakeError):
    """Both sides changed the same paths; the destination is as it was.

    Parameters
    ----------
    paths
        The conflicting paths, sorted; each is in the message up to the first ten.
    """

    def __init__(self, reason: str, *, repository: str, ref: str = "", paths: Sequence[str] = ()) -> None:
        self.paths = tuple(sorted(paths))
        super().__init__(f"{reason}{_listed(self.paths)}", repository=repository, ref=ref)


def _listed(paths: Sequence[str]) -> str:
    return f": {', '.join(paths[:10])}{' …' if len(paths) > 10 else ''}" if paths else ""
