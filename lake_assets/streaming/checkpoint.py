"""A streaming checkpoint that is stored in the lake, and checked out to a local folder during a run.

Structured Streaming needs a folder in which it can rename files. A run copies the checkpoint of a commit there, and
copies new files back. In both directions only new files are copied, since Spark never rewrites a checkpoint's files.

The folder stays for the next run, with an index of its files. During a run there is no index. So the files that a
killed run left are never taken for those of the lake. Its folder is not used again, since the Spark process of a killed
run continues to write for a moment.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from lake_assets.lake.permissions import sharing_near
from lake_assets.streaming.checkpoint_files import CheckpointFiles

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake, LakeObject, Write

_BLOCK = 4 << 20


class _Stamp(NamedTuple):
    """The state of a file on disk, to detect later changes."""

    checksum: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint after a run has stored it in the lake.

    Parameters
    ----------
    files
        All files: path below the checkpoint to size in bytes.
    new_files, new_bytes
        Number and size of the files that were copied.
    """

    files: Mapping[str, int]
    new_files: int
    new_bytes: int

    @property
    def size(self) -> int:
        """Total size of all files in bytes."""
        return sum(self.files.values())

    @property
    def state_size(self) -> int:
        """Total size of the state store's files in bytes."""
        return sum(size for path, size in self.files.items() if path.startswith("state/"))


@dataclass(slots=True)
class Checkout:
    """A checkpoint in a local folder.

    Parameters
    ----------
    folder
        The folder, for Spark's option ``checkpointLocation``.
    scratch
        Parent for temporary folders of this run. Those of killed runs have been removed.
    """

    folder: Path
    scratch: Path
    _index: Path
    _held: dict[str, _Stamp] = field(default_factory=dict[str, _Stamp])

    @property
    def files(self) -> CheckpointFiles:
        """The checkpoint."""
        return CheckpointFiles.local(self.folder)

    @property
    def notes(self) -> None:
        """What the source leaves for Spark is in a temporary folder."""
        return

    def batches(self, folder: Path) -> str:
        """Return the URI of a local folder, which is that of the rows of micro-batches.

        Parameters
        ----------
        folder
            The folder, which workers see as they see the checkpoint.
        """
        return f"file://{folder}"

    def fetch_batches(self, folder: Path) -> None:
        """Do nothing: the rows of micro-batches are there.

        Parameters
        ----------
        folder
            The folder.
        """

    def restore(self, lake: Lake, ref: str, path: str) -> None:
        """Restore the folder to a ref's checkpoint. It is empty if the ref has none.

        Parameters
        ----------
        lake, ref, path
            Where the checkpoint is.
        """
        known = self._known()
        held = held_by(lake, ref, path)
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
        """Empty the folder. The next :meth:`store` then removes the checkpoint's files from the lake."""
        self._index.unlink(missing_ok=True)
        for name in _files(self.folder):
            (self.folder / name).unlink()

    def store(self, lake: Lake, write: Write, path: str) -> StoredCheckpoint:
        """Add new files to a write, and remove files that do not exist any more.

        Parameters
        ----------
        lake, write
            The lake, and the write that is open.
        path
            The checkpoint's folder in the lake, in one of the folders beside the write's prefix.
        """
        before = held_by(lake, write.base, path)
        files: dict[str, int] = {}
        new_files = new_bytes = 0
        for name in sorted(_files(self.folder)):
            source = self.folder / name
            if source.name.startswith("."):
                continue  # Hadoop's checksums, and unfinished files of a crash.
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
        """Record, after :meth:`store` was committed, that the folder matches a ref's checkpoint.

        Parameters
        ----------
        lake, ref, path
            Where the checkpoint is.
        """
        self._keep(held_by(lake, ref, path))

    def unchanged(self, lake: Lake, ref: str, path: str) -> None:
        """Record that the folder still matches the checkpoint that it was restored from.

        Parameters
        ----------
        lake, ref, path
            Where the checkpoint is.
        """
        held = held_by(lake, ref, path)
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
    """Yield a local folder for a stream's checkpoint that no other process uses. If possible, reuse the last run's.

    Parameters
    ----------
    home
        Parent of these folders. All machines of a Spark cluster must see it.
    lake, prefix
        The lake, and the stream's prefix.
    """
    mine = home / sha256(f"{lake.repository}\n{prefix}".encode()).hexdigest()[:16]
    sharing_near(home).make_folder(mine)
    number = 0
    while True:
        with ExitStack() as held:
            try:
                lock = held.enter_context((mine / f"{number}.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                number += 1  # Another run is active, which will publish first or conflict; or it is another user's.
                continue
            yield _opened(mine / f"{number}")
            return


def _opened(place: Path) -> Checkout:
    """Return the folder that the last run left with an index, or a new one. Remove other folders."""
    place.mkdir(exist_ok=True)
    index = next(place.glob("*.json"), place / f"{uuid4().hex[:8]}.json")
    folder = index.with_suffix("")
    for other in place.iterdir():
        if other not in (folder, index):
            # Folders that are still being written are removed next time.
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    return Checkout(folder, place, index)


def held_by(lake: Lake, ref: str, folder: str) -> dict[str, LakeObject]:
    """Return the files of a ref's checkpoint, by their path below it.

    Parameters
    ----------
    lake, ref, folder
        Where the checkpoint is.
    """
    return {item.path[len(folder) + 1 :]: item for item in lake.list(ref, folder)}


def _files(folder: Path) -> set[str]:
    """Return the paths of all files below a checkpoint's folder, including temporary ones."""
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
