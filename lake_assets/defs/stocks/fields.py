"""Splits lines into fields, by RFC 4180 but for line breaks in fields: a record is one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.defs.stocks.schema import COLUMNS, arrow_schema

if TYPE_CHECKING:
    import pyarrow

_FIELD = r'(?:"(?:[^"]|"")*"|[^",]*)'
PROPER = rf"\A{_FIELD}(?:,{_FIELD})*\z"
"""A line whose quotes are right."""
WHOLE = rf"\A{_FIELD}(?:,{_FIELD}){{{len(COLUMNS) - 1}}}\z"
"""A line whose quotes are right, with one field for each column."""

# A field with a stray quote ends at the next comma after it; one whose quotes are never closed, at the line's end.
_STRAY = re.compile(r'(?:"[^"]*(?:""[^"]*)*(?:"[^,]*)?|[^,]*)(?:,|\Z)')
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
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    text = b"\n".join([*lines.to_pylist(), b""])
    if b"\r" in text:
        # Arrow's reader takes a lone "\r" for the end of a line, so a character that is not there stands for it.
        stand_in = next((sign for sign in _CONTROLS if sign not in text), None)
        if stand_in is None:
            return _columns([_unquoted(_fields_of(line)) for line in lines.to_pylist()])
        table = _read(pa.py_buffer(text.replace(b"\r", stand_in)), dict.fromkeys(_NAMES, pa.string()))
        return [pc.replace_substring(column.combine_chunks(), stand_in.decode(), "\r") for column in table.columns]
    texts = {field.name: field.type if pa.types.is_dictionary(field.type) else pa.string() for field in arrow_schema()}
    return [column.combine_chunks() for column in _read(pa.py_buffer(text), {**texts, "Date": texts["Time"]}).columns]


def split_stray(lines: pyarrow.BinaryArray) -> tuple[list[int], list[pyarrow.Array]]:
    """Return which lines with stray quotes have one field for each column, and the fields of these as texts.

    Parameters
    ----------
    lines
        Lines of UTF-8 text that do not match :data:`PROPER`, without their line ends.
    """
    found = [_fields_of(line) for line in lines.to_pylist()]
    whole = [at for at, fields in enumerate(found) if len(fields) == len(_NAMES)]
    return whole, _columns([_unquoted(found[at]) for at in whole])


def _read(text: pyarrow.Buffer, types: dict[str, pyarrow.DataType]) -> pyarrow.Table:
    import pyarrow as pa
    from pyarrow import csv

    if not text.size:
        return pa.schema(list(types.items())).empty_table()
    return csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(column_names=_NAMES, use_threads=False, block_size=text.size + 1),
        csv.ParseOptions(ignore_empty_lines=False),
        csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )


def _fields_of(line: bytes) -> list[str]:
    text = line.decode()
    fields = _STRAY.findall(text)
    # The pattern also matches the nothing at the end of a text, unless a comma stands before it.
    if not text.endswith(","):
        fields.pop()
    return [field.removesuffix(",") for field in fields[:-1]] + fields[-1:]


def _unquoted(fields: Sequence[str]) -> list[str | None]:
    return [(_text(field) if field[:1] == '"' else field) or None for field in fields]


def _text(field: str) -> str:
    quoted = _QUOTED.fullmatch(field)
    return quoted[1].replace('""', '"') if quoted else field


def _columns(rows: Sequence[Sequence[str | None]]) -> list[pyarrow.Array]:
    import pyarrow as pa

    if not rows:
        return [pa.array([], pa.string()) for _ in _NAMES]
    return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
