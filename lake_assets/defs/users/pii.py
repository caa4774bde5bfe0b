"""Patterns of personal data, and the search for them in all files of a prefix."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lake_assets.layout.manifest import MANIFEST

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_assets.lake.contract import Lake

# Java's regular expressions, searched anywhere in a value. Repetitions are bounded or deterministic, so that the time
# is linear and long values do not overflow the stack. A doubtful value counts, since publishing cannot be undone.
EMAIL = r"[\p{L}\p{N}!#$%&'*+/=?^_`{|}~.\"-]@(?:[\p{L}\p{N}-]{1,63}\.){1,10}\p{L}{2,}"
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
IP_ADDRESS = f"{_V4}|{_V6}"
"""IPv4, or IPv6 in full or with ``::``. A time, a MAC address and ``std::vector`` do not match."""

_FOOTERS_AT_ONCE = 8


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


def search(spark: SparkSession, lake: Lake, ref: str, prefix: str, columns: Collection[str]) -> Search:
    """Search all files below a prefix for columns (in the files' footers) and for values (in one Spark job).

    Parameters
    ----------
    spark
        The Spark session.
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
    import pyarrow
    import pyarrow.parquet as pq

    snapshot = lake.path(ref, prefix)
    paths = [item.path for item in lake.list(ref, prefix) if not item.path.endswith(f"/{MANIFEST}")]

    def schema_of(path: str) -> pyarrow.Schema:
        return pq.read_schema(snapshot.root + path.removeprefix(prefix), filesystem=snapshot.filesystem)

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        schemas = dict(zip(paths, pool.map(schema_of, paths), strict=True))
    unwanted = {name.lower() for name in columns}
    left = {path: [name for name in schema.names if name.lower() in unwanted] for path, schema in schemas.items()}
    texts = sorted({field.name for schema in schemas.values() for field in schema if _is_text(field.type)})
    return Search(
        len(paths),
        {path: names for path, names in left.items() if names},
        list(_values(spark, snapshot.uri, prefix, texts)) if texts else [],
    )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)


def _values(spark: SparkSession, uri: str, prefix: str, texts: list[str]) -> Iterator[Found]:
    """Count in one pass, with a row for each file. Only rows of files with findings are collected."""
    from functools import reduce
    from operator import or_

    from pyspark.sql import functions as sf
    from pyspark.sql.types import StringType, StructField, StructType

    kinds = {"emails": EMAIL, "ip_addresses": IP_ADDRESS}
    measures = {
        f"{kind}{index}": sf.count_if(sf.col(f"`{text}`").rlike(pattern))
        for index, text in enumerate(texts)
        for kind, pattern in kinds.items()
    }
    # An explicit schema, since otherwise a column that only some files have could be ignored.
    rows = spark.read.schema(StructType([StructField(text, StringType()) for text in texts])).parquet(uri)
    counts = rows.groupBy(sf.col("_metadata.file_path").alias("file path")).agg(
        *[count.alias(name) for name, count in measures.items()]
    )
    for row in counts.where(reduce(or_, [sf.col(name) > 0 for name in measures])).collect():
        # The partition's folder and the file name. The part before contains the commit.
        place = "/".join(unquote(row["file path"]).split("/")[-2:])
        for index, text in enumerate(texts):
            found = Found(f"{prefix}/{place}", text, *(int(row[f"{kind}{index}"]) for kind in kinds))
            if found.emails or found.ip_addresses:
                yield found
