"""The names that every backend allows, and the marker files that engines write beside their data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import AlreadyExists, InvalidName, ProtectedBranch

# lakeFS's rule for branches is the narrower one; a branch name works on both backends.
_BRANCH = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_]{0,199}")
_TAG = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_]|\.(?!\.|lock$|$)){0,199}")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[0-9a-f]{7,}")

BESIDE = "_beside"
"""Top folder of files that belong to a prefix but are not its rows. Engines skip names that begin with ``_``."""

_TEMPORARY = ("run-", "step-", "rollback-", "delete-", "transaction-", "migration-", "_")
"""Beginnings of the names of branches that a run, a person's correction or one write makes, and that are removed."""
_CONFUSING = {"main", "head", "fetch_head", "orig_head"}

_UNFINISHED = ("_temporary", "__magic", ".spark-staging")


def is_branch(name: str) -> bool:
    """Tell whether a branch may have this name."""
    return bool(_BRANCH.fullmatch(name)) and name != "HEAD" and not is_commit_id(name)


def is_tag(name: str) -> bool:
    """Tell whether a tag may have this name."""
    return bool(_TAG.fullmatch(name)) and name != "HEAD" and not is_commit_id(name)


def is_commit_id(name: str) -> bool:
    """Tell whether this is a whole commit id."""
    return bool(_COMMIT_ID.fullmatch(name))


def check_branch(name: str, repository: str) -> None:
    """Raise :class:`InvalidName` if no branch may have this name."""
    if not is_branch(name):
        reason = "a branch name has letters, digits, '-' and '_' only, and is not a commit id"
        raise InvalidName(reason, repository=repository, ref=name)


def is_temporary(name: str) -> bool:
    """Tell whether this is the name of a temporary branch, such as that of a run. It is never a working branch."""
    return name.lower().startswith(_TEMPORARY)


def check_working_branch(name: str, repository: str) -> None:
    """Raise :class:`InvalidName` if no working branch may have this name."""
    check_branch(name, repository)
    if is_temporary(name) or name.lower() in _CONFUSING:
        reason = (
            "a working branch may not be called main or HEAD, or begin as the temporary branches do "
            f"({', '.join(_TEMPORARY)}): choose another name"
        )
        raise InvalidName(reason, repository=repository, ref=name)
    if "--" in name:
        # It separates a table's name from that of its branch: the tables of `a--b` would also be those of `b`.
        raise InvalidName("a working branch may not have '--' in its name", repository=repository, ref=name)
    if _SHORT_ID.fullmatch(name):
        raise InvalidName("this may be an abbreviated commit id: choose another name", repository=repository, ref=name)


def refuse_taken(protected: bool, name: str, repository: str) -> None:
    """Raise :class:`AlreadyExists` for a tag of a working branch's name. A reader could not tell which is meant."""
    if protected and name != MAIN:
        raise AlreadyExists("a working branch has this name: choose another one", repository=repository, ref=name)


def check_tag(name: str, repository: str) -> None:
    """Raise :class:`InvalidName` if no tag may have this name."""
    if not is_tag(name):
        reason = "a tag name has letters, digits, '-', '_' and single dots only, and is not a commit id"
        raise InvalidName(reason, repository=repository, ref=name)


def check_path(path: str, repository: str, what: str = "path") -> str:
    """Return a path of the lake without its trailing slash. The empty path is the whole lake.

    Parameters
    ----------
    path
        The path.
    repository
        Name of the lake, for errors.
    what
        Name of the argument, for errors.

    Raises
    ------
    InvalidName
        A component is empty, ``.`` or ``..``, is reserved by Git, contains a control character or a backslash, is not
        valid Unicode, or is longer than 255 bytes; or the path is longer than 1,024 bytes.
    """
    path = path.removesuffix("/") if path != "/" else path
    reason = _fault(path) if path else None
    if reason:
        raise InvalidName(f"{what} {reason}", repository=repository, path=path)
    return path


