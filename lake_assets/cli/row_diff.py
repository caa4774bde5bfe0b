"""The rows that differ between two commits, by key. DuckDB reads the Parquet files that differ, in bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lake_assets.cli.content import folder_columns
from lake_assets.cli.errors import CommandError
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.rows import Columns, bounded_connection, is_data, open_rows, place_in, sql_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Lake

_BATCH = 2048

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row that differs.

    Parameters
    ----------
    change
        Whether the row is only in the right commit (added), only in the left (removed), or in both (changed).
    key
        Key column to value.
    before, after
        Column to value. For an added or removed row all other columns, for a changed row the changed columns.
    """

    change: Change
    key: Mapping[str, Any]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowComparison:
    """Which rows to compare.

    Parameters
    ----------
    left, right
        The two refs.
    prefix
        The folder to compare.
    key
        The key columns.
    """

    left: str
    right: str
    prefix: str
    key: Sequence[str]


@dataclass(frozen=True, slots=True)
class RowDiff:
    """The rows that differ, and their number.

    Parameters
    ----------
    key, columns
        The key columns, and all other columns of both sides.
    counts
        Number of rows by kind of change.
    """

    key: Sequence[str]
    columns: Sequence[str]
    counts: Mapping[Change, int]
    _connection: DuckDBPyConnection = field(repr=False)

    def rows(self, limit: int | None) -> Iterator[RowChange]:
        """Yield up to ``limit`` rows, sorted by key."""
        if not any(self.counts.values()):
            return
        ordered = ", ".join(f"k{at}" for at in range(len(self.key)))
        most = f"LIMIT {limit}" if limit is not None else ""
        result = self._connection.execute(f"SELECT * FROM changes ORDER BY {ordered} {most}")  # noqa: S608
        names = [column[0] for column in result.description or ()]
        while batch := result.fetchmany(_BATCH):
            for values in batch:
                yield self._row(dict(zip(names, values, strict=True)))

    def _row(self, row: Mapping[str, Any]) -> RowChange:
        key = {name: row[f"k{at}"] for at, name in enumerate(self.key)}
        every = row["change"] != "changed"
        wanted = range(len(self.columns)) if every else [at for at in row["differ"] if at is not None]
        before, after = ({self.columns[at]: row[f"{side}{at}"] for at in wanted} for side in "lr")
        return RowChange(
            row["change"],
            key,
            before if row["change"] != "added" else None,
            after if row["change"] != "removed" else None,
        )


