"""Batches of users from a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lake_assets.defs.users.batch_files import UsersSourceError, check_name, fault, is_batch, tasks_of
from lake_assets.defs.users.naming import SUFFIX
from lake_assets.sources.links import Base, LinkRefused, show

if TYPE_CHECKING:
    from lake_assets.compute.parts import Task


class FolderOfUsers:
    """A folder whose file ``userdata1.parquet`` is the batch ``userdata1``.

    The files are read where they are, so they can have any size. Spark's workers must see the folder.
    """

    def __init__(self, folder: str, links_outside: bool = False) -> None:
        self._folder = Path(folder).expanduser().absolute()
        self._base = Base(os.path.realpath(self._folder), links_outside)

    def describe(self) -> str:
        """Return the folder."""
        return str(self._folder)

    def url(self, batch: str) -> str:
        """Return a ``file://`` URL."""
        return f"file://{quote(os.fsencode(self._path(batch)))}"

    def read(self, batch: str, folder: Path) -> Sequence[Task]:
        """Return the tasks that read the batch's file."""
        path = self._path(batch)
        try:
            self._base.real(str(path))
        except LinkRefused as refused:
            raise UsersSourceError(str(refused)) from refused
        except OSError:
            pass  # The next line says what is wrong with it.
        return tasks_of(path, str(path))

    def batches(self) -> Iterator[tuple[str, str]]:
        """Yield the batches of the folder. A version consists of the file's size, modification time and inode.

        A file that has several names by links is one batch: of its own name, or else of the first.
        """
        for name, status in self._listed({}):
            version = f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"
            yield name.removesuffix(SUFFIX), version

    def why_unlisted(self) -> str:
        """Return an empty text, since a folder can always be listed."""
        return ""

    def passed_over(self) -> Sequence[str]:
        """Describe the Parquet files that are no batches because of their names, and the links that are not."""
        refused: dict[str, str] = {}
        for _ in self._listed(refused):
            pass
        named = sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        return [
            *(f"{self._folder}/{name!r} is not a batch: {why}; rename it" for name in named if (why := fault(name))),
            *refused.values(),
        ]

    def _listed(self, refused: dict[str, str]) -> Iterator[tuple[str, os.stat_result]]:
        """Yield name and status of each batch's file, sorted by name. Add the links that are none to ``refused``."""
        try:
            files = [path for path in self._folder.iterdir() if is_batch(path.name)]
        except OSError as error:
            raise UsersSourceError(
                f"{self._folder}: cannot be listed ({error.strerror}); check USERS_SOURCE"
            ) from error
        found: dict[str, tuple[str, os.stat_result]] = {}
        for path in sorted(files, key=lambda path: (path.is_symlink(), path.name)):
            try:
                real = self._base.real(str(path))
                status = Path(real).stat()
            except LinkRefused as error:
                refused[path.name] = str(error)
                continue
            except OSError:
                continue  # It was removed, or is a link to what was.
            if not stat.S_ISREG(status.st_mode):
                continue
            if real in found:
                like = f"it is a link to the file of {found[real][0]}; remove either"
                refused[path.name] = f"{show(path)} is not a batch: {like}"
            else:
                found[real] = path.name, status
        yield from sorted(found.values(), key=lambda item: item[0])

    def _path(self, batch: str) -> Path:
        check_name(batch)
        return self._folder / f"{batch}{SUFFIX}"
