"""Splits lines into fields, by RFC 4180 but for line breaks in fields: a record is one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lake_assets.defs.stocks.schema import COLUMNS, arrow_schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_FIELD = r'(?:"(?:[^"]|"")*"|[^",]*)'
PROPER = rf"\A{_FIELD}(?:,{_FIELD})*\z"
"""A line whose quotes are right."""
WHOLE = rf"\A{_FIELD}(?:,{_FIELD}){{{len(COLUMNS) - 1}}}\z"
"""A line whose quotes are right, with one field for each column."""

# A field with a stray quote ends at the next comma after it; one whose quotes are never closed, at the line's end.
_OPEN = r'"[^"]*(?:""[^"]*)*'
_ANY = rf'(?:{_OPEN}"(?:[^",][^,]*)?|[^",][^,]*|)'
STRAY_WHOLE = rf"\A(?:{_ANY},){{{len(COLUMNS) - 1}}}(?:{_ANY}|{_OPEN})\z"
"""A line, some quotes of which may be stray, with one field for each column."""
_STRAY = re.compile(rf"(?:{_ANY}|{_OPEN})(?:,|\Z)")
# What is between quotes that are right, whatever blanks follow them; or after one that is never closed.
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)(?:"[\0- ]*)?')
_CONTROLS = [bytes([code]) for code in range(1, 32) if code not in b"\t\n\r"]
_NAMES = [column.name for column in COLUMNS]


def read_plain(lines: pyarrow.BinaryArray) -> pyarrow.Table:
    """Return lines that are beyond doubt bars as typed columns. Texts become dictionaries.

    Parameters
    ----------
    lines
        The lines, with their line ends.
    """
    import pyarrow as pa

    if not len(lines):
        return arrow_schema().empty_table()
    # The lines of an array follow each other.
    offsets = pa.Array.from_buffers(pa.int32(), len(lines) + 1, [None, lines.buffers()[1]], offset=lines.offset)
    first, last = offsets[0].as_py(), offsets[len(lines)].as_py()
    return _read(lines.buffers()[2].slice(first, last - first), {field.name: field.type for field in arrow_schema()})


def split_proper(lines: pyarrow.BinaryArray) -> list[pyarrow.Array]:
    """Return the fields of lines that match :data:`WHOLE` as texts. An empty field is null, with quotes or without.

    Parameters
    ----------
    lines
        Lines of UTF-8 text, without their line ends.
    """
    return _split(lines, quotes=True) or _split_slowly(lines)


def split_stray(lines: pyarrow.BinaryArray) -> Iterator[tuple[Mask, list[pyarrow.Array]]]:
    """Yield the fields of lines that match :data:`STRAY_WHOLE`, as texts, each with which lines they are of.

    Parameters
    ----------
    lines
        Lines of UTF-8 text, without their line ends.
    """
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    # Where no comma is within quotes, quotes need not be looked at to find the fields.
    simple = pc.equal(pc.count_substring(lines, b","), len(_NAMES) - 1).to_numpy(zero_copy_only=False)
    for some in (simple, ~simple):
        if some.any():
            group = lines.filter(pa.array(some))
            columns = _split(group, quotes=False) if some is simple else None
            yield some, [_unquoted(column) for column in columns] if columns else _split_slowly(group)


def _split(lines: pyarrow.BinaryArray, *, quotes: bool) -> list[pyarrow.Array] | None:
    """Return the fields of lines, by Arrow; None if it cannot read them."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    text = b"\n".join([*lines.to_pylist(), b""])
    if b"\r" in text:
        # Arrow's reader takes a lone "\r" for the end of a line, so a character that is not there stands for it.
        stand_in = next((sign for sign in _CONTROLS if sign not in text), None)
        if stand_in is None:
            return None
        table = _read(pa.py_buffer(text.replace(b"\r", stand_in)), dict.fromkeys(_NAMES, pa.string()), quotes=quotes)
        return [pc.replace_substring(column.combine_chunks(), stand_in.decode(), "\r") for column in table.columns]
    texts = {field.name: field.type if pa.types.is_dictionary(field.type) else pa.string() for field in arrow_schema()}
    table = _read(pa.py_buffer(text), {**texts, "Date": texts["Time"]}, quotes=quotes)
    return [column.combine_chunks() for column in table.columns]


def _split_slowly(lines: pyarrow.BinaryArray) -> list[pyarrow.Array]:
    import pyarrow as pa

    rows = [[_text(field) or None for field in _fields_of(line)] for line in lines.to_pylist()]
    return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]


def _unquoted(column: pyarrow.Array) -> pyarrow.Array:
    """Return fields without the quotes around them."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not pc.any(pc.starts_with(values, '"')).as_py():
        return column
    encoded = column.dictionary_encode()
    return pa.array([_text(field) or None for field in encoded.dictionary.to_pylist()], pa.string()).take(
        encoded.indices
    )


def _read(text: pyarrow.Buffer, types: dict[str, pyarrow.DataType], *, quotes: bool = True) -> pyarrow.Table:
    import pyarrow as pa
    from pyarrow import csv

    if not text.size:
        return pa.schema(list(types.items())).empty_table()
    return csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(column_names=_NAMES, use_threads=False, block_size=text.size + 1),
        csv.ParseOptions(quote_char='"' if quotes else False, ignore_empty_lines=False),
        csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )


def _fields_of(line: bytes) -> list[str]:
    text = line.decode()
    fields = _STRAY.findall(text)
    # The pattern also matches the nothing at the end of a text, unless a comma stands before it.
    if not text.endswith(","):
        fields.pop()
    return [field.removesuffix(",") for field in fields[:-1]] + fields[-1:]


def _text(field: str) -> str:
    quoted = _QUOTED.fullmatch(field) if field[:1] == '"' else None
    return quoted[1].replace('""', '"') if quoted else field
