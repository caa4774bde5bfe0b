"""Opening the lake's Git repository, and making it where there is none."""

from __future__ import annotations

import errno
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from lake_assets.lake.audit import RECORD
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded.commits import ATTRIBUTES, Commits
from lake_assets.lake.embedded.durability import new_names, sync, sync_tree
from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.embedded.scratch import Scratch, make_folder
from lake_assets.lake.embedded.trees import Trees
from lake_assets.lake.format import FIRST, FORMAT

_FORMAT = "lakeassets.format"
_LFS = b"* filter=lfs diff=lfs merge=lfs -text\n"


def open_or_create(git_dir: Path, scratch: Scratch) -> pygit2.Repository:
    """Open the repository at ``git_dir``; where there is none, make one with ``main`` and its root commit.

    It is built aside, synced and renamed into place, so another process sees a whole repository or none, and of
    two that make it at once both open the first.

    Raises
    ------
    OSError
        The folder cannot be made.
    pygit2.GitError
        What stands there is no repository.
    """
    _ignore_user_settings()
    # Objects and refs: libgit2 syncs a file before it names it, and the folder that it names it in after.
    pygit2.settings.enable_fsync_gitdir(True)
    if not git_dir.exists():
        sync_names = new_names(git_dir.parent)
        make_folder(git_dir.parent)
        sync_names()
        with scratch.folder() as folder:
            built = folder / git_dir.name
            _create(built)
            sync_tree(built, files=True)
            try:
                built.rename(git_dir)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            sync(git_dir.parent)
    return pygit2.Repository(str(git_dir), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)


def format_of(repository: pygit2.Repository) -> int:
    """Return the number of a lake's format, which stands in the repository's configuration."""
    for entry in repository.config:
        if entry.name == _FORMAT:
            return int(entry.value or FIRST)
    return FIRST


def set_format(repository: pygit2.Repository, number: int) -> None:
    """Say that a lake has this format."""
    repository.config[_FORMAT] = number


def _ignore_user_settings() -> None:
    """Let nothing in a user's or machine's Git configuration change what the lake does, or break it."""
    for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM):
        pygit2.settings.search_path[level] = ""
    # A lake in a container or on a shared mount often belongs to another user.
    pygit2.settings.owner_validation = False


def _create(git_dir: Path) -> None:
    repository = pygit2.init_repository(str(git_dir), bare=True, initial_head=MAIN)
    # Commits of deleted branches stay readable by id, whatever maintenance somebody runs.
    repository.config["gc.auto"] = 0
    repository.config["gc.pruneExpire"] = "never"
    set_format(repository, FORMAT)
    # What somebody writes here by plain Git is synced as ours is.
    repository.config["core.fsync"] = "all"
    make_folder(git_dir / "lfs" / "objects")
    objects = GitObjects(repository)
    trees = Trees(objects)
    root = trees.graft(None, {ATTRIBUTES: trees.write_file(_LFS)})
    commit = Commits(repository, objects, trees).make(root, (), "The lake", {RECORD: "[]"})
    repository.references.create(f"refs/heads/{MAIN}", commit.id)
