"""Patterns of personal data, and the search for them in all files of a prefix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.layout.manifest import MANIFEST

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    from lake_assets.lake.contract import Lake

# Searched anywhere in a value. Repetitions are bounded or deterministic, so that the time is linear. A doubtful value
# counts, since publishing cannot be undone.
EMAIL = re.compile(r"[\w!#$%&'*+/=?^`{|}~.\"-]@(?:(?:[^\W_]|-){1,63}\.){1,10}[^\W\d_]{2,}")
"""A character, ``@`` and a domain that ends in letters. ``lodash@4.17`` and ``@someone`` do not match."""

_BYTE = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)"
_V4 = rf"(?<!\d)(?<!\d\.)(?:{_BYTE}\.){{3}}{_BYTE}(?!\d|\.\d)"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_GROUPS = rf"{_GROUP}(?::{_GROUP}){{0,6}}"
_V6 = (
    r"(?<![0-9A-Za-z])(?<![0-9A-Fa-f]:)"
    rf"(?:(?:{_GROUP}:){{7}}{_GROUP}|{_GROUPS}::(?:{_GROUPS})?|::{_GROUPS})"
    rf"(?![0-9A-Za-z]|:[0-9A-Fa-f])"
)
IP_ADDRESS = re.compile(f"{_V4}|{_V6}", re.ASCII)
"""IPv4, or IPv6 in full or with ``::``. A time, a MAC address and ``std::vector`` do not match."""

# Arrow's regular expressions look at whole columns, but not around. What they leave is little.
_MAY_BE = {
    "emails": ("@", EMAIL),
    "ip_addresses": (rf"[0-9]\.[0-9]{{1,3}}\.[0-9]{{1,3}}\.[0-9]|::|(?:{_GROUP}:){{7}}", IP_ADDRESS),
}

_FILES_AT_ONCE = 8
_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Found:
    """Number of values that look personal, in a column of a file."""

    file: str
    column: str
    emails: int
    ip_addresses: int


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search.

    Parameters
    ----------
    files
        Number of searched files.
    columns
        Path of each file with unwanted columns, to these columns.
    values
        Counts of values that look personal, if there are any.
    """

    files: int
    columns: dict[str, list[str]]
    values: list[Found]


def search(lake: Lake, ref: str, prefix: str, columns: Collection[str]) -> Search:
    """Search all files below a prefix for columns and for values.

    Parameters
    ----------
    lake, ref, prefix
        Where to search. The ref must be a commit.
    columns
        Unwanted column names. Case is ignored.

    Raises
    ------
    PathNotFound
        There are no files below the prefix.
    ArrowInvalid
        A file is not Parquet, so it cannot be searched.
    """
    snapshot = lake.path(ref, prefix)
    paths = [item.path for item in lake.list(ref, prefix) if not item.path.endswith(f"/{MANIFEST}")]
    unwanted = {name.lower() for name in columns}

    def search_file(path: str) -> tuple[list[str], list[Found]]:
        names, counts = _search_file(snapshot.filesystem, snapshot.root + path.removeprefix(prefix))
        left = [name for name in names if name.lower() in unwanted]
        return left, [Found(path, column, **found) for column, found in sorted(counts.items()) if any(found.values())]

    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        found = dict(zip(paths, pool.map(search_file, paths), strict=True))
    left = {path: names for path, (names, _) in found.items() if names}
    return Search(len(paths), left, [value for _, values in found.values() for value in values])


def count_addresses(texts: pyarrow.Array | pyarrow.ChunkedArray) -> dict[str, int]:
    """Return how many texts hold an e-mail address, and how many an IP address.

    Parameters
    ----------
    texts
        The texts.
    """
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    counts: dict[str, int] = {}
    for kind, (hint, pattern) in _MAY_BE.items():
        candidates = texts.filter(pc.match_substring_regex(texts, hint))
        counts[kind] = sum(pattern.search(text) is not None for text in candidates.to_pylist())
    return counts


def _search_file(filesystem: FileSystem, path: str) -> tuple[list[str], dict[str, Counter[str]]]:
    """Return the column names of a file, and for each text column how many values look personal."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, filesystem=filesystem) as file:
        schema = file.schema_arrow
        texts = [field.name for field in schema if _is_text(field.type)]
        counts = {name: Counter[str]() for name in texts}
        for batch in file.iter_batches(_ROWS, columns=texts) if texts else ():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                counts[name].update(count_addresses(column.cast(pa.large_string())))
    return schema.names, counts


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)
