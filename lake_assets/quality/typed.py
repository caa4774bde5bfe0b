"""Rows of a user's file with the types of its columns, and the lines that do not have them.

The types are inferred once, over all rows. Afterwards they are given, and a row of other types is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import bounded_connection, sql_name
from lake_assets.quality.csv_records import csv_records
from lake_assets.quality.files import file_batches, format_of
from lake_assets.quality.json_columns import faults_by, inferred, table
from lake_assets.quality.records import lines
from lake_assets.quality.unreadable import reading, refuse_names, refuse_others

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

_CSV = "give it a header in UTF-8, and close its quotes"
_CANDIDATES = ("BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMPTZ")
_DAY = "[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_TIME = r"[ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
_INTEGER = "[+-]?[0-9]+"
_PATTERNS = {
    "BIGINT": _INTEGER,
    "DOUBLE": r"(?i)\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*|[+-]?(inf|infinity|nan)",
    "BOOLEAN": "(?i)true|false",
    "DATE": "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}",
    "TIMESTAMP": f"{_DAY}({_TIME})?",
    "TIMESTAMPTZ": f"{_DAY}{_TIME}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)",
}
_EXACT = 1 << 53
"""Below, each integer is a floating-point number."""


@dataclass(frozen=True, slots=True)
class TypedRows:
    """The rows of files.

    Parameters
    ----------
    rows
        The rows, with their types.
    rejected
        File, line, reason and raw text of what is no row, as it stands in the file.
    """

    rows: pyarrow.Table
    rejected: pyarrow.Table


def rejected_schema() -> pyarrow.Schema:
    """Return the columns of rejected lines."""
    import pyarrow as pa

    return pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("raw", pa.string())])


def read_typed(filesystem: FileSystem, paths: Sequence[str], schema: pyarrow.Schema | None = None) -> TypedRows:
    """Read files of one format: Parquet, ORC, CSV or JSON lines, the latter two also compressed.

    All rows are held in memory.

    Parameters
    ----------
    filesystem, paths
        The files.
    schema
        The columns that the rows must have. By default they are inferred.

    Raises
    ------
    ValueError
        There is no file, or they are of several or other formats, or have other columns.
    """
    import pyarrow as pa

    kinds = {format_of(path) for path in paths}
    if len(kinds) != 1:
        raise ValueError(f"{len(paths)} file(s) of {len(kinds)} formats: give files of one format")
    if kinds == {"csv"}:
        return _read_csv(filesystem, paths, schema)
    if kinds == {"json"}:
        return _read_records(filesystem, paths, schema)
    names = [_name(path) for path in paths]
    stored, batches = file_batches(filesystem, paths, names=names)
    if schema is not None:
        refuse_others(names[0], stored, schema, _BEFORE)
    return TypedRows(pa.Table.from_batches(batches, stored), rejected_schema().empty_table())


def as_tree(schema: pyarrow.Schema) -> str:
    """Return a schema as Spark's ``printSchema`` prints it.

    Parameters
    ----------
    schema
        The schema.
    """
    names = {"int64": "long", "int32": "integer", "double": "double", "bool": "boolean", "date32[day]": "date"}
    shown = [f" |-- {one.name}: {names.get(str(one.type), str(one.type))} (nullable = true)" for one in schema]
    return "\n".join(["root", *shown])


_BEFORE = "before"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _rejected(found: Sequence[tuple[str, int, str, str]]) -> pyarrow.Table:
    import pyarrow as pa

    columns: Any = list(zip(*found, strict=True)) or [[], [], [], []]
    return pa.Table.from_arrays(
        [pa.array(each, one.type) for each, one in zip(columns, rejected_schema(), strict=True)],
        schema=rejected_schema(),
    )


def _read_csv(filesystem: FileSystem, paths: Sequence[str], schema: pyarrow.Schema | None) -> TypedRows:
    """Read all values as texts, then cast them: so every value that has another type is found."""
    import pyarrow as pa

    wrong: list[dict[int, str]] = [{} for _ in paths]
    asked = None if schema is None else (schema.names, _BEFORE)
    texts: list[pa.Table] = []
    for path, refused in zip(paths, wrong, strict=True):
        texts.append(_csv_texts(filesystem, path, asked, refused))
        asked = asked or (texts[0].column_names[:-1], _name(path))
    names = texts[0].column_names[:-1]
    numbered = [one.append_column(_FILE, pa.repeat(at, one.num_rows)) for at, one in enumerate(texts)]
    with bounded_connection() as connection:
        connection.register("texts", pa.concat_tables(numbered))
        connection.execute("SET enable_external_access = false")
        types = _inferred(connection, names) if schema is None else {one.name: _sql_type(one.type) for one in schema}
        casts = ", ".join(f"TRY_CAST({sql_name(name)} AS {types[name]}) AS {sql_name(name)}" for name in names)
        bad = ", ".join(
            f"CASE WHEN {sql_name(name)} IS NOT NULL AND NOT {_has_type(name, types[name])} "
            f"THEN {_text(f'{name} is no {types[name]}')} END"
            for name in names
        )
        file, record, why = map(sql_name, (_FILE, _RECORD, _WHY))
        judged = f"SELECT *, [x FOR x IN [{bad}] IF x IS NOT NULL] AS {why} FROM texts"  # noqa: S608
        rows = connection.sql(
            f"SELECT {casts} FROM ({judged}) WHERE len({why}) = 0 ORDER BY {file}, {record}"  # noqa: S608
        ).to_arrow_table()
        others = connection.sql(
            f"SELECT {file}, {record}, array_to_string({why}, '; ') FROM ({judged}) WHERE len({why}) > 0"  # noqa: S608
        ).fetchall()
    for at, number, reason in others:
        wrong[at][number] = reason
    found = [
        one for path, reasons in zip(paths, wrong, strict=True) for one in _as_they_stand(filesystem, path, reasons)
    ]
    return TypedRows(rows if schema is None else rows.cast(schema), _rejected(found))


def _csv_texts(
    filesystem: FileSystem, path: str, wanted: tuple[Sequence[str], str] | None, refused: dict[int, str]
) -> pyarrow.Table:
    """Return the records of a file as texts, then their numbers.

    Those with other numbers of fields, or with bytes that are no UTF-8, are refused. ``wanted`` are the names that its
    columns must have, and what has them.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    def refuse(row: Any) -> str:
        refused[row.number] = f"{row.actual_columns} fields, and {row.expected_columns} are expected"
        return "skip"

    with reading(_name(path), _CSV), filesystem.open_input_stream(path) as stream:
        skipped = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
        header = csv.open_csv(stream, parse_options=skipped).schema.names
    refuse_names(_name(path), [*header, _RECORD, _FILE, _WHY])
    if wanted is not None:
        refuse_others(_name(path), _texts(header), _texts(wanted[0]), wanted[1])
    with reading(_name(path), _CSV), filesystem.open_input_stream(path) as stream:
        texts = csv.read_csv(
            stream,
            # Only one thread counts the records.
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.binary()), strings_can_be_null=True, null_values=[""]
            ),
        )
    # The header is record 1.
    numbers = np.arange(1, texts.num_rows + len(refused) + 2)
    numbers = np.delete(numbers, [0, *(number - 1 for number in refused)])
    garbled = _no_utf8(texts)
    for at, names in garbled.items():
        refused[int(numbers[at])] = "; ".join(f"{name} is no UTF-8" for name in names)
    texts = texts.append_column(_RECORD, pa.array(numbers))
    if garbled:
        texts = texts.take(pa.array(np.delete(np.arange(len(numbers)), list(garbled))))
    return texts.cast(pa.schema([*((name, pa.string()) for name in header), (_RECORD, pa.int64())]))


