"""The latest bar of each security, brought from one published commit to the next.

New hours alone are upserted: the table keeps the newer of two rows itself, so the order of arrival does not matter.
Where published rows changed or went away (a corrected file, a rollback), every key that such a folder held or holds
is worked out anew from all hours of both commits, and the rows that differ are written: the latest row of a key may be
one the table has long forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.defs.stocks.bars import PREFIX, open_bars
from lake_assets.defs.stocks.schema import COLUMNS
from lake_assets.io_managers.table_update import TableUpdate, on_disk
from lake_assets.lake.contract import Diff, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.rows import bounded_connection
from lake_assets.layout.manifest import MANIFEST
from lake_assets.nosql.difference import row_difference

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_MINUTE = "(Date - DATE '1970-01-01')::BIGINT * 1440 + Time[1:2]::BIGINT * 60 + Time[4:5]::BIGINT"


def table_update(lake: Lake, from_commit: str | None, to_commit: str) -> TableUpdate:
    """Return what brings the table from the rows of commit ``from_commit`` to those of ``to_commit``.

    Parameters
    ----------
    lake
        Both commits' lake.
    from_commit
        Commit the table reflects; None, or one this lake does not know, for a table to be built anew.
    to_commit
        A published commit, not older than ``from_commit``.
    """
    version = lake.fingerprint(to_commit, PREFIX) or "empty"
    try:
        diff = lake.diff(from_commit, to_commit, PREFIX) if from_commit is not None else None
    except RefNotFound:
        diff = None
    with bounded_connection() as connection:
        if diff is None:
            items = on_disk(shown(connection, lake, to_commit))
            return TableUpdate(from_commit, to_commit, version, items, rebuild=True)
        added, rewritten = changed_folders(lake, from_commit or "", diff)
        if rewritten:
            before = open_bars(connection, "before", lake, from_commit or "", rewritten)
            changed = open_bars(connection, "changed", lake, to_commit, [*added, *rewritten])
            keys = on_disk(before.project("ISIN").union(changed.project("ISIN")).distinct())
            old, new = (
                latest(connection, open_bars(connection, name, lake, commit), keys)
                for name, commit in (("then", from_commit or ""), ("now", to_commit))
            )
            items, gone = map(on_disk, row_difference(old, new, ["ISIN"]))
            return TableUpdate(from_commit, to_commit, version, items, delete=gone, exact=True)
        if added:
            items = on_disk(latest(connection, open_bars(connection, "added", lake, to_commit, added)))
            return TableUpdate(from_commit, to_commit, version, items)
    return TableUpdate(from_commit, to_commit, version)


def shown(connection: DuckDBPyConnection, lake: Lake, commit: str) -> DuckDBPyRelation:
    """Return what the table shows of a commit: the latest bar of each security.

    Parameters
    ----------
    connection
        A connection of DuckDB.
    lake
        The lake.
    commit
        The commit.
    """
    return latest(connection, open_bars(connection, "shown", lake, commit))


def changed_folders(lake: Lake, from_commit: str, diff: Diff) -> tuple[list[str], list[str]]:
    """Return the partition folders that ``diff`` adds, and those that ``from_commit`` held already, each sorted."""
    touched = {path.rpartition("/")[0] for path in diff.paths if not path.endswith(f"/{MANIFEST}")}
    rewritten = {folder for folder in touched if lake.fingerprint(from_commit, folder) is not None}
    return sorted(touched - rewritten), sorted(rewritten)


def latest(
    connection: DuckDBPyConnection, bars: DuckDBPyRelation, keys: pyarrow.Table | None = None
) -> DuckDBPyRelation:
    """Return one row per ISIN: the greatest by (Date, Time), ties by the other columns; a null is the least.

    The first pass reads three columns, and keeps a number per key. Comparing whole rows there would take ten times as
    long.

    Parameters
    ----------
    connection
        The connection of the bars.
    bars
        The bars.
    keys
        Only these securities, as a column ``ISIN``. None for all.
    """
    if keys is not None:
        bars = bars.set_alias("bars").join(connection.from_arrow(keys).set_alias("keys"), "ISIN", how="semi")
    columns = [column.name for column in COLUMNS]
    order = ", ".join(f"{column} DESC NULLS LAST" for column in columns)
    timed = bars.project(f"*, {_MINUTE} AS minute").set_alias("timed")
    newest = timed.aggregate("ISIN, max(minute) AS minute", "ISIN").set_alias("newest")
    candidates = timed.join(newest, "ISIN, minute", how="semi")
    ranked = candidates.project(f"*, row_number() OVER (PARTITION BY ISIN ORDER BY {order}) AS place")
    return ranked.filter("place = 1").select(*columns)
