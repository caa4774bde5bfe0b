"""Where stock files come from: a folder, http(s), S3, or the project's own generator."""

from .contract import (
    FetchedFile,
    SourceError,
    SourceFile,
    SourceFileMissing,
    SourceUnavailable,
    StocksSource,
    TruncatedDownload,
)
from .opening import open_source
from .patience import Patience
from .resource import S3Settings, StocksSourceResource

__all__ = [
    "FetchedFile",
    "Patience",
    "S3Settings",
    "SourceError",
    "SourceFile",
    "SourceFileMissing",
    "SourceUnavailable",
    "StocksSource",
    "StocksSourceResource",
    "TruncatedDownload",
    "open_source",
]
