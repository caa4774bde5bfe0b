"""The exceptions of all lake backends. Each names repository, ref and path."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class LakeError(Exception):
    """An operation of the lake failed.

    Parameters
    ----------
    reason
        What is wrong, and what to do about it.
    repository, ref, path
        Where it failed. Empty if not applicable.
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
    """A branch or tag of that name already exists."""


class ProtectedBranch(LakeError):
    """Only a merge may change this branch."""


class InvalidName(LakeError):
    """The name is not allowed for a branch, a tag or a path."""


class WriteRefused(LakeError):
    """The written files cannot be committed: unfinished, outside of the prefix, or already there."""


class WriteConflict(LakeError):
    """The prefix changed on the branch while it was being written; nothing was committed."""


class LakeUnavailable(LakeError):
    """The store does not answer, is full, or is not writable."""


class LakeNotFound(LakeError):
    """There is no lake at that place, and the caller did not ask to make one."""


class RepositoryNotFound(LakeUnavailable):
    """The server has no repository of that name."""


class Mendable(LakeUnavailable):
    """The lake cannot be opened as it is, and `lake-assets doctor --mend` can change that.

    Parameters
    ----------
    reason, repository, ref
        As of :class:`LakeError`.
    mend
        Makes it possible to open the lake, and returns in one line what it did.
    """

    def __init__(self, reason: str, *, repository: str, mend: Callable[[], str], ref: str = "") -> None:
        self.mend = mend
        super().__init__(reason, repository=repository, ref=ref)


class FormatMismatch(LakeError):
    """The lake has another format than this program supports."""


class NotSupported(LakeError):
    """The backend does not support this operation. The message names the alternative."""


class Expired(LakeError):
    """The data of an old commit were removed by `expire`. The commit and its metadata still exist."""


class DataCorrupted(LakeError):
    """Stored bytes are missing, or do not match their checksum."""


class Unaudited(LakeError):
    """A merge into ``main`` has no audit, or its audit does not cover all changes.

    Parameters
    ----------
    reason, repository, ref
        As of :class:`LakeError`.
    paths
        The paths that are not covered. The message lists the first ten.
    """

    def __init__(self, reason: str, *, repository: str, ref: str = "", paths: Sequence[str] = ()) -> None:
        self.paths = tuple(sorted(paths))
        super().__init__(f"{reason}{_listed(self.paths)}", repository=repository, ref=ref)


class MergeConflict(LakeError):
    """Both sides changed the same paths. The destination is unchanged.

    Parameters
    ----------
    reason, repository, ref
        As of :class:`LakeError`.
    paths
        The conflicting paths. The message lists the first ten.
    """

    def __init__(self, reason: str, *, repository: str, ref: str = "", paths: Sequence[str] = ()) -> None:
        self.paths = tuple(sorted(paths))
        super().__init__(f"{reason}{_listed(self.paths)}", repository=repository, ref=ref)


def _listed(paths: Sequence[str]) -> str:
    return f": {', '.join(paths[:10])}{' …' if len(paths) > 10 else ''}" if paths else ""
