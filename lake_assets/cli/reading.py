"""Commands that read data of the lake: `path` and `cat`."""

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
from lake_assets.cli.options import MOST
from lake_assets.cli.output import Json, decoded, emit, emit_all, note, print_lines, show
from lake_assets.cli.places import parse_place
from lake_assets.lake.contract import Snapshot


class Reader(str, Enum):
    """The program that opens a path."""

    ANY = "any"
    SPARK = "spark"


def path(
    place: Annotated[str, typer.Argument(metavar="REF:ASSET", help="What to open.")],
    reader: Annotated[Reader, typer.Option("--for", help="The program that opens it.")] = Reader.ANY,
    json: Json = False,
) -> None:
    """Print a path for opening data of the lake.

    The path is for pandas, PyArrow and DuckDB, or with --for spark for Spark. Its content is that of the commit. It
    never changes and must not be written to. The path stays after this command until `lake-assets clean` removes it.
    This command then creates it again.
    """
    wanted = parse_place(place)
    with closing(open_lake()) as lake:
        snapshot = lake.path(wanted.ref, wanted.rows(lake))
    local = snapshot.uri.startswith("file://")
    if local and not Path(snapshot.root).exists():
        raise CommandError(
            f"the lake {lake.repository!r} is not writable, so its folders cannot be kept after this command: "
            "use `lake-assets cat`, or `ls --json` for the physical addresses"
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
    limit: Annotated[int, typer.Option(min=0, max=MOST, help="Maximal number of rows or lines; 0 for all.")] = 20,
    json: Json = False,
) -> None:
    """Print rows of Parquet or lines of text.

    Rows include the columns of their partition folders. No more is read than is printed, and Spark is not needed.
    """
    asked = parse_place(place)
    with closing(open_lake()) as lake:
        opened = content.open_content(lake, asked.ref, asked.rows(lake))
        found = iter(opened.rows(limit + 1 if limit else None))
        wanted = islice(found, limit) if limit else found
        if opened.columns is not None and not json:
            rows: Any = wanted
            show(rows, opened.columns)
        elif opened.columns is not None:
            emit_all(wanted)
        elif json:
            emit_all(map(decoded, wanted))
        else:
            print_lines(wanted)
        if limit and next(found, None) is not None:
            note(f"The first {limit} are shown; --limit 0 shows all.")