def _no_utf8(texts: pyarrow.Table) -> dict[int, list[str]]:
    """Return the rows with bytes that are no UTF-8, and the names of their columns."""
    import pyarrow as pa

    found: dict[int, list[str]] = {}
    for name, column in zip(texts.column_names, texts.columns, strict=True):
        try:
            column.cast(pa.string())
        except pa.ArrowInvalid:
            for at, value in enumerate(column.to_pylist()):
                try:
                    (value or b"").decode()
                except UnicodeDecodeError:
                    found.setdefault(at, []).append(name)
    return found


def _as_they_stand(
    filesystem: FileSystem, path: str, reasons: Mapping[int, str]
) -> Iterator[tuple[str, int, str, str]]:
    """Yield the file, line, reason and raw text of some records. A file without any is not read again."""
    if not reasons:
        return
    with filesystem.open_input_stream(path) as stream:
        for number, record in enumerate(islice(csv_records(stream), max(reasons)), 1):
            if number in reasons:
                yield path.rpartition("/")[2], record.line, reasons[number], record.raw


_RECORD, _FILE, _WHY = "quality record", "quality file", "quality reasons"


def _texts(names: Sequence[str]) -> pyarrow.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in names])


def _text(value: str) -> str:
    from lake_assets.lake.rows import sql_text

    return sql_text(value)


