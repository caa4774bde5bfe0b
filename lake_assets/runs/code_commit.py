"""The Git commit of the code that a run executes."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

VARIABLE = "LAKE_CODE_COMMIT"
"""Environment variable that names the commit, for an image that is built without its checkout."""


def code_commit(file: str | None) -> str | None:
    """Return the commit of the checkout that a source file belongs to; None where nothing tells.

    It ends with ``-dirty`` where a file of the checkout differs from the commit, as that of ``git describe`` does.
    Read once a process, since a process executes the code that it has loaded. The variable ``LAKE_CODE_COMMIT`` comes
    first.

    Parameters
    ----------
    file
        The source file of an asset; None where it has none.
    """
    return os.environ.get(VARIABLE, "").strip() or (_of_file(file) if file is not None else None)


@cache
def _of_file(file: str) -> str | None:
    import pygit2

    try:
        found = pygit2.discover_repository(str(Path(file).parent))
        if found is None:
            return None
        repository = pygit2.Repository(found)
        if repository.is_bare or repository.head_is_unborn:
            return None
        name = Path(file).resolve().relative_to(Path(repository.workdir).resolve()).as_posix()
        # An installed package may lie in a checkout, and be none of its files.
        if repository.path_is_ignored(name):
            return None
        commit = str(repository.head.target)
        dirty = name not in repository.index or _is_dirty(found)
    except (pygit2.GitError, ValueError, OSError):
        return None
    return f"{commit}-dirty" if dirty else commit


@cache
def _is_dirty(path: str) -> bool:
    import pygit2

    return bool(pygit2.Repository(path).status(untracked_files="no"))
