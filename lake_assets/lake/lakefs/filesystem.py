"""The data of a lakeFS repository for PyArrow, pandas and DuckDB, through lakeFS's S3 gateway."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pyarrow.fs import (
    AwsStandardS3RetryStrategy,
    FileInfo,
    FileSelector,
    FileSystem,
    FileSystemHandler,
    PyFileSystem,
    S3FileSystem,
)

from lake_assets.lake.lakefs.folders import is_marker

_TRIES = 10
"""About half a minute, with the SDK's pauses in between."""


def gateway(endpoint: str, access_key: str, secret_key: str) -> FileSystem:
    """Return the file system whose paths are ``repository/ref/path``. It does not list the lake's marker objects."""
    url = urlsplit(endpoint)
    store = S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        endpoint_override=url.netloc,
        scheme=url.scheme,
        region="us-east-1",
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_TRIES),
        connect_timeout=5,
        request_timeout=60,
    )
    return PyFileSystem(_Gateway(store))


class _Gateway(FileSystemHandler):  # pyright: ignore[reportUntypedBaseClass]
    """Passes all calls on to the S3 file system. It creates no folders, which are only parts of names here."""

    def __init__(self, store: S3FileSystem) -> None:
        self._store = store

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Gateway) and self._store.equals(other._store)

    def get_type_name(self) -> str:
        return "lakefs"

    def normalize_path(self, path: str) -> str:
        return self._store.normalize_path(path)

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        return self._store.get_file_info(paths)

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        found = self._store.get_file_info(selector)
        # A path is repository/ref/path.
        return [info for info in found if not is_marker(info.path.partition("/")[2].partition("/")[2])]

    def create_dir(self, path: str, recursive: bool) -> None:
        # PyArrow would write an empty object for each parent folder, including one for the branch.
        del path, recursive

    def delete_dir(self, path: str) -> None:
        self._store.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._store.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise PermissionError("all repositories of a server cannot be deleted at once")

    def delete_file(self, path: str) -> None:
        self._store.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        self._store.move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self._store.copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        return self._store.open_input_stream(path)

    def open_input_file(self, path: str) -> Any:
        return self._store.open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return self._store.open_output_stream(path, metadata=metadata)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        return self._store.open_append_stream(path, metadata=metadata)
