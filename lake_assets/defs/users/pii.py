"""What personal data looks like, and the search for it in every file of a prefix."""

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

# Java's expressions, found anywhere in a value. Every repetition is bounded or can go one way only, so that time is
# linear and no long value overflows the stack. A doubtful value counts: to publish is what cannot be undone.
EMAIL = r"[\p{L}\p{N}!#$%&'*+/=?^_`{|}~.\"-]@(?:[\p{L}\p{N}-]{1,63}\.){1,10}\p{L}{2,}"
"""A sign, ``@`` and a domain whose last part are letters: ``lodash@4.17`` and ``@someone`` are none."""

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
"""Version 4 or 6, that in full or with ``::``: a time, a MAC address and ``std::vector`` are none."""

_FOOTERS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Found:
    """Values of one column of one file that look personal."""

    file: str
    column: str
    emails: int
    ip_addresses: int


@dataclass(frozen=True, slots=True)
class Search:
    """What was found below a prefix.

    Parameters
    ----------
    files
        Number of files looked through.
    columns
        Path in the lake to those of its columns that should not be there.
    values
        Counts of values that look personal, where there are any.
    """

    files: int
    columns: dict[str, list[str]]
    values: list[Found]


def search(spark: SparkSession, lake: Lake, ref: str, prefix: str, columns: Collection[str]) -> Search:
    """Look for columns (by the files' footers) and for values (in one Spark job) in every file below a prefix.

    Parameters
    ----------
    ref
        A commit.
    columns
        Names that no file's column may have, in whatever case.

    Raises
    ------
    PathNotFound
        There is nothing below the prefix.
    ArrowInvalid
        A file is not Parquet, so that nobody knows what is in it.
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
    """Count in one pass, a row for each file; only rows of files with findings come here."""
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
    # Its own schema: a column that only some of the files have would be passed over otherwise.
    rows = spark.read.schema(StructType([StructField(text, StringType()) for text in texts])).parquet(uri)
    counts = rows.groupBy(sf.col("_metadata.file_path").alias("file path")).agg(
        *[count.alias(name) for name, count in measures.items()]
    )
    for row in counts.where(reduce(or_, [sf.col(name) > 0 for name in measures])).collect():
        # A folder of one partition column and the file: what comes before names the commit.
        place = "/".join(unquote(row["file path"]).split("/")[-2:])
        for index, text in enumerate(texts):
            found = Found(f"{prefix}/{place}", text, *(int(row[f"{kind}{index}"]) for kind in kinds))
            if found.emails or found.ip_addresses:
                yield found
