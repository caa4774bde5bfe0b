"""Views of what a query names: the files of an asset at a ref, or the items of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import open_rows, read_paths, sql_name, sql_text
from lake_assets.sql.catalog import At, Catalog, ParquetFiles, Source
from lake_assets.sql.changes import Columns, changed_rows
from lake_assets.sql.clock import Clock
from lake_assets.sql.constants import constants, used_values
from lake_assets.sql.errors import NoSuchName, SqlError, first_line
from lake_assets.sql.prefixes import bound_prefixes
from lake_assets.sql.references import drop_schemas, is_changes, path_of, references, replace_by_view
from lake_assets.sql.syntax import Node, check, parse, position_of, statement, to_text
from lake_assets.sql.table_rows import TableRows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VALUE_SECONDS = 5
"""Time to compute what stands behind AT."""


def open_names(
    tree: Node,
    text: str,
    catalog: Catalog,
    parser: DuckDBPyConnection,
    *,
    connection: DuckDBPyConnection,
    parameters: Mapping[str, Any],
    clock: Clock,
) -> None:
    """Make a view for each name, and let the tree read the views.

    Parameters
    ----------
    tree
        The query, which is changed.
    text
        Its text, for errors.
    catalog
        What the names mean.
    parser
        Computes what stands behind AT.
    connection
        Where the views are made. It may read their files, and no others after it is locked.
    parameters
        Values of the query's ``$name``.
    clock
        Counts the time that the query may take.

    Raises
    ------
    SqlError
        A name, a ref or a time is unknown.
    """
    views = _Views(connection, catalog, clock)
    keys: dict[int, str] = {}
    for reference in list(references(tree)):
        try:
            if is_changes(reference):
                view = views.changes(*_arguments(parser, reference, text, parameters))
            else:
                path = path_of(reference)
                clause = reference["at_clause"]
                at = state_of(parser, clause["unit"], clause["expr"], text, parameters) if clause else None
                view, key = views.rows(path, at)
                if key is not None:
                    keys[id(reference)] = key
                if len(path) == 1 and not reference["at_clause"] and views.name(path[0], view):
                    continue
                if len(path) > 1 and not reference["alias"]:
                    drop_schemas(tree, path)
        except SqlError as error:
            raise error if error.is_placed else SqlError(str(error), text, position_of(reference)) from error
        replace_by_view(reference, view)
    bound_prefixes(tree, keys, parameters, parser)
    views.constants += constants(tree, parameters)
    views.allow_files()


class _Views:
    """The views that a query reads."""

    def __init__(self, connection: DuckDBPyConnection, catalog: Catalog, clock: Clock) -> None:
        self._connection, self._catalog, self._clock = connection, catalog, clock
        self._made: dict[object, tuple[str, Columns]] = {}
        self._found: dict[object, Source] = {}
        self._names: dict[str, str] = {}
        self._files: list[str] = []
        self.constants: list[str | int] = []
        """The texts and integers in the query. They are known before it runs."""

    def rows(self, path: Sequence[str], at: At | None) -> tuple[str, str | None]:
        """Return the view of a name, and of a table outside the lake its first key column, if that is a text."""
        source = self._find(path, at)
        key = source.text_key if isinstance(source, TableRows) else None
        return self._view(path, at)[0], key

    def changes(self, path: Sequence[str], left: str, right: str, key: Sequence[str]) -> str:
        sides = [self._side(path, ref) for ref in (left, right)]
        there = next((side for side in sides if side), None)
        if there is None:
            there = self._view(path, At(left))  # It says what is missing.
        (old, before), (new, after) = (side or self._without_rows(there) for side in sides)
        view = f"lake_assets_changes_{len(self._made)}"
        self._made[view] = (view, {})
        self._connection.execute(f"CREATE VIEW {view} AS {changed_rows(old, new, before, after, key)}")
        return view

    def _side(self, path: Sequence[str], ref: str) -> tuple[str, Columns] | None:
        try:
            return self._view(path, At(ref))
        except NoSuchName:
            return None

    def _without_rows(self, there: tuple[str, Columns]) -> tuple[str, Columns]:
        """Return a view of no rows: all rows are added at the first ref that has the asset, as for `diff --rows`."""
        view = f"lake_assets_none_{len(self._made)}"
        self._connection.execute(f"CREATE VIEW IF NOT EXISTS {view} AS FROM {there[0]} WHERE false")
        return view, there[1]

    def name(self, name: str, view: str) -> bool:
        """Give a view the name that the query uses, since it is in the names of columns without an alias.

        Returns false if another view has this name. To DuckDB, names that differ by case only are the same.
        """
        if self._names.setdefault(name.lower(), view) != view:
            return False
        self._connection.execute(f"CREATE VIEW IF NOT EXISTS main.{sql_name(name)} AS FROM {view}")
        return True

    def _find(self, path: Sequence[str], at: At | None) -> Source:
        if (*path, at) not in self._found:
            self._found[(*path, at)] = self._catalog.find(path, at)
        return self._found[(*path, at)]

    def _view(self, path: Sequence[str], at: At | None) -> tuple[str, Columns]:
        wanted = (*path, at)
        if wanted not in self._made:
            self._made[wanted] = self._open(f"lake_assets_rows_{len(self._made)}", self._find(path, at))
        return self._made[wanted]

    def _open(self, name: str, source: Source) -> tuple[str, Columns]:
        if isinstance(source, ParquetFiles):
            self._files += read_paths(self._connection, source.snapshot, source.files)
            return f"{name}_files", open_rows(self._connection, name, source.snapshot, source.files, source.folders)
        from lake_assets.sql.arrow import as_dataset

        self._connection.register(name, as_dataset(source, self.constants, self._clock))
        described = self._connection.execute(f"DESCRIBE FROM {name}").fetchall()
        return name, {column[0]: column[1] for column in described}

    def allow_files(self) -> None:
        if self._files:
            listed = ", ".join(map(sql_text, self._files))
            self._connection.execute(f"SET allowed_paths = [{listed}]")


def state_of(
    parser: DuckDBPyConnection, unit: str, expression: Node, text: str, parameters: Mapping[str, Any] | None = None
) -> At:
    """Return which state an AT names.

    Parameters
    ----------
    parser
        Computes the expression.
    unit
        ``VERSION`` or ``TIMESTAMP``.
    expression
        What stands behind it.
    text
        The query, for errors.
    parameters
        Values of the query's ``$name``.

    Raises
    ------
    SqlError
        It is no constant, no name of a ref, or no time.
    """
    value = _value(parser, expression, text, parameters)
    if unit.upper() == "VERSION":
        if value in (None, ""):
            raise SqlError("AT (VERSION => …) needs a branch, a tag or a commit id, such as 'main'")
        return At(ref=str(value))
    if isinstance(value, str | date) and not isinstance(value, datetime):
        value = _value(parser, expression, text, parameters, kind="TIMESTAMP WITH TIME ZONE")
    if not isinstance(value, datetime):
        raise SqlError("AT (TIMESTAMP => …) needs a time, such as '2026-11-26 12:00:00'")
    return At(time=value if value.tzinfo else value.replace(tzinfo=timezone.utc))


def _arguments(
    parser: DuckDBPyConnection, reference: Node, text: str, parameters: Mapping[str, Any]
) -> tuple[Sequence[str], str, str, Sequence[str]]:
    given = reference["function"]["arguments"]
    values = [_value(parser, argument["expression"], text, parameters) for argument in given]
    names = [argument["name"] for argument in given]
    key = values.pop() if len(values) == 4 and names[3] in ("", "key") else []
    if len(values) != 3 or any(names[:3]) or not all(isinstance(value, str) for value in values):
        raise SqlError("write changes('asset', 'ref', 'other ref'), or with key := ['column', …]")
    asset, left, right = values
    return asset.split("."), left, right, [key] if isinstance(key, str) else key


def _value(
    parser: DuckDBPyConnection, expression: Node, text: str, parameters: Mapping[str, Any] | None, kind: str = ""
) -> Any:
    """Return the value of an expression that is the same for all rows."""
    import duckdb

    query = parse(parser, "SELECT 1")["statements"][0]["node"]
    query["select_list"] = [expression]
    check(query, text)
    used = used_values(expression, text, parameters or {})
    run = to_text(parser, statement(query))
    try:
        wanted = f"value::{kind}" if kind else "value"
        with Clock(parser, _VALUE_SECONDS):
            found = parser.execute(f"SELECT {wanted} FROM ({run}) AS t(value)", used or None).fetchone()  # noqa: S608
    except duckdb.Error as error:
        raise SqlError(f"not a constant: {first_line(error)}", text, position_of(expression)) from error
    return found[0] if found else None
