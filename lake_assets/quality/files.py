"""Rows of files in several formats, as streams of record batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lake_assets.frames.csv import CsvRows
from lake_assets.frames.orc import orc_batches, orc_schema
from lake_assets.layout.csv_files import csv_file, has_manifest
from lake_assets.quality.unreadable import reading, refuse_others

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem

_BLOCK = 16 << 20
ENDINGS = {".parquet": "parquet", ".orc": "orc", ".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}
_QUARANTINES = "or read it by `asset_of_files`, which quarantines lines that are no rows"
_REMEDIES = {
    "parquet": "write it again",
    "orc": "write it again",
    "csv": f"give it a header, and each line as many values, {_QUARANTINES}",
    "json": f"make each line an object, whose names have values of one type, {_QUARANTINES}",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")


def format_of(path: str) -> str | None:
    """Return the format of a file by its ending; None if it is none of ours.

    Parameters
    ----------
    path
        Path of the file.
    """
    name = path
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    found = next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)
    return found if name == path or found in ("csv", "json") else None


def file_batches(
    filesystem: FileSystem, paths: Sequence[str], *, dictionaries: bool = False, names: Sequence[str] = ()
) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
    """Return the columns and rows of files.

    The schema is that of the first file. The types of CSV are those of the manifest beside it. Without one, and for
    JSON lines, they are inferred from its first block.

    Parameters
    ----------
    filesystem
        File system of the files.
    paths
        Paths of the files.
    dictionaries
        Whether the texts of Parquet files come as dictionaries, as they are stored.
    names
        What the files are called in errors. By default they are called by their paths.

    Raises
    ------
    ValueError
        There is no file, or one of another format, with other columns, or that cannot be read. The error names it.
    """
    if not paths:
        raise ValueError("there is no file to profile")
    for path in paths:
        if format_of(path) is None:
            raise ValueError(f"{path!r} cannot be profiled: its name must end with one of {', '.join(ENDINGS)}")
    files = dict(zip(paths, names or paths, strict=True))
    with _reading(paths[0], files):
        schema, _ = _open(filesystem, paths[0], None, dictionaries)

    def batches() -> Iterator[pyarrow.RecordBatch]:
        for path in paths:
            with _reading(path, files):
                found, each = _open(filesystem, path, schema, dictionaries)
                if found.names != schema.names:
                    refuse_others(files[path], found, schema, files[paths[0]])
                yield from (_cast(batch, schema) for batch in each)

    return schema, batches()


def _cast(batch: pyarrow.RecordBatch, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """Cast columns to the types of the first file. Only some files have dictionaries, which are left."""
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    columns: list[pa.Array] = [
        column if _plain(column.type) == _plain(kind) else column.cast(_plain(kind))
        for column, kind in zip(batch.columns, schema.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema.names)


def _plain(kind: pyarrow.DataType) -> pyarrow.DataType:
    import pyarrow as pa

    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def _reading(path: str, names: Mapping[str, str]) -> AbstractContextManager[None]:
    return reading(names[path], _REMEDIES[format_of(path) or ""])


def _open(
    filesystem: FileSystem, path: str, schema: pyarrow.Schema | None, dictionaries: bool
) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
    kind = format_of(path)
    if kind == "parquet":
        parquet = _parquet(filesystem, path, dictionaries)
        return parquet.schema_arrow, parquet.iter_batches(batch_size=1 << 17)
    if kind == "orc":
        return _open_orc(filesystem, path)
    held = csv_file(filesystem, path, "", {}) if path.endswith(".csv") and has_manifest(filesystem, path) else None
    if held is not None and held.has_types:
        rows = CsvRows(filesystem, [held])
        return rows.schema, (batch for table in rows.tables() for batch in table.to_batches())
    stream = filesystem.open_input_stream(path)
    if kind == "csv":
        from pyarrow import csv

        types = None if schema is None else {field.name: field.type for field in schema}
        read = csv.open_csv(
            stream, csv.ReadOptions(block_size=_BLOCK), convert_options=csv.ConvertOptions(column_types=types)
        )
    else:
        from pyarrow import json

        read = json.open_json(stream, json.ReadOptions(block_size=_BLOCK), json.ParseOptions(explicit_schema=schema))
    return read.schema, iter(read)


def _open_orc(filesystem: FileSystem, path: str) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
    import pyarrow as pa

    schema = orc_schema(filesystem, path)

    def batches() -> Iterator[pyarrow.RecordBatch]:
        for batch in orc_batches(filesystem, path):
            yield from pa.Table.from_batches([batch]).cast(schema).to_batches()

    return schema, batches()


def _parquet(filesystem: FileSystem, path: str, dictionaries: bool) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, filesystem=filesystem, coerce_int96_timestamp_unit="us")
    names = _repeating_texts(file) if dictionaries and file.num_row_groups else []
    if not names:
        return file
    metadata = file.metadata
    file.close()
    return pq.ParquetFile(
        path, metadata=metadata, filesystem=filesystem, coerce_int96_timestamp_unit="us", read_dictionary=names
    )


def _repeating_texts(file: pq.ParquetFile) -> list[str]:
    """Return the columns of texts that lie in the file as places in a dictionary."""
    from pyarrow import types

    texts = {
        field.name for field in file.schema_arrow if types.is_string(field.type) or types.is_large_string(field.type)
    }
    group = file.metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    # Of a dictionary that got too large, the later texts lie in the file as they are, and take more.
    return [
        one.path_in_schema
        for one in columns
        if one.path_in_schema in texts
        and one.has_dictionary_page
        and one.total_uncompressed_size < 2 * one.num_values + (1 << 20)
    ]
