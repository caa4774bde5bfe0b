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

from lake_assets.cli.errors import CommandError
from lake_assets.cli.terminal import console, output_error
from lake_assets.text.printable import printable

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
            if error := output_error():
                raise CommandError(error)
            block, began = [], time.monotonic()
    if block:
        yield block


# Bytes


def print_lines(lines: Iterable[bytes]) -> None:
    """Print lines of a file. A pipe gets their bytes unchanged."""
    for block in blocks(lines):
        for line in block:
            print_bytes(line)


def print_bytes(line: bytes) -> None:
    """Print a line with its end, if it has one. A pipe gets the bytes unchanged, a terminal gets text."""
    if sys.stdout.isatty():
        print(decoded(line))
    else:
        sys.stdout.buffer.write(line)


def decoded(line: bytes) -> str:
    """Return a line as text, without its end. Bytes that are not UTF-8 are escaped."""
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "backslashreplace")


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
    # DEL is the only control character that JSON does not escape.
    return json.dumps(_jsonable(document), indent=2, allow_nan=False).replace("\x7f", r"\u007f")


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


def show(
    records: Iterable[Record],
    columns: Sequence[str] = (),
    right: Sequence[str] = (),
    titles: Mapping[str, str] | None = None,
) -> None:
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
    titles
        Column name to its title, where that is another one.
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
        heads = [cell((titles or {}).get(name, name)) for name in names]
        for at, name in enumerate(names):
            widths[name] = max([widths.get(name, 0), cell_width(heads[at]), *(cell_width(row[at]) for row in rows)])
        lay_out(heads, rows, [widths[name] for name in names], [name in right for name in names], header)


def _plainly(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: Sequence[bool],
    header: bool,
) -> None:
    for row in chain([titles] if header else [], rows):
        print("  ".join(map(_padded, row, widths, right)).rstrip())


def _on_terminal(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: Sequence[bool],
    header: bool,
) -> None:
    from rich.text import Text

    screen = console()
    if sum(widths) + 2 * (len(titles) - 1) > screen.width:
        longest = max(map(cell_width, titles))
        for row in rows:
            for title, text in zip(titles, row, strict=True):
                name = Text(_padded(title, longest, False), style="bold")
                screen.print(name, Text(text), sep="  ", soft_wrap=True)
            screen.print()
        return
    if header:
        screen.print(Text("  ".join(map(_padded, titles, widths, right)).rstrip(), style="bold"), soft_wrap=True)
    for row in rows:
        screen.print(Text("  ".join(map(_padded, row, widths, right)).rstrip()), soft_wrap=True)


def _padded(text: str, width: int, right: bool) -> str:
    """Pad a text to a width in columns of a terminal, where a character of Chinese or an emoji has two."""
    padding = " " * (width - cell_width(text))
    return f"{padding}{text}" if right else f"{text}{padding}"


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
    return printable(text)


def cell_width(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


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
    print(printable(text), file=sys.stderr)


@contextmanager
def progress(label: str, total: int) -> Generator[Callable[[int], None]]:
    """Yield a function that advances a progress bar of ``total`` steps. The bar is shown only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)
