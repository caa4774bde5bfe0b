"""Files in a local folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Generic
from urllib.parse import quote

from lake_assets.sources.contract import FetchedFile, Key, SourceError, SourceFile, SourceFileMissing, SourceUnavailable
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
    """

    def __init__(self, location: str, naming: Naming[Key], limits: RetryLimits) -> None:
        try:
            self._template = Template(str(Path(location).expanduser().resolve()), naming)
        except RuntimeError as error:
            raise SourceError(f"{naming.source}: {location}: {error}") from error
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
            return _source_file(str(path), _status(path))
        except SourceFileMissing:
            return None

    def files(self) -> Iterator[tuple[Key, SourceFile]]:
        """List the folder. Files whose name does not match the template are skipped.

        Raises
        ------
        SourceError
            The folder does not exist or is not readable.
        """
        root, *names = _split(self._template.text)
        found: list[tuple[Key, SourceFile]] = []
        for entry in _walk(root, [self._template.regex(name) for name in names]):
            key = self._template.parse(entry.path)
            if key is None:
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((key, _source_file(entry.path, status)))
        return iter(sorted(found, key=lambda item: item[0]))

    def _path(self, key: Key) -> Path:
        return Path(self._template.at(key))

    def _copy(self, key: Key, into: Path, deadline: Deadline) -> FetchedFile:
        path = self._path(key)
        before = _status(path)
        fetched = save_stream(
            deadline.watch(_chunks(path, before), str(path)),
            into,
            self._template.file_name(str(path), key),
            url=self.url(key),
            etag=_etag(before),
            expected=None,
        )
        try:
            after = _etag(_status(path))
        except SourceFileMissing:
            after = "gone"
        if fetched.size != before.st_size or after != _etag(before):
            fetched.path.unlink()
            raise SourceUnavailable(f"{path} changed while it was being copied; is it still being written?")
        return fetched


def _chunks(path: Path, status: os.stat_result) -> Iterator[bytes]:
    left = status.st_size + 1  # One byte more than expected, to detect a growing file without reading all of it.
    try:
        with path.open("rb", buffering=0) as file:
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise _unreadable(path, error) from error


def _status(path: Path) -> os.stat_result:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{path} is not a file")
    return status


def _unreadable(path: Path, error: OSError) -> SourceError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SourceFileMissing(f"{path}: there is no such file")
    if isinstance(error, PermissionError):
        return SourceError(f"{path}: is not readable; check its permissions")
    return SourceUnavailable(f"{path}: cannot be read ({error.strerror})")


def _source_file(path: str, status: os.stat_result) -> SourceFile:
    modified = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    return SourceFile(_url(path), status.st_size, _etag(status), modified)


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


def _walk(folder: str, names: list[re.Pattern[str]], top: bool = True) -> Iterator[os.DirEntry[str]]:
    """Yield the entries whose path matches the patterns, name by name. Other folders are not read."""
    try:
        with os.scandir(folder) as entries:
            matching = [entry for entry in entries if names[0].fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        if top:
            raise SourceError(f"{folder}: there is no such folder; check the address of the source") from None
        return
    except OSError as error:
        raise _unreadable(Path(folder), error) from error
    for entry in matching:
        if len(names) == 1:
            yield entry
        elif entry.is_dir():
            yield from _walk(entry.path, names[1:], top=False)
