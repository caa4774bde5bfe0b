"""Prints the rows of a query as they are computed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import emit_all, show
from lake_assets.cli.terminal import output_error

if TYPE_CHECKING:
    from lake_assets.sql.engine import Result

_DAY = 86_400_000_000
"""Microseconds of a day."""


def print_result(result: Result, form: str) -> None:
    """Print rows.

    Parameters
    ----------
    result
        The rows.
    form
        ``table``, ``csv`` (RFC 4180; null is an empty field), ``json`` (an array of objects), ``parquet`` or ``arrow``
        (a stream in Arrow's IPC format).

    Raises
    ------
    CommandError
        Bytes would be printed on a terminal.
    """
    if form == "table":
        import pyarrow

        numbers = [
            name
            for name, kind in zip(result.unique_names, result.schema.types, strict=True)
            if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind)
        ]
        titles = dict(zip(result.unique_names, result.schema.names, strict=True))
        show(_records(result), result.unique_names, right=numbers, titles=titles)
    elif form == "json":
        emit_all({name: _number(value) for name, value in record.items()} for record in _records(result))
    elif form == "csv":
        _print_csv(result)
    else:
        _print_bytes(result, form)


def _records(result: Result) -> Iterator[dict[str, Any]]:
    for batch in result:
        columns = map(_values, batch.schema.names, batch.columns)
        for values in zip(*columns, strict=True):
            yield dict(zip(result.unique_names, values, strict=True))


def _number(value: Any) -> Any:
    """Return a whole number as such: the sum of integers is a decimal in Arrow."""
    return int(value) if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral() else value


def _print_csv(result: Result) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(result.schema.names)
    for batch in result:
        columns = map(_texts, batch.schema.names, batch.columns)
        writer.writerows(zip(*columns, strict=True))
        if error := output_error():
            raise CommandError(error)


def _values(name: str, column: Any) -> list[Any]:
    """Return the values of a column as Python has them. DuckDB has more times, such as infinity."""
    import pyarrow

    try:
        values = column.to_pylist()
    except (OverflowError, ValueError) as error:
        raise CommandError(f"column {name!r} has a value that cannot be shown ({error}): cast it to VARCHAR") from error
    if column.type != pyarrow.time64("us"):
        return values
    # A day of DuckDB ends at 24:00:00, which Python takes for the midnight before.
    ends = column.cast(pyarrow.int64()).to_pylist()
    return ["24:00:00" if at == _DAY else value for at, value in zip(ends, values, strict=True)]


def _texts(name: str, column: Any) -> list[Any]:
    from lake_assets.cli.output import cell

    values = _values(name, column)
    return [value if value is None or isinstance(value, (str, int, float)) else cell(value) for value in values]


def _print_bytes(result: Result, form: str) -> None:
    import pyarrow
    import pyarrow.parquet as pq

    schema = pyarrow.schema(
        # A file of Parquet with two columns of one name is one that many programs cannot read.
        [field.with_name(name) for field, name in zip(result.schema, result.unique_names, strict=True)]
    )
    if sys.stdout.isatty():
        raise CommandError(f"{form} is not text: write it to a file, as in `lake-assets sql … --format {form} > FILE`")
    with pyarrow.PythonFile(_Counted(sys.stdout.buffer), mode="w") as sink:
        if form == "arrow":
            with pyarrow.ipc.new_stream(sink, result.schema) as stream:
                for batch in result:
                    stream.write_batch(batch)
            return
        try:
            file = pq.ParquetWriter(sink, schema)
        except pyarrow.ArrowNotImplementedError as error:
            raise CommandError(f"Parquet has no such type ({error}): cast the column to VARCHAR") from error
        with file:
            for batch in result:
                file.write_batch(pyarrow.RecordBatch.from_arrays(batch.columns, schema=schema))


class _Counted:
    """A pipe that tells how many bytes were written, as the writers ask."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._written = stream, 0

    def write(self, data: bytes) -> int:
        self._written += len(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()
