"""Published word counts, looked at while runs go on."""

from __future__ import annotations

import pyarrow.parquet as pq

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.streaming.position import read_position


def counts(lake: Lake) -> dict[str, int]:
    """Return the published counts; none where nothing is published."""
    if read_position(lake, MAIN, "word_counts") is None:
        return {}
    snapshot = lake.path(MAIN, "word_counts")
    rows = pq.read_table(snapshot.root, filesystem=snapshot.filesystem).to_pylist()
    return {row["word"]: row["count"] for row in rows}
