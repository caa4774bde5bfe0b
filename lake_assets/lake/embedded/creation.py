"""Opening the lake's Git repository, and creating it if it does not exist."""

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
from lake_assets.lake.embedded.packs import open_repository
from lake_assets.lake.embedded.reflog import NOTHING, note
from lake_assets.lake.embedded.scratch import Scratch
from lake_assets.lake.embedded.trees import Trees
from lake_assets.lake.format import FIRST, FORMAT
from lake_assets.lake.permissions import UMASK
from lake_assets.lake.spec import CommitStep

_FORMAT = "lakeassets.format"
_VERSION = "core.repositoryformatversion"
_PRUNE = "gc.pruneExpire"
_FSYNC = "core.fsync"
_LFS = b"* filter=lfs diff=lfs merge=lfs -text\n"


def open_or_create(git_dir: Path, scratch: Scratch) -> pygit2.Repository:
    """Open the repository at ``git_dir``. If it does not exist, create it with ``main`` and its root commit.

    A new repository is built in a temporary folder, synced and renamed into place. So other processes see a complete
    repository or none. If two processes create it at once, both open the one that was renamed first.

    Parameters
    ----------
    git_dir
        The folder of the repository.
    scratch
        Where it is built.

    Raises
    ------
    OSError
        The folder cannot be made.
    pygit2.GitError
        The folder is not a Git repository.
    """
    _set_up_libgit2()
    if not git_dir.exists():
        sync_names = new_names(git_dir.parent)
        scratch.sharing.make_folder(git_dir.parent)
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
    return opened(git_dir)


def opened(git_dir: Path) -> pygit2.Repository:
    """Open the repository at ``git_dir``, which exists."""
    _set_up_libgit2()
    return open_repository(git_dir)


def format_of(repository: pygit2.Repository) -> int:
    """Return the number of a lake's format, which is stored in the repository's configuration.

    Raises
    ------
    pygit2.GitError
        The configuration is empty or cut off, as after a power loss.
    """
    found = {entry.name.lower(): entry.value for entry in repository.config}
    if _VERSION not in found:
        raise pygit2.GitError("config file is empty")
    # A lake without a number is of the first format. It has the settings of that time, and none that came later.
    if _FORMAT not in found and (_PRUNE.lower() not in found or _FSYNC in found):
        raise pygit2.GitError("config file is cut off")
    number = found.get(_FORMAT, str(FIRST))
    if not number or not number.isdecimal():
        raise pygit2.GitError("config file has no number of the format")
    return int(number)


def set_format(repository: pygit2.Repository, number: int) -> None:
    """Store the number of a lake's format."""
    repository.config[_FORMAT] = number


def _set_up_libgit2() -> None:
    # For objects and refs, libgit2 then syncs a file before it renames it, and the folder afterwards.
    pygit2.settings.enable_fsync_gitdir(True)
    # An object that was written again since its pack was damaged has a file of its own.
    pygit2.settings.set_odb_loose_priority(3)
    # The user's and the machine's Git configuration could change or break the lake.
    for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM):
        pygit2.settings.search_path[level] = ""
    # A lake in a container or on a shared mount often has another owner.
    pygit2.settings.owner_validation = False


def configure(repository: pygit2.Repository) -> None:
    """Store the settings of a lake's repository."""
    # Commits of deleted branches stay readable by id, even if somebody runs Git's own maintenance.
    repository.config["gc.auto"] = 0
    repository.config[_PRUNE] = "never"
    set_format(repository, FORMAT)
    # What somebody writes here with plain Git is synced, too.
    repository.config[_FSYNC] = "all"


def _create(git_dir: Path) -> None:
    repository = pygit2.init_repository(str(git_dir), bare=True, initial_head=MAIN)
    configure(repository)
    (git_dir / "lfs" / "objects").mkdir(parents=True)
    objects = GitObjects(repository)
    trees = Trees(objects)
    root = trees.graft(None, {ATTRIBUTES: trees.write_file(_LFS)})
    step = CommitStep(message="The lake", metadata={RECORD: "[]"})
    commit = Commits(objects, trees).make(root, (), step)
    note(git_dir, f"refs/heads/{MAIN}", NOTHING, str(commit.id), UMASK)
    repository.references.create(f"refs/heads/{MAIN}", commit.id)
