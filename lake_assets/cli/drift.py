"""Comparing a table with what its asset shows of the commit that the table reflects: `verify TABLE`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lake_assets.cli.code_location import find_nosql, load_graph, open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import cell, emit, note
from lake_assets.lake.errors import RefNotFound
from lake_assets.nosql.contract import UNFINISHED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from lake_assets.lake.contract import Lake
    from lake_assets.nosql.contract import NoSQLStore

    Shows = Callable[[DuckDBPyConnection, Lake, str], DuckDBPyRelation]


def verify_table(name: str, repair: bool, json: bool) -> bool:
    """Compare a table, and say how it differs. Return False if the name is that of a ref, or of nothing.

    Parameters
    ----------
    name
        Name of a table or ref.
    repair
        Whether to mend the table.
    json
        Whether to print JSON.
    """
    with closing(open_lake()) as lake:
        if not repair and _is_ref(lake, name):
            return False
        store = find_nosql(read_only=not repair)
        names: tuple[str, ...] = ()
        if store is not None:
            with closing(store):
                names = store.tables()
                if name in names:
                    _verify(lake, store, name, repair, json)
                    return True
    if repair:
        raise CommandError(f"--repair mends a table, and there is no table {name!r}; there are {_list(names)}")
    return False


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _is_ref(lake: Lake, name: str) -> bool:
    try:
        lake.head(name)
    except RefNotFound:
        return False
    return True


def _verify(lake: Lake, store: NoSQLStore, table: str, repair: bool, json: bool) -> None:
    from lake_assets.io_managers.table_update import on_disk
    from lake_assets.lake.rows import bounded_connection
    from lake_assets.nosql.difference import drift

    shows, commit = _shows(table), store.source_commit(table)
    if commit is None or commit.startswith(UNFINISHED):
        raise CommandError(f"table {table!r} reflects no commit: run its job, which brings it to main")
    with bounded_connection() as connection, tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
        shown = on_disk(shows(connection, lake, commit))
        found = drift(store, table, shown.to_batches(), shown.schema, Path(folder))
        if found.differs and repair:
            store.write(
                table,
                shown,
                key=store.key(table),
                mode="overwrite",
                source_commit=commit,
                expected_commit=commit,
                check_expected=True,
            )
    if json:
        emit({"table": table, "commit": commit, "repaired": found.differs and repair, **asdict(found)})
    else:
        for phrase in found.columns:
            print(cell(phrase))
        for key, word in found.examples or ():
            print(cell(f"{word}: {key}"))
        note(
            f"table {table} at {commit}: {found.rows} row(s), {found.missing} missing, {found.changed} changed, "
            f"{found.extra} extra{'; mended' if found.differs and repair else ''}"
        )
    if found.differs and not repair:
        note("`--repair` mends it")
        raise typer.Exit(1)


def _shows(table: str) -> Shows:
    """Return the function of the table's asset that returns what the table shows."""
    from lake_assets.io_managers.nosql import SHOWS
    from lake_assets.layout.asset_folders import name_of

    graph = load_graph()
    # The table of a working branch is named with it.
    plain = table.partition("--")[0]
    for key in graph.get_all_asset_keys():
        found: Any = graph.get(key).metadata.get(SHOWS)
        if name_of(key) == plain and found is not None:
            module, _, name = str(getattr(found, "value", found)).partition(":")
            return getattr(import_module(module), name)
    raise CommandError(
        f"what table {table!r} should show is not known: add {SHOWS!r} to the metadata of its asset, such as "
        "'my_project.tables:shown'"
    )
