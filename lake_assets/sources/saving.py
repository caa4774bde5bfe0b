"""Saving the bytes of a source into a folder, in one pass: they are written, hashed and counted."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from lake_assets.sources.contract import FetchedFile, TruncatedDownload


def save_stream(
    chunks: Iterable[bytes], into: Path, name: str, *, url: str, etag: str | None, expected: int | None
) -> FetchedFile:
    """Write chunks to a file. The file appears only when it is complete.

    After an error nothing is left in the folder. A killed process leaves a hidden ``.part`` file.

    Parameters
    ----------
    chunks
        The bytes. Errors of the iterator are passed on.
    into
        The folder. It is created if it is missing.
    name
        Name of the file.
    url, etag
        For the result and for errors.
    expected
        Announced length in bytes, or None.

    Raises
    ------
    TruncatedDownload
        The length differs from the announced one.
    OSError
        The disk is full, or ``into`` is not writable.
    """
    # A unique name, so that two fetches into one folder do not conflict. The dot hides it from readers.
    part = into / f".{name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    digest = hashlib.sha256()
    size = newlines = 0
    last = b"\n"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            for chunk in chunks:
                if not chunk:
                    continue
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                newlines += chunk.count(b"\n")
                last = chunk[-1:]
        if expected is not None and size != expected:
            raise TruncatedDownload(url, expected, size)
        part.replace(into / name)
    except OSError as error:
        reason = f"cannot save the file from {url}: {error.strerror}"
        raise OSError(error.errno, reason, str(into / name)) from error
    finally:
        part.unlink(missing_ok=True)
    lines = newlines + (last != b"\n")
    return FetchedFile(into / name, url, etag, digest.hexdigest(), size, max(lines - 1, 0))
