"""A sink of the tiny graph: a table that is brought from one published commit to the next by what changed."""

from __future__ import annotations

import pandas

from lake_assets.defs.stocks.latest import changed_folders
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.nosql.contract import NoSQLStore

TABLE = "rows_table"
SOURCE = "rows"
KEY = ("partition", "id")


def source_of_sinks(lake: Lake) -> str:
    """Return the commit that a sink is brought to."""
    return lake.head(MAIN).id


def feed(lake: Lake, store: NoSQLStore) -> None:
    """Bring the table to what ``main`` holds."""
    since, until = store.source_commit(TABLE), source_of_sinks(lake)
    if since == until:
        return
    prefixes = [SOURCE]
    if since is not None:
        added, rewritten = changed_folders(lake, since, lake.diff(since, until, SOURCE))
        prefixes = [*added, *rewritten]
    held = rows_at(lake, until, prefixes)
    stale = rows_at(lake, since, prefixes) if since is not None else held
    store.write(
        TABLE,
        held,
        key=KEY,
        mode="append",
        delete=stale.loc[:, list(KEY)],
        source_commit=until,
        expected_commit=since,
        check_expected=True,
    )


def rows_at(lake: Lake, ref: str, prefixes: list[str]) -> pandas.DataFrame:
    """Return the rows that a ref holds in folders of partitions, or in all of them."""
    types = {"partition": "string", "id": "int64", "text": "string", "note": "string"}
    parts = [pandas.DataFrame({name: pandas.Series(dtype=kind) for name, kind in types.items()})]
    for prefix in prefixes:
        files = [item.path for item in lake.list(ref, prefix) if item.path.endswith(".parquet")]
        for path in files:
            try:
                snapshot = lake.path(ref, path)
            except PathNotFound:
                continue
            part = pandas.read_parquet(snapshot.root, filesystem=snapshot.filesystem)
            parts.append(part.assign(partition=path.split("/")[1].removeprefix("partition=")))
    return pandas.concat(parts, ignore_index=True).astype(types)
