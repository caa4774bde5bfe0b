"""Backing up and restoring an embedded lake. A backup is a lake itself, of which every command can read."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pygit2

from lake_assets.lake.contract import MAIN, Copied
from lake_assets.lake.embedded.durability import new_names, sync, sync_tree
from lake_assets.lake.embedded.failures import REPAIR, is_read_only, translated
from lake_assets.lake.embedded.gc import MANY_PACKS, Collector
from lake_assets.lake.embedded.git_objects import GitObjects, ObjectMissingError
from lake_assets.lake.embedded.history import descends
from lake_assets.lake.embedded.locks import locked
from lake_assets.lake.embedded.mirror import Mirror, Mirrored, refs_of, repository_at
from lake_assets.lake.embedded.newest import Newest
from lake_assets.lake.embedded.objects import Objects
from lake_assets.lake.embedded.packs import open_repository
from lake_assets.lake.embedded.refs import Refs
from lake_assets.lake.embedded.scratch import Scratch
from lake_assets.lake.errors import AlreadyExists, DataCorrupted, LakeUnavailable
from lake_assets.lake.permissions import sharing_of

_MAIN = f"refs/heads/{MAIN}"
_FOREVER = timedelta(days=36_500)


def back_up(home: Path, target: Path, *, link: bool, check: bool, replace: bool) -> Copied:
    """Bring the copy of a lake up to date; see :meth:`Lake.backup`.

    Parameters
    ----------
    home
        Folder of the lake.
    target
        Folder of the copy.
    link, check, replace
        As of :meth:`Lake.backup`.
    """
    origin, place = home / "lake.git", target / "lake.git"
    with _stopped(str(home), target):
        sharing = sharing_of(origin)
        sharing.make_folder(place)
        # No garbage is collected meanwhile, in the lake or in the copy.
        with _locked_if_writable(origin / "lake_assets.gc"), locked(place / "lake_assets.gc", sharing):
            repository = open_repository(origin)
            mirror = Mirror(repository, place, link=link, check=check)
            # No ref moves while they are read, so that they are of one moment.
            with _locked_if_writable(origin / "lake_assets.lock"):
                found = refs_of(repository)
            if not replace:
                _refuse_other_history(repository, found, target, str(home))
            with locked(place / "lake_assets.lock", sharing):
                done = mirror.update(found)
        _combine_packs(place)
    return _summary(found, done)


def restore(source: Path, home: Path, *, link: bool = True, replace: bool = False) -> Copied:
    """Make the lake in a folder what a backup, or another copy of a lake, holds.

    The lake appears at once, when all of it is there. A lake that is replaced is kept beside it.

    Parameters
    ----------
    source
        Folder of the backup.
    home
        Folder of the lake.
    link
        Add data files by hard link where the file system allows it.
    replace
        Replace a lake that is there.

    Raises
    ------
    LakeUnavailable
        There is no complete backup in ``source``, or a folder cannot be read or written.
    AlreadyExists
        There is a lake in ``home``.
    DataCorrupted
        A Git object of the backup is missing or damaged.
    """
    name, place = str(home), home / "lake.git"
    with translated(str(source)):
        origin = repository_at(source / "lake.git")
        found = refs_of(origin) if origin is not None else {}
    if origin is None or _MAIN not in found:
        raise LakeUnavailable("there is no complete backup here: name a folder of `backup`", repository=str(source))
    if place.exists() and not replace and not _is_unused(place):
        reason = f"a lake is here already: stop its runs, and give --replace, which keeps it as {place.name}.replaced-…"
        raise AlreadyExists(reason, repository=name)
    with _stopped(str(source), home):
        sharing = sharing_of(source / "lake.git")
        sync_names = new_names(home)
        sharing.make_folder(home)
        sync_names()
        with Scratch(home / "staging", sharing).folder() as folder:
            built = folder / place.name
            done = Mirror(origin, built, link=link).update(found)
            sync_tree(built, files=False)
            _put_in_place(built, place, folder)
    return _summary(found, done)


def _put_in_place(built: Path, place: Path, trash: Path) -> None:
    if place.exists():
        kept = place.with_name(f"{place.name}.replaced-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}")
        # A writer that is about to move a ref ends first.
        with _locked_if_writable(place / "lake_assets.lock"):
            place.rename(trash / "unused" if _is_unused(place) else kept)
            built.rename(place)
    else:
        built.rename(place)
    sync(place.parent)


def _is_unused(git_dir: Path) -> bool:
    """Tell whether a lake holds nothing but its first commit, as one that a command has just created."""
    repository = repository_at(git_dir)
    if repository is None:
        return False
    found = refs_of(repository)
    return set(found) == {_MAIN} and not GitObjects(repository).commit(found[_MAIN]).parent_ids


def _refuse_other_history(
    repository: pygit2.Repository, found: Mapping[str, pygit2.Oid], target: Path, name: str
) -> None:
    copy = repository_at(target / "lake.git")
    before = refs_of(copy).get(_MAIN) if copy is not None else None
    if before is None or before == found[_MAIN]:
        return
    if before not in repository or not descends(found[_MAIN], before, GitObjects(repository).commit):
        reason = (
            f"this backup has {MAIN} at {before}, which {MAIN} of this lake does not reach: it is of another lake, or "
            "newer than what was restored; back up to another folder, or replace it with --replace"
        )
        raise AlreadyExists(f"{reason}: {target}", repository=name)


def _combine_packs(target: Path) -> None:
    if len(list((target / "objects" / "pack").glob("*.pack"))) < 2 * MANY_PACKS:
        return
    if (copy := repository_at(target)) is not None:
        objects = GitObjects(copy)
        refs = Refs(copy, objects, target, str(target))
        answers = Newest(copy, objects).folder
        Collector(copy, objects, Objects(target / "lfs" / "objects"), refs, answers).collect(_FOREVER)


def _summary(found: Mapping[str, pygit2.Oid], done: Mirrored) -> Copied:
    return Copied(str(found[_MAIN]), done.copied, done.linked, done.size, done.missing)


@contextmanager
def _stopped(name: str, target: Path) -> Generator[None]:
    """Translate what stops a copy. The target is as it was."""
    try:
        yield
    except OSError as error:
        reason = f"copying to {target} stopped, and what it holds is as it was before: {error}"
        raise LakeUnavailable(reason, repository=name) from error
    except (ObjectMissingError, pygit2.GitError) as error:
        which = f"Git object {error}" if isinstance(error, ObjectMissingError) else "lake.git"
        reason = f"{which} is missing or damaged, so {target} is as it was before: {REPAIR}"
        raise DataCorrupted(reason, repository=name) from error


@contextmanager
def _locked_if_writable(path: Path) -> Generator[None]:
    """Hold a lock. A lake that is read-only has no writers here, and needs none."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(path, sharing_of(path.parent)))
        except OSError as error:
            if not is_read_only(error):
                raise
        yield
