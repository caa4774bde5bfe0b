"""Running numbers as the key of rows that have none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lake_assets.nosql.runs import last_key

NUMBER = "id"
"""Name of the column."""

_SIGN = 1 << 63


def numbered(frame: Any, first: int) -> Any:
    """Return a frame with a column of running numbers. Those of a Spark frame have gaps between its partitions.

    Parameters
    ----------
    frame
        The frame.
    first
        The first number.
    """
    if isinstance(frame, pa.Table):
        return frame.add_column(0, NUMBER, pa.array(range(first, first + frame.num_rows), pa.int64()))
    if hasattr(frame, "mapInArrow"):
        from pyspark.sql import functions as F  # noqa: N812

        return frame.select((F.monotonically_increasing_id() + F.lit(first)).alias(NUMBER), "*")
    frame = frame.copy(deep=False)
    frame.insert(0, NUMBER, range(first, first + len(frame)))
    return frame


def next_number(folder: Path, runs: Sequence[str], first: int) -> int:
    """Return the number after all that were given.

    Parameters
    ----------
    folder
        Folder of the runs.
    runs
        Names of the runs, which hold the items.
    first
        The first number.
    """
    # The number is the last component of the key.
    given = [int.from_bytes(key[-8:], "big") - _SIGN for key in (last_key(folder, run) for run in runs) if key]
    return max([first, *(number + 1 for number in given)])
