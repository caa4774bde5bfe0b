"""A checkpoint that lives in the lake, on disk while a run works on it.

Structured Streaming wants a folder that it can rename files in. What a commit holds is copied there, and what the run
added to it is copied back: only files that are new, in both directions. A checkpoint that was copied to another
folder goes on from there; Spark never rewrites one of its files.

The folder stays for the next run, with a list of what it holds. While a run is at work there is no such list, so that
what a killed one left is never taken for what the lake holds. Its folder is not used again either: the Spark of a
killed run goes on writing for a moment.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake, LakeObject, Write

_BLOCK = 4 << 20


class _Stamp(NamedTuple):
    """What tells that a file on disk is still the one that was put there."""

    checksum: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """What a run put into the lake of its checkpoint.

    Parameters
    ----------
    files
        Path below the checkpoint to size in bytes, of all files.
    new_files, new_bytes
        Those that were copied.
    """

    files: Mapping[str, int]
    new_files: int
    new_bytes: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    @property
    def state_size(self) -> int:
        """Bytes of the state store's files."""
        return sum(size for path, size in self.files.items() if path.startswith("state/"))


@dataclass(slots=True)
class Checkout:
    """A checkpoint on disk.

    Parameters
    ----------
    folder
        What Spark is given as ``checkpointLocation``.
    scratch
        For folders of this run's own; what a killed one left there is gone.
    """

    folder: Path
    scratch: Path
    _index: Path
    _held: dict[str, _Stamp] = field(default_factory=dict[str, _Stamp])

    def restore(self, lake: Lake, ref: str, path: str) -> None:
        """Make the folder what a ref holds of the checkpoint at a path; empty where it holds none."""
        known = self._known()
        held = _held_by(lake, ref, path)
        self._index.unlink(missing_ok=True)
        found = _files(self.folder)
        missing: list[str] = []
        self._held = {}
        for name, item in held.items():
            stamp = _stamp(self.folder / name, item.checksum) if name in found else None
            if stamp is not None and known.get(name) == stamp:
                self._held[name] = stamp
            else:
                missing.append(name)
        for name in found:
            if name not in self._held:
                (self.folder / name).unlink()
        if missing:
            snapshot = lake.path(ref, path)
            for name in missing:
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with (
                    snapshot.filesystem.open_input_stream(f"{snapshot.root}/{name}") as source,
                    target.open("wb") as to,
                ):
                    shutil.copyfileobj(source, to, _BLOCK)
                self._held[name] = _stamp(target, held[name].checksum)

    def clear(self) -> None:
        """Make the folder empty: what the lake holds is to be removed, too."""
        self._index.unlink(missing_ok=True)
        for name in _files(self.folder):
            (self.folder / name).unlink()

    def store(self, lake: Lake, write: Write, path: str) -> StoredCheckpoint:
        """Put what is new at a path beside a write's prefix, and take out what is gone."""
        before = _held_by(lake, write.base, path)
        files: dict[str, int] = {}
        new_files = new_bytes = 0
        for name in sorted(_files(self.folder)):
            source = self.folder / name
            if source.name.startswith("."):
                continue  # Hadoop's checksums, and what a crash left half-written.
            held = self._held.get(name) if name in before else None
            try:
                if held is None or not _is_still(source, held):
                    size = _upload(source, write, f"{path}/{name}")
                    new_files += 1
                    new_bytes += size
                else:
                    size = held.size
            except FileNotFoundError:
                continue  # Old state, which Spark's maintenance has just removed.
            files[name] = size
        write.removed |= {f"{path}/{name}" for name in before.keys() - files.keys()}
        return StoredCheckpoint(files, new_files, new_bytes)

    def committed(self, lake: Lake, ref: str, path: str) -> None:
        """Write down that the folder holds what a ref holds, after :meth:`store` was committed there."""
        self._keep(_held_by(lake, ref, path))

    def unchanged(self, lake: Lake, ref: str, path: str) -> None:
        """Write down that the folder still holds what it was restored to."""
        held = _held_by(lake, ref, path)
        same = (name for name, stamp in self._held.items() if _is_still(self.folder / name, stamp))
        self._keep({name: held[name] for name in same})

    def _keep(self, held: Mapping[str, LakeObject]) -> None:
        places = ((name, self.folder / name, item.checksum) for name, item in held.items())
        stamps = {name: _stamp(path, checksum) for name, path, checksum in places if path.is_file()}
        self._index.write_text(json.dumps(stamps))

    def _known(self) -> dict[str, _Stamp]:
        try:
            return {name: _Stamp(*stamp) for name, stamp in json.loads(self._index.read_text()).items()}
        except (OSError, ValueError):
            return {}


@contextmanager
def checkout(home: Path, lake: Lake, prefix: str) -> Generator[Checkout]:
    """Yield a folder for a stream's checkpoint, which no other process has; the one of the run before where it can.

    Parameters
    ----------
    home
        Where such folders are kept; with a cluster, one that all its machines see.
    lake, prefix
        Whose, and of which stream.
    """
    mine = home / sha256(f"{lake.repository}\n{prefix}".encode()).hexdigest()[:16]
    mine.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        with (mine / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                number += 1  # Another run is at work, and will publish first or conflict.
                continue
            yield _opened(mine / f"{number}")
            return


def _opened(place: Path) -> Checkout:
    """Return the folder that the last run left with its list, or a new one; remove what others left."""
    place.mkdir(exist_ok=True)
    index = next(place.glob("*.json"), place / f"{uuid4().hex[:8]}.json")
    folder = index.with_suffix("")
    for other in place.iterdir():
        if other not in (folder, index):
            # What is still being written to goes next time.
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    return Checkout(folder, place, index)


def _held_by(lake: Lake, ref: str, folder: str) -> dict[str, LakeObject]:
    """Return the files of the checkpoint that a ref holds, by their path below it."""
    return {item.path[len(folder) + 1 :]: item for item in lake.list(ref, folder)}


def _files(folder: Path) -> set[str]:
    """Return the files of a checkpoint by their path below it, those included that Spark or a crash left beside."""
    return {str(Path(root, name).relative_to(folder)) for root, _, names in os.walk(folder) for name in names}


def _stamp(path: Path, checksum: str) -> _Stamp:
    stat = path.stat()
    return _Stamp(checksum, stat.st_size, stat.st_mtime_ns)


def _is_still(path: Path, stamp: _Stamp) -> bool:
    return path.is_file() and _stamp(path, stamp.checksum) == stamp


def _upload(source: Path, write: Write, path: str) -> int:
    target = write.place(path)
    write.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    with source.open("rb") as from_, write.filesystem.open_output_stream(target) as to:
        shutil.copyfileobj(from_, to, _BLOCK)
    return source.stat().st_size
