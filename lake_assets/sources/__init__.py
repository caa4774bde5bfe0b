"""Fetching files from a folder, over http(s), or from S3."""

from lake_assets.sources.contract import (
    FetchedFile,
    Source,
    SourceError,
    SourceFile,
    SourceFileMissing,
    SourceUnavailable,
    TruncatedDownload,
)
from lake_assets.sources.one_file import fetch_file
from lake_assets.sources.opening import is_local, local_path, open_source
from lake_assets.sources.retries import RetryLimits
from lake_assets.sources.template import Naming

__all__ = [
    "FetchedFile",
    "Naming",
    "RetryLimits",
    "Source",
    "SourceError",
    "SourceFile",
    "SourceFileMissing",
    "SourceUnavailable",
    "TruncatedDownload",
    "fetch_file",
    "is_local",
    "local_path",
    "open_source",
]
