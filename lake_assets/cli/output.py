"""The output of commands: one JSON document, or a table of records, which is plain text if not on a terminal."""

from __future__ import annotations

import base64
import json
import math
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timezone
from datetime import time as time_of_day
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from lake_assets.lake.contract import Removable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

Record = Mapping[str, Any]

_BLOCK = 1000
"""Number of records that are formatted together, which bounds the memory."""

_WAIT = 0.5
"""Seconds after which an incomplete block is printed, if the source is slow."""

_Item = TypeVar("_Item")


def blocks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield items in blocks. Output is flushed before the next block is read.

    Parameters
    ----------
    items
        The items, of which only one block is in memory.
    """
    block: list[_Item] = []
    began = time.monotonic()
    for item in items:
        block.append(item)
        if len(block) == _BLOCK or time.monotonic() - began > _WAIT:
            yield block
            sys.stdout.flush()
            block, began = [], time.monotonic()
    if block:
        yield block


# JSON


def emit(document: object) -> None:
    """Print one JSON document: dates in ISO form, bytes in base64, NaN and infinities as null."""
    print(_encoded(document))


def emit_all(documents: Iterable[object]) -> None:
    """Print a JSON array, streaming its elements. Nothing is printed before the first element is available."""
    separator = "["
    for block in blocks(documents):
        for document in block:
            print(separator, _encoded(document), sep="\n", end="")
            separator = ","
    print("[]" if separator == "[" else "\n]")


def emit_stream(known: Mapping[str, object], name: str, documents: Iterable[object]) -> None:
    """Print a JSON object with the ``known`` fields, and then the field ``name`` as a streamed array."""
    print("{", *(f"{json.dumps(key)}: {_encoded(value)}," for key, value in known.items()), sep="\n")
    print(f"{json.dumps(name)}:", end=" ")
    emit_all(documents)
    print("}")


def _encoded(document: object) -> str:
    return json.dumps(_jsonable(document), indent=2, allow_nan=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _jsonable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date, time_of_day)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, (str, int)) else str(value)


# Tables


def show(records: Iterable[Record], columns: Sequence[str] = (), right: Sequence[str] = ()) -> None:
    """Print records as a table, one line for each.

    If a terminal is too narrow, each record is printed as a block of ``column  value`` lines. Elsewhere lines are as
    long as necessary. Values are never cut.

    Parameters
    ----------
    records
        Column name to value.
    columns
        The first columns. They are shown even if there are no records.
    right
        Right-aligned columns.
    """
    names: list[str] = []
    lay_out = _on_terminal if sys.stdout.isatty() else _plainly
    widths: dict[str, int] = {}
    # The empty block shows the columns even if there are no records.
    for block in chain(blocks(records), [[]]):
        found = list(dict.fromkeys(chain(names or columns, *block)))
        header = found != names
        names = found
        if not block and not header:
            continue
        rows = [[cell(record.get(name)) for name in names] for record in block]
        for at, name in enumerate(names):
            widths[name] = max([widths.get(name, 0), len(name), *(len(row[at]) for row in rows)])
        lay_out(names, rows, widths, right, header)


def _plainly(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Mapping[str, int],
    right: Sequence[str],
    header: bool,
) -> None:
    for row in chain([names] if header else [], rows):
        cells = (
            text.rjust(widths[name]) if name in right else text.ljust(widths[name])
            for name, text in zip(names, row, strict=True)
        )
        print("  ".join(cells).rstrip())


def _on_terminal(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Mapping[str, int],
    right: Sequence[str],
    header: bool,
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if sum(widths.values()) + 2 * (len(names) - 1) > console.width:
        longest = max(map(len, names))
        for row in rows:
            for name, text in zip(names, row, strict=True):
                console.print(Text(name.ljust(longest), style="bold"), Text(text), sep="  ", soft_wrap=True)
            console.print()
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=header, header_style="bold")
    for name in names:
        table.add_column(Text(name), no_wrap=True, min_width=widths[name], justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def cell(value: Any) -> str:
    """Return a value as one line of printable text, or ``-`` if it is empty."""
    if value is None or value == "":
        return "-"
    if isinstance(value, (Mapping, list, tuple, bytes)):
        text = json.dumps(_jsonable(value))
    elif isinstance(value, (datetime, date, time_of_day)):
        text = value.isoformat()
    else:
        text = str(value)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def moment(value: datetime) -> str:
    """Return a time in UTC, to the second."""
    return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def amount(size: int) -> str:
    """Return a size in bytes with a suitable decimal unit."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def removable(found: Removable) -> dict[str, Any]:
    """Return removable data as a JSON object."""
    return {"kind": found.kind, "count": found.count, "frees": found.frees}


def note(text: str) -> None:
    """Print a note to stderr, separate from the result."""
    print(text, file=sys.stderr)


@contextmanager
def progress(label: str, total: int) -> Generator[Callable[[int], None]]:
    """Yield a function that advances a progress bar of ``total`` steps. The bar is shown only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)
