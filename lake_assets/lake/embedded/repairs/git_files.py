"""Git's small files, without which no repository opens: folders, HEAD, configuration, packed refs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pygit2

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded.creation import configure, format_of, opened
from lake_assets.lake.embedded.durability import sync
from lake_assets.lake.embedded.repairs.finding import Finding, put_aside

_FOLDERS = ("objects/pack", "objects/info", "refs/heads", "refs/tags", "lfs/objects")
_HEAD = re.compile(rb"ref: refs/\S+\n?|[0-9a-f]{40}\n?")
_BARE = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_PACKED = re.compile(rb"#.*|\^[0-9a-f]{40}|[0-9a-f]{40} refs/\S+")


def mend_files(git_dir: Path, backup: Path | None) -> Iterator[Finding]:
    """Mend the files that a repository cannot be opened without, and yield what was wrong.

    Parameters
    ----------
    git_dir
        Folder of the repository.
    backup
        Folder of another copy of it.
    """
    for name in _FOLDERS:
        if not (git_dir / name).is_dir():
            if (git_dir / name).exists():
                put_aside(git_dir, git_dir / name)
            (git_dir / name).mkdir(parents=True)
            if name != "objects/info":
                yield Finding(f"lake.git/{name} was missing", "made anew")
    yield from _mend_head(git_dir)
    yield from _mend_config(git_dir, backup)
    yield from _mend_packed_refs(git_dir)


def _mend_head(git_dir: Path) -> Iterator[Finding]:
    path = git_dir / "HEAD"
    if not _matches(_HEAD, path):
        _replace(git_dir, path, f"ref: refs/heads/{MAIN}\n".encode())
        yield Finding("lake.git/HEAD was damaged", f"it names {MAIN} again")


def _mend_config(git_dir: Path, backup: Path | None) -> Iterator[Finding]:
    path = git_dir / "config"
    if _is_configuration(git_dir):
        return
    if backup is not None and _is_configuration(backup):
        _replace(git_dir, path, (backup / "config").read_bytes())
        yield Finding("lake.git/config was damaged", "taken from the backup")
        return
    _replace(git_dir, path, _BARE.encode())
    repository = opened(git_dir)
    configure(repository)
    how = f"written anew, for a lake of format {format_of(repository)}; settings of your own are lost"
    yield Finding("lake.git/config was damaged", how)


def _is_configuration(git_dir: Path) -> bool:
    try:
        format_of(opened(git_dir))
    except (OSError, pygit2.GitError):
        return False
    return True


def _mend_packed_refs(git_dir: Path) -> Iterator[Finding]:
    path = git_dir / "packed-refs"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    kept = [line for line in lines if _PACKED.fullmatch(line)]
    lost = sum(bool(line) for line in lines) - len(kept)
    # Git takes a file whose last line has no end for damaged, too.
    if lost or (kept and lines[-1]):
        _replace(git_dir, path, b"".join(line + b"\n" for line in kept))
        yield Finding("lake.git/packed-refs was damaged", f"{lost} line(s) that cannot be read are left out")


def _matches(pattern: re.Pattern[bytes], path: Path) -> bool:
    try:
        return pattern.fullmatch(path.read_bytes()) is not None
    except FileNotFoundError:
        return False


def _replace(git_dir: Path, path: Path, data: bytes) -> None:
    if path.exists():
        put_aside(git_dir, path)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    sync(new)
    new.replace(path)
    sync(git_dir)