@contextmanager
def row_diff(lake: Lake, asked: RowComparison) -> Generator[RowDiff]:
    """Compare the rows of two commits by key.

    Only files that differ are read, since rows in unchanged files are equal. Partition folders such as
    ``day=2017-07-28`` are columns, too.

    Parameters
    ----------
    lake
        The lake.
    asked
        Which rows to compare.

    Raises
    ------
    CommandError
        A key column is missing, the key is not unique, or there is no Parquet file.
    """
    import duckdb
    from pyarrow import ArrowException

    asked = replace(asked, left=lake.head(asked.left).id, right=lake.head(asked.right).id)
    found = lake.diff(asked.left, asked.right, asked.prefix)
    with bounded_connection() as connection:
        try:
            sides = (
                _side(lake, connection, asked, "l", (*found.removed, *found.changed)),
                _side(lake, connection, asked, "r", (*found.added, *found.changed)),
            )
            yield _compared(lake, connection, asked, sides)
        except (duckdb.Error, ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise CommandError(f"the rows of {asked.prefix!r} cannot be compared: {reason}") from error


def _compared(
    lake: Lake, connection: DuckDBPyConnection, asked: RowComparison, sides: tuple[Columns, Columns]
) -> RowDiff:
    key, commits = asked.key, (asked.left, asked.right)
    if not any(sides):
        _refuse_without_parquet(lake, commits, asked.prefix)
        return RowDiff(key, (), _NONE, connection)
    columns = list(dict.fromkeys([*sides[0], *sides[1]]))
    for name in key:
        if name not in columns:
            raise CommandError(f"{asked.prefix!r} has no column {name!r}; there are {', '.join(columns)}")
    others = [name for name in columns if name not in key]
    for side, commit, held in zip("lr", commits, sides, strict=True):
        _refuse_ambiguous(connection, side, commit, key, held)
    connection.execute(f"CREATE TEMP TABLE changes AS {_query(sides, key, others)}")
    counted = connection.execute("SELECT change, count(*) FROM changes GROUP BY change").fetchall()
    return RowDiff(key, others, {**_NONE, **dict(counted)}, connection)


_NONE: Mapping[Change, int] = {"added": 0, "removed": 0, "changed": 0}


def _side(
    lake: Lake, connection: DuckDBPyConnection, asked: RowComparison, name: Literal["l", "r"], paths: Sequence[str]
) -> Columns:
    """Make the view of one commit's rows in files that differ; return its columns, none where there is no such file."""
    paths = sorted(path for path in paths if is_data(path))
    if not paths:
        return {}
    snapshot = lake.path(asked.left if name == "l" else asked.right, asked.prefix)
    files = [place_in(snapshot, path) for path in paths]
    folders = folder_columns(paths[0])
    if any(folder_columns(path).keys() != folders.keys() for path in paths):
        raise CommandError(f"files below {asked.prefix!r} lie in folders of different columns: name one folder")
    return open_rows(connection, name, snapshot, files, list(folders))


def _refuse_without_parquet(lake: Lake, commits: Sequence[str], prefix: str) -> None:
    objects = [item.path for commit in commits for item in lake.list(commit, prefix)]
    if not objects:
        raise PathNotFound("nothing is there", repository=lake.repository, ref=" and ".join(commits), path=prefix)
    if not any(map(is_data, objects)):
        raise CommandError(f"{prefix!r} contains no Parquet, and only rows of Parquet can be compared")


def _refuse_ambiguous(
    connection: DuckDBPyConnection, side: str, commit: str, key: Sequence[str], columns: Columns
) -> None:
    if not columns:
        return
    names = ", ".join(sql_name(name) if name in columns else f"NULL AS {sql_name(name)}" for name in key)
    grouped = ", ".join(str(at + 1) for at in range(len(key)))
    query = f"SELECT {names}, count(*) AS n FROM {side}_files GROUP BY {grouped} HAVING n > 1 LIMIT 1"  # noqa: S608
    twice = connection.execute(query).fetchone()
    if twice is not None:
        values = ", ".join(f"{name} {value}" for name, value in zip(key, twice, strict=False))
        raise CommandError(f"{twice[-1]} rows of commit {commit} have {values}: name more columns by --key")


def _query(sides: tuple[Columns, Columns], key: Sequence[str], others: Sequence[str]) -> str:
    """Return the query for the rows that differ. Columns are named by position, so that any column name works."""
    left, right = (
        _rows(side, here, there, key, others) for side, here, there in (("l", *sides), ("r", *reversed(sides)))
    )
    joined = " AND ".join(f"l.k{at} IS NOT DISTINCT FROM r.k{at}" for at in range(len(key)))
    differ = [f"l.c{at} IS DISTINCT FROM r.c{at}" for at in range(len(others))]
    keys = ", ".join(f"CASE WHEN r.here THEN r.k{at} ELSE l.k{at} END AS k{at}" for at in range(len(key)))
    values = "".join(f", l.c{at} AS l{at}, r.c{at} AS r{at}" for at in range(len(others)))
    places = "".join(f", CASE WHEN {condition} THEN {at} END" for at, condition in enumerate(differ))
    return f"""
        SELECT CASE WHEN l.here IS NULL THEN 'added' WHEN r.here IS NULL THEN 'removed' ELSE 'changed' END AS change,
            {keys}, [NULL::INTEGER{places}] AS differ {values}
        FROM ({left}) AS l FULL JOIN ({right}) AS r ON {joined}
        WHERE l.here IS NULL OR r.here IS NULL {"".join(f" OR {condition}" for condition in differ)}
    """  # noqa: S608


def _rows(side: str, here: Columns, there: Columns, key: Sequence[str], others: Sequence[str]) -> str:
    def column(name: str) -> str:
        if name not in here:
            return f"CAST(NULL AS {there[name]})"
        if name in there and here[name] != there[name] and not {here[name], there[name]} <= _NUMBERS:
            return f"CAST({sql_name(name)} AS VARCHAR)"
        return sql_name(name)

    keys = ", ".join(f"{column(name)} AS k{at}" for at, name in enumerate(key))
    values = "".join(f", {column(name)} AS c{at}" for at, name in enumerate(others))
    return f"SELECT true AS here, {keys}{values} " + (f"FROM {side}_files" if here else "WHERE false")


_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"}