def _inferred(connection: Any, names: Sequence[str]) -> Mapping[str, str]:
    """Return the first type of each column that all of its values have. Numbers with leading zeros are texts."""
    asked: list[str] = []
    for name in names:
        known = f"FILTER (WHERE {sql_name(name)} IS NOT NULL)"
        asked += [f"bool_and({_has_type(name, kind)}) {known}" for kind in _CANDIDATES]
        asked += [f"bool_or(regexp_matches({sql_name(name)}, '^[+-]?0[0-9]'))"]
    found = connection.sql(f"SELECT {', '.join(asked)} FROM texts").fetchall()[0]  # noqa: S608
    types: dict[str, str] = {}
    step = len(_CANDIDATES) + 1
    for at, name in enumerate(names):
        *fits, zeros = found[at * step : (at + 1) * step]
        fitting = {kind for kind, fit in zip(_CANDIDATES, fits, strict=True) if fit}
        if zeros:
            fitting -= {"BIGINT", "DOUBLE"}
        types[name] = next((kind for kind in _CANDIDATES if kind in fitting), "VARCHAR")
    return types


def _has_type(name: str, kind: str) -> str:
    """Return the SQL that is true for a text that is a value of a type. A cast alone would round and cut values."""
    text, pattern = sql_name(name), _PATTERNS.get(kind)
    cast = f"TRY_CAST({text} AS {kind})"
    fits = f"{cast} IS NOT NULL" + (f" AND regexp_full_match({text}, '{pattern}')" if pattern else "")
    if kind == "DOUBLE":
        fits += f" AND (abs({cast}) < {_EXACT} OR NOT regexp_full_match(trim({text}), '{_INTEGER}'))"
        fits += f" AND (isfinite({cast}) OR NOT regexp_matches({text}, '[0-9]'))"
    return f"({fits})"


def _sql_type(kind: pyarrow.DataType) -> str:
    from pyarrow import types

    known: list[tuple[Callable[[Any], bool], str]] = [
        (types.is_boolean, "BOOLEAN"),
        (types.is_integer, "BIGINT"),
        (types.is_floating, "DOUBLE"),
        (types.is_date, "DATE"),
        (lambda kind: types.is_timestamp(kind) and kind.tz is not None, "TIMESTAMPTZ"),
        (types.is_timestamp, "TIMESTAMP"),
    ]
    return next((name for fits, name in known if fits(kind)), "VARCHAR")


def _read_records(filesystem: FileSystem, paths: Sequence[str], schema: pyarrow.Schema | None) -> TypedRows:
    records: list[dict[str, Any]] = []
    rejected: list[tuple[str, int, str, str]] = []
    faults = None if schema is None else faults_by(schema)
    for path in paths:
        name = _name(path)
        with reading(name, "write it again"), filesystem.open_input_stream(path) as stream:
            for line in lines(stream):
                if line.record is None:
                    rejected.append((name, line.number, line.reason, line.raw))
                elif faults is not None and (found := faults(line.record)):
                    rejected.append((name, line.number, "; ".join(found), line.raw))
                else:
                    records.append(line.record)
    return TypedRows(table(records, inferred(records) if schema is None else schema), _rejected(rejected))
