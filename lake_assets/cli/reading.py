"""Commands that open what the lake holds: `path` and `cat`."""

from __future__ import annotations

from contextlib import closing
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from lake_assets.cli import content
from lake_assets.cli.code_location import open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import Json, blocks, emit, emit_all, note, show
from lake_assets.cli.places import parse_place
from lake_assets.lake.contract import Snapshot


class Reader(str, Enum):
    """Who opens a path."""

    ANY = "any"
    SPARK = "spark"


def path(
    place: Annotated[str, typer.Argument(metavar="REF:ASSET", help="What to open.")],
    reader: Annotated[Reader, typer.Option("--for", help="Who opens it.")] = Reader.ANY,
    json: Json = False,
) -> None:
    """Print the path that a reader opens.

    pandas, PyArrow and DuckDB open it as it is printed, Spark with --for spark. What is there is what the commit
    holds, for ever, and must not be written to. It outlives this command, and stays until `lake-assets clean` removes
    it; this command makes it anew.
    """
    wanted = parse_place(place)
    with closing(open_lake()) as lake:
        snapshot = lake.path(wanted.ref, wanted.rows(lake))
    local = snapshot.uri.startswith("file://")
    if local and not Path(snapshot.root).exists():
        raise CommandError(
            f"the lake {lake.repository!r} may not be written, so no folder of it outlives this command: "
            "use `lake-assets cat`, or `ls --json` for where the bytes lie"
        )
    if json:
        document = {name: getattr(snapshot, name) for name in ("commit", "prefix", "uri", "root")}
        emit({**document, "path": _for(reader, snapshot)})
    else:
        print(_for(reader, snapshot))


def _for(reader: Reader, snapshot: Snapshot) -> str:
    if reader is Reader.SPARK:
        return snapshot.uri
    return snapshot.root if snapshot.uri.startswith("file://") else f"s3://{snapshot.root}"


def cat(
    place: Annotated[str, typer.Argument(metavar="REF:ASSET", help="A folder of Parquet, or a text file.")],
    limit: Annotated[int, typer.Option(min=0, help="Rows or lines at most; 0 for all.")] = 20,
    json: Json = False,
) -> None:
    """Print rows of Parquet or lines of text.

    Rows have the columns of their folders, too. No more is read than is printed, and no Spark is needed.
    """
    asked = parse_place(place)
    with closing(open_lake()) as lake:
        opened = content.open_content(lake, asked.ref, asked.rows(lake))
        found = iter(opened.rows(limit + 1 if limit else None))
        wanted = islice(found, limit) if limit else found
        if json:
            emit_all(wanted)
        elif opened.columns is not None:
            rows: Any = wanted
            show(rows, opened.columns)
        else:
            for block in blocks(wanted):
                print(*block, sep="\n")
        if limit and next(found, None) is not None:
            note(f"The first {limit} are shown; --limit 0 shows all.")
