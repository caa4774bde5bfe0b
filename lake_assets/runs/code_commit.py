"""The Git commit of the code that a run executes."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

VARIABLE = "LAKE_CODE_COMMIT"
"""Environment variable that names the commit, for an image that is built without the Git checkout."""


def code_commit(file: str | None) -> str | None:
    """Return the Git commit of the checkout that a source file belongs to; None if it is not known.

    The commit ends with ``-dirty``, like that of ``git describe``, if a file of the checkout was changed since. It is
    read once per process, since a process executes the code that it has loaded. The environment variable
    ``LAKE_CODE_COMMIT`` takes precedence.

    Parameters
    ----------
    file
        The source file of an asset; None if it has no source file.
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
        # An installed package may lie in a checkout without belonging to it, such as in an ignored .venv.
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