def is_path(path: str) -> bool:
    """Tell whether :func:`check_path` allows a path. Other programs may have made files at other paths."""
    return _fault(path) is None


def check_folder(path: str, repository: str, what: str) -> str:
    """Return a folder's path as :func:`check_path` does. The empty path is refused."""
    if not path:
        raise InvalidName(f"{what} is empty: name a folder such as 'stocks/csv'", repository=repository)
    return check_path(path, repository, what)


def targets(folder: str, partitions: Sequence[str] | None, repository: str) -> list[str]:
    """Return the folders that a write replaces or extends, sorted. None of them lies in another."""
    if partitions is None:
        return [folder]
    wanted = {f"{folder}/{check_folder(part, repository, 'partition')}" for part in partitions}
    for target in wanted:
        check_path(target, repository, "partition")
    return sorted(target for target in wanted if not wanted & set(ancestors(target)))


def apart(folder: str, beside: Sequence[str], repository: str) -> list[str]:
    """Return the further folders that a write updates.

    Parameters
    ----------
    folder
        The prefix that is written.
    beside
        The further folders.
    repository
        Name of the lake, for errors.

    Raises
    ------
    InvalidName
        One of them, or the prefix, lies in another.
    """
    found = [check_folder(path, repository, "folder beside") for path in beside]
    for number, path in enumerate(found):
        if any(is_within(path, other) or is_within(other, path) for other in (folder, *found[:number])):
            reason = "a folder beside the prefix may not lie in another folder that is written"
            raise InvalidName(reason, repository=repository, path=path)
    return found


def ancestors(path: str) -> list[str]:
    """Return the parent folders of a path, outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def refuse_main(branch: str, repository: str) -> None:
    """Raise :class:`ProtectedBranch` for ``main``."""
    refuse_protected(branch == MAIN, branch, repository)


def refuse_protected(protected: bool, branch: str, repository: str) -> None:
    """Raise :class:`ProtectedBranch` if a branch is protected."""
    if protected:
        reason = "only a merge changes this branch: work on another one and merge it"
        raise ProtectedBranch(reason, repository=repository, ref=branch)


def _fault(path: str) -> str | None:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode: rename it to UTF-8"
    if len(encoded) > 1024:
        return "is longer than 1,024 bytes: shorten it"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "has an empty, '.' or '..' component; give it relative to the lake's root, as in 'stocks/csv'"
        if "\\" in part or any(unicodedata.category(character) == "Cc" for character in part):
            return "contains a backslash or a control character: remove it"
        if len(part.encode()) > 255:
            return "has a component longer than 255 bytes: shorten it"
        # Some file systems drop invisible characters or shorten names, and would take these for Git's own files.
        visible = "".join(character for character in part if unicodedata.category(character) != "Cf").lower()
        if visible.startswith((".git", "git~")):
            return "has a component that is reserved by Git: rename it"
    return None


def beside(prefix: str) -> str:
    """Return the folder of files that belong to a prefix but are not its rows."""
    return f"{BESIDE}/{prefix}"


def belongs_to(path: str) -> str:
    """Return a path without the leading :data:`BESIDE`, so that it begins with the prefix that it belongs to."""
    return path.removeprefix(f"{BESIDE}/")


def is_within(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or lies below it."""
    return not folder or path == folder or path.startswith(folder + "/")


def is_marker(name: str, size: int) -> bool:
    """Tell whether a file is a marker of Spark or Hadoop. Those are dropped from every commit."""
    return (
        name == "_SUCCESS"
        or (name.startswith(".") and name.endswith(".crc"))
        or (size == 0 and name.endswith("_$folder$"))
    )


def is_unfinished(name: str) -> bool:
    """Tell whether a folder belongs to an unfinished write. Those are refused in every commit."""
    return name.startswith(_UNFINISHED)


def join(*parts: str) -> str:
    """Join path parts, without empty ones."""
    return "/".join(part for part in parts if part)
