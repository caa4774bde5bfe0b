"""Files in a local folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic
from urllib.parse import quote

from lake_assets.lake.moments import utc
from lake_assets.sources.contract import FetchedFile, Key, SourceError, SourceFile, SourceFileMissing, SourceUnavailable
from lake_assets.sources.links import Base, LinkRefused, show
from lake_assets.sources.retries import Deadline, RetryLimits
from lake_assets.sources.saving import save_stream
from lake_assets.sources.template import Naming, Template

_CHUNK = 1 << 20


class LocalSource(Generic[Key]):
    """A folder, or a template of paths below one.

    Parameters
    ----------
    location
        Base folder or template. A relative path is resolved against the current working folder.
    naming
        The naming of its files.
    limits
        Limits of tries and times.
    links_outside
        Whether links below the folder may lead out of it.
    """

    def __init__(self, location: str, naming: Naming[Key], limits: RetryLimits, links_outside: bool = False) -> None:
        try:
            self._template = Template(str(Path(location).expanduser().resolve()), naming)
        except RuntimeError as error:
            raise SourceError(f"{naming.source}: {location}: {error}") from error
        root, *self._names = _split(self._template.text)
        self._base = Base(root, links_outside)
        self._limits = limits

    def url(self, key: Key) -> str:
        """Return a ``file://`` URL."""
        return _url(self._template.at(key))

    def describe(self) -> str:
        """Return the path with its placeholders."""
        return self._template.text

    def fetch(self, key: Key, into: Path) -> FetchedFile:
        """Copy the file. If it changes meanwhile, it is copied again, and refused if it keeps changing."""
        return self._limits.keep_trying(lambda deadline: self._copy(key, into, deadline))

    def head(self, key: Key) -> SourceFile | None:
        """Return size and version of the file, or None."""
        path = self._path(key)
        try:
            return _source_file(str(path), self._status(path))
        except SourceFileMissing:
            return None

    def files(self, passed_over: Callable[[str], object] = str) -> Iterator[tuple[Key, SourceFile]]:
        """List the folder. Files whose name does not match the template are skipped.

        A file that has several names by links is listed once: by its own name if that matches, else by the first.

        Raises
        ------
        SourceError
            The folder does not exist or is not readable.
        """
        found: dict[str, tuple[Key, SourceFile]] = {}
        patterns = [self._template.regex(name) for name in self._names]
        for linked, path in sorted(self._walk(self._base.root, patterns, passed_over)):
            key = self._template.parse(path)
            if key is None:
                continue
            try:
                real = self._base.real(path) if linked else path
                status = Path(real).stat()
            except LinkRefused as refused:
                passed_over(str(refused))
                continue
            except OSError as error:
                if not isinstance(reason := _unreadable(Path(path), error), SourceFileMissing):
                    passed_over(str(reason))
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            if real in found:
                passed_over(f"{show(path)} is a link to a file that is listed as {found[real][1].url}; remove either")
            else:
                found[real] = (key, _source_file(path, status))
        return iter(sorted(found.values(), key=lambda item: item[0]))

    def _path(self, key: Key) -> Path:
        return Path(self._template.at(key))

    def _copy(self, key: Key, into: Path, deadline: Deadline) -> FetchedFile:
        path = self._path(key)
        before = self._status(path)
        fetched = save_stream(
            deadline.watch(_chunks(path, before), str(path)),
            into,
            self._template.file_name(str(path), key),
            url=self.url(key),
            etag=_etag(before),
            expected=None,
        )
        try:
            after = _etag(self._status(path))
        except SourceFileMissing:
            after = "gone"
        if fetched.size != before.st_size or after != _etag(before):
            fetched.path.unlink()
            raise SourceUnavailable(f"{path} changed while it was being copied; is it still being written?")
        return fetched

    def _status(self, path: Path) -> os.stat_result:
        try:
            status = Path(self._base.real(str(path))).stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        except LinkRefused as refused:
            raise SourceError(str(refused)) from refused
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path} is not a file")
        return status

    def _walk(
        self, folder: str, names: list[re.Pattern[str]], passed_over: Callable[[str], object], linked: bool = False
    ) -> Iterator[tuple[bool, str]]:
        """Yield the paths that match the patterns, name by name, and whether a link is on the way to each."""
        try:
            if linked:
                self._base.real(folder)
            with os.scandir(folder) as entries:
                matching = [
                    (linked or entry.is_symlink(), entry.path) for entry in entries if names[0].fullmatch(entry.name)
                ]
        except LinkRefused as refused:
            passed_over(str(refused))
        except OSError as error:
            top = folder == self._base.root
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            if top and missing:
                raise SourceError(f"{folder}: there is no such folder; check the address of the source") from None
            if top:
                raise _unreadable(Path(folder), error) from error
            # One folder's failure is no other's.
            if not missing:
                passed_over(str(_unreadable(Path(folder), error)))
        else:
            for is_linked, path in matching:
                if len(names) == 1:
                    yield is_linked, path
                else:
                    yield from self._walk(path, names[1:], passed_over, is_linked)


def _chunks(path: Path, status: os.stat_result) -> Iterator[bytes]:
    left = status.st_size + 1  # One byte more than expected, to detect a growing file without reading all of it.
    try:
        with path.open("rb", buffering=0) as file:
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SourceError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SourceFileMissing(f"{path}: there is no such file")
    if isinstance(error, PermissionError):
        return SourceError(f"{path}: is not readable; check its permissions")
    return SourceUnavailable(f"{path}: cannot be read ({error.strerror})")


def _source_file(path: str, status: os.stat_result) -> SourceFile:
    return SourceFile(_url(path), status.st_size, _etag(status), utc(status.st_mtime))


def _url(path: str) -> str:
    return "file://" + quote(os.fsencode(path))


def _etag(status: os.stat_result) -> str:
    # Replacing or rewriting a file changes one of these.
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def _split(template: str) -> list[str]:
    """Split a template into the folder before the first placeholder, and the names below it."""
    names = template.split("/")
    first = next(index for index, name in enumerate(names) if "{" in name)
    return ["/".join(names[:first]) or "/", *names[first:]]
