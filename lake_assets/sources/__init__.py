"""Fetching files from a folder, over http(s), or from S3."""

from lake_assets.sources.contract import (
    FetchedFile,
    SourceError,
    SourceFile,
    SourceFileMissing,
    SourceUnavailable,
    StocksSource,
    TruncatedDownload,
)
from lake_assets.sources.opening import open_source
from lake_assets.sources.retries import RetryLimits

__all__ = [
    "FetchedFile",
    "RetryLimits",
    "SourceError",
    "SourceFile",
    "SourceFileMissing",
    "SourceUnavailable",
    "StocksSource",
    "TruncatedDownload",
    "open_source",
]
