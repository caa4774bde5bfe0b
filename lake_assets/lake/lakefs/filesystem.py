"""The data of a lakeFS repository for PyArrow, pandas and DuckDB, through lakeFS's S3 gateway."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pyarrow import BufferReader, PythonFile
from pyarrow.fs import (
    AwsStandardS3RetryStrategy,
    FileInfo,
    FileSelector,
    FileSystem,
    FileSystemHandler,
    PyFileSystem,
    S3FileSystem,
)

from lake_assets.lake.errors import LakeUnavailable
from lake_assets.lake.lakefs.folders import is_marker

T = TypeVar("T")

_MIB = 1 << 20
_AT_ONCE = _MIB
"""Files up to this size are read as a whole when they are opened."""
_LONGEST_PAUSE = 20
"""Seconds between two tries of the AWS SDK, at most. It begins with one and doubles."""


def gateway(endpoint: str, access_key: str, secret_key: str, deadline: float) -> FileSystem:
    """Return the file system whose paths are ``repository/ref/path``. It does not list the lake's marker objects.

    Parameters
    ----------
    endpoint, access_key, secret_key
        The server and its credentials.
    deadline
        Seconds that an operation may take with all its tries, and a second more for each MiB.
    """
    url = urlsplit(endpoint)
    store = S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        endpoint_override=url.netloc,
        scheme=url.scheme,
        region="us-east-1",
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_tries(deadline)),
        connect_timeout=min(5, deadline),
        request_timeout=min(60, deadline),
    )
    return PyFileSystem(_Gateway(store, _Watch(endpoint, deadline)))


def _tries(deadline: float) -> int:
    """Return the number of tries that lasts as long as the deadline; the SDK waits half of a pause on average."""
    tries, lasts = 1, 0.0
    while lasts < 2 * deadline:
        lasts += min(2 ** (tries - 1), _LONGEST_PAUSE)
        tries += 1
    return tries


class _Watch:
    """Ends what takes longer than its deadline. The AWS SDK knows a limit for one try only, and for no slow answer."""

    def __init__(self, endpoint: str, deadline: float) -> None:
        self._endpoint = endpoint
        self._deadline = deadline

    def __call__(self, act: Callable[[], T], path: str, size: int = 0) -> T:
        """Run something in a thread that is left alone after the deadline.

        Parameters
        ----------
        act
            What to do.
        path
            The path, for errors.
        size
            Bytes that it moves.

        Raises
        ------
        LakeUnavailable
            It has not ended in time, or the server answered every try with an error.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(act())
            except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread that waits
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True, name="lakefs-data")
        thread.start()
        seconds = self._deadline + size / _MIB
        thread.join(seconds)
        if thread.is_alive() or (errors and _is_transient(errors[0])):
            reason = f"lakeFS did not finish this within {seconds:.0f} s"
            if errors:
                reason = f"lakeFS refuses the data each time ({str(errors[0]).partition(': ')[2][:200]})"
            _, ref, place = (*path.split("/", 2), "", "")[:3]
            remedy = "check that the server at this address runs, or raise LAKEFS_DEADLINE"
            raise LakeUnavailable(f"{reason}: {remedy}", repository=self._endpoint, ref=ref, path=place) from None
        if errors:
            raise errors[0]
        return results[0]


_TRANSIENT = ("NETWORK_CONNECTION", "SLOW_DOWN", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE", "REQUEST_TIMEOUT")


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, OSError) and any(f"AWS Error {kind}" in str(error) for kind in _TRANSIENT)


class _Gateway(FileSystemHandler):  # pyright: ignore[reportUntypedBaseClass]
    """Passes all calls on to the S3 file system. It creates no folders, which are only parts of names here."""

    def __init__(self, store: S3FileSystem, watch: _Watch) -> None:
        self._store = store
        self._watch = watch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Gateway) and self._store.equals(other._store)

    def get_type_name(self) -> str:
        return "lakefs"

    def normalize_path(self, path: str) -> str:
        return self._store.normalize_path(path)

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        return self._watch(lambda: self._store.get_file_info(paths), next(iter(paths), ""))

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        found = self._watch(lambda: self._store.get_file_info(selector), selector.base_dir)
        # A path is repository/ref/path.
        return [info for info in found if not is_marker(info.path.partition("/")[2].partition("/")[2])]

    def create_dir(self, path: str, recursive: bool) -> None:
        # PyArrow would write an empty object for each parent folder, including one for the branch.
        del path, recursive

    def delete_dir(self, path: str) -> None:
        self._watch(lambda: self._store.delete_dir(path), path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._watch(lambda: self._store.delete_dir_contents(path, missing_dir_ok=missing_dir_ok), path)

    def delete_root_dir_contents(self) -> None:
        raise PermissionError("all repositories of a server cannot be deleted at once")

    def delete_file(self, path: str) -> None:
        self._watch(lambda: self._store.delete_file(path), path)

    def move(self, src: str, dest: str) -> None:
        self._watch(lambda: self._store.move(src, dest), dest)

    def copy_file(self, src: str, dest: str) -> None:
        self._watch(lambda: self._store.copy_file(src, dest), dest)

    def open_input_stream(self, path: str) -> Any:
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> Any:
        def opened() -> Any:
            file = self._store.open_input_file(path)
            if file.size() <= _AT_ONCE:
                return BufferReader(file.read_buffer())
            return PythonFile(_Reader(file, path, self._watch), mode="r")

        return self._watch(opened, path, _AT_ONCE)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        stream = self._watch(lambda: self._store.open_output_stream(path, metadata=metadata), path)
        return PythonFile(_Writer(stream, path, self._watch), mode="w")

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        return self._store.open_append_stream(path, metadata=metadata)


class _Reader:
    """A file that is open for reading, each of whose reads has the deadline."""

    def __init__(self, file: Any, path: str, watch: _Watch) -> None:
        self._file = file
        self._path = path
        self._watch = watch
        self._size: int = file.size()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int | None = None) -> bytes:
        left = self._size - self._file.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        return self._watch(lambda: self._file.read(wanted), self._path, wanted)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()


class _Writer:
    """A file that is open for writing. Its parts are uploaded meanwhile; the end waits for all of them."""

    def __init__(self, stream: Any, path: str, watch: _Watch) -> None:
        self._stream = stream
        self._path = path
        self._watch = watch
        self._written = 0
        self._lost: LakeUnavailable | None = None

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def _do(self, act: Callable[[], Any]) -> Any:
        if self._lost is not None:
            raise self._lost
        try:
            return self._watch(act, self._path, self._written)
        except LakeUnavailable as error:
            self._lost = error
            raise

    def write(self, content: bytes) -> int:
        self._written += len(content)
        self._do(lambda: self._stream.write(content))
        return len(content)

    def flush(self) -> None:
        pass

    def tell(self) -> int:
        return self._written

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._do(self._stream.close)
