"""Commands for the NoSQL store: `tables` and `get`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_assets.cli.code_location import open_nosql
from lake_assets.cli.errors import CommandError
from lake_assets.cli.lake import SHORT
from lake_assets.cli.output import Json, emit, emit_all, note, show

if TYPE_CHECKING:
    from lake_assets.nosql.contract import Key, NoSQLStore


def tables(
    history: Annotated[
        str, typer.Option("--history", metavar="NAME", help="Print the log of a table's operations, newest first.")
    ] = "",
    drop: Annotated[str, typer.Option("--drop", metavar="NAME", help="Remove a table.")] = "",
    json: Json = False,
) -> None:
    """List tables, each with the lake commit that it reflects. With an option, see the log of one, or remove it.

    The next run of its job builds a table that was removed anew.
    """
    if history and drop:
        raise CommandError("--history and --drop exclude each other")
    if drop:
        with closing(open_nosql()) as store:
            if drop not in (names := store.tables()):
                raise CommandError(f"no table {drop!r}; there are {', '.join(names) or 'none'}")
            store.drop(drop)
        note(f"removed table {drop}")
        return
    if history:
        _show_history(history, json)
        return
    with closing(open_nosql(read_only=True)) as store:
        records = [_table(store, name) for name in store.tables()]
    if json:
        emit_all(records)
        return
    shown = (
        record
        | {
            "key": ", ".join(record["key"]),
            "columns": len(record["columns"]),
            "source_commit": (record["source_commit"] or "")[:SHORT],
        }
        for record in records
    )
    show(shown, ("name", "rows", "key", "columns", "source_commit"), right=("rows", "columns"))


def _show_history(table: str, json: bool) -> None:
    with closing(open_nosql(read_only=True)) as store:
        found = [asdict(one) for one in store.history(table)]
    if not found:
        raise CommandError(f"table {table!r} has no log: nothing was written to it")
    if json:
        emit_all(found)
        return
    columns = ("at", "kind", "mode", "put", "deleted", "kept", "row_count", "source_commit", "run")
    shown = (one | {"source_commit": (one["source_commit"] or "")[:SHORT], "run": one["run"][:SHORT]} for one in found)
    show(shown, columns, right=("put", "deleted", "kept", "row_count"))


def _table(store: NoSQLStore, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "rows": store.row_count(name),
        "key": store.key(name),
        "columns": {field.name: str(field.type) for field in store.schema(name)},
        "source_commit": store.source_commit(name),
    }


def get(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Name of the table.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="The partition key.")],
    sort_key: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A sort key. Repeat it for each sort key of the table."),
    ] = None,
    json: Json = False,
) -> None:
    """Print one item of a table."""
    parts = [key, *(sort_key or ())]
    with closing(open_nosql(read_only=True)) as store:
        if table not in (names := store.tables()):
            raise CommandError(f"no table {table!r}; there are {', '.join(names) or 'none'}")
        item = store.get(table, _key(store, table, parts))
    if item is None:
        raise CommandError(f"table {table!r} has no item with the key {', '.join(parts)}")
    if json:
        emit(item)
    else:
        show({"column": name, "value": value} for name, value in item.items())


def _key(store: NoSQLStore, table: str, parts: list[str]) -> Key:
    names = store.key(table)
    if len(parts) != len(names):
        raise CommandError(
            f"the key of table {table!r} is {', '.join(names)}: give {len(names)} value(s), not {len(parts)}, "
            "sort keys by --sort-key"
        )
    schema = store.schema(table)
    values = [
        text if str(schema.field(name).type) == "string" else _integer(name, text)
        for name, text in zip(names, parts, strict=True)
    ]
    return values[0] if len(values) == 1 else tuple(values)


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandError(f"key column {name!r} is an integer, but {text!r} is not an integer") from None
