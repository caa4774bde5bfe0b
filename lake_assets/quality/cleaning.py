"""Cleaning as named steps, each of which says how many rows or values it changed.

NaN is null here, whatever the library of the frame: pandas writes null so, and the other libraries have both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lake_assets.quality.querying import as_table

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class DropRows:
    """Drop the rows of which more than a share of the columns is null.

    Parameters
    ----------
    nulls
        The share of nulls that is allowed: 0 drops every row with a null.
    columns
        The columns that count; by default all.
    """

    nulls: float = 0.0
    columns: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class DropColumns:
    """Drop the columns of which more than a share of the rows is null.

    Parameters
    ----------
    nulls
        The share of nulls that is allowed.
    """

    nulls: float = 0.5


@dataclass(frozen=True, slots=True)
class Fill:
    """Fill the nulls of a column.

    Parameters
    ----------
    column
        The column.
    by
        ``constant``, ``mean``, ``median``, ``most frequent``, or ``forward`` for the value above.
    value
        The constant. Null or NaN fills nothing.
    """

    column: str
    by: Literal["constant", "mean", "median", "most frequent", "forward"] = "constant"
    value: Any = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace values of a column.

    Parameters
    ----------
    column
        The column.
    values
        Each value to what replaces it, which may be null.
    """

    column: str
    values: Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Cast:
    """Give a column another type. A value that cannot have it becomes null, and is counted.

    Parameters
    ----------
    column
        The column.
    type
        DuckDB's name of the type, such as ``DOUBLE``.
    """

    column: str
    type: str


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Keep the first or last row of each key.

    Parameters
    ----------
    key
        The columns of the key.
    keep
        ``first`` or ``last``.
    """

    key: Sequence[str]
    keep: Literal["first", "last"] = "first"


Step = DropRows | DropColumns | Fill | Replace | Cast | Deduplicate


def clean(data: Any, steps: Mapping[str, Step]) -> tuple[pyarrow.Table, dict[str, int]]:
    """Return cleaned rows, and how many rows or values each step changed, or columns it dropped.

    The rows have null in place of NaN. Give the counts as materialization metadata.

    Parameters
    ----------
    data
        A frame of any library.
    steps
        Name to step, in the order in which they are done.

    Raises
    ------
    ValueError
        A step names a column or a type that is not there, replaces null, or is not for the type of its column.

    Examples
    --------
    >>> rows, counts = clean(frame, {"salary by median": Fill("salary", "median")})
    """
    import pyarrow as pa

    table, counts = _without_nan(as_table(data)), dict[str, int]()
    for name, step in steps.items():
        _refuse_unknown(name, step, table)
        try:
            table, counts[name] = _done(table, step)
        except pa.ArrowNotImplementedError as error:
            raise ValueError(f"step {name!r} is not for the types of its columns: {error}") from error
    return table, counts


def _without_nan(table: pyarrow.Table) -> pyarrow.Table:
    for at, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        changed = _nan_to_null(column)
        if changed is not column:
            # Spark's columns without nulls may have NaN, so the new column's nulls are allowed.
            table = table.set_column(at, name, changed)
    return table


def _nan_to_null(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    import pyarrow as pa

    pc = _compute()
    missing = pc.is_null(column, nan_is_null=True)
    if pc.sum(missing).as_py() in (None, column.null_count):
        return column
    return pc.if_else(missing, pa.scalar(None, column.type), column)


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _refuse_unknown(name: str, step: Step, table: pyarrow.Table) -> None:
    columns: Any = getattr(step, "columns", None) or getattr(step, "key", None) or [getattr(step, "column", None)]
    for column in columns:
        if column is not None and column not in table.column_names:
            raise ValueError(f"step {name!r}: there is no column {column!r}; there are {', '.join(table.column_names)}")


def _done(table: pyarrow.Table, step: Step) -> tuple[pyarrow.Table, int]:
    if isinstance(step, DropRows):
        return _drop_rows(table, step)
    if isinstance(step, DropColumns):
        gone = [name for name in table.column_names if table[name].null_count > step.nulls * table.num_rows]
        return table.drop_columns(gone), len(gone)
    if isinstance(step, Deduplicate):
        return _deduplicate(table, step)
    at = table.column_names.index(step.column)
    column = _decoded(table.column(at))
    if isinstance(step, Fill):
        changed = _filled(column, step)
        count = column.null_count - changed.null_count
    elif isinstance(step, Replace):
        changed, count = _replaced(column, step)
    else:
        changed = _nan_to_null(_cast(column, step))
        count = changed.null_count - column.null_count
    return table.set_column(at, step.column, changed), count


def _decoded(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return the values of a dictionary, such as a category of pandas, since a step may bring others."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _compute() -> Any:
    import pyarrow.compute

    return pyarrow.compute  # its functions are made at import: no checker knows them


def _drop_rows(table: pyarrow.Table, step: DropRows) -> tuple[pyarrow.Table, int]:
    import numpy as np
    import pyarrow as pa

    names = list(step.columns) or table.column_names
    nulls = np.zeros(table.num_rows, np.int64)
    for name in names:
        nulls += table[name].is_null().to_numpy().astype(np.int64)
    kept = nulls <= step.nulls * len(names)
    return table.filter(pa.array(kept)), int((~kept).sum())


def _filled(column: pyarrow.ChunkedArray, step: Fill) -> pyarrow.ChunkedArray:
    import numpy as np
    import pyarrow as pa

    pc = _compute()
    if step.by == "forward":
        numbers = np.where(column.is_valid().to_numpy(), np.arange(len(column)), -1)
        places = np.maximum.accumulate(numbers)
        # Before the first value there is none.
        return column.take(pa.array(places, mask=places < 0))
    if step.by == "constant":
        value = step.value
    elif step.by == "most frequent":
        counted = pc.value_counts(column.drop_null())
        pairs = sorted(counted.to_pylist(), key=lambda one: (-one["counts"], str(one["values"])))
        value = pairs[0]["values"] if pairs else None
    else:
        value = _middle(column, step)
    if _is_missing(value):
        return column
    if isinstance(value, pa.Scalar):
        return pc.fill_null(column, value)
    try:
        filling: Any = pa.scalar(value, column.type)
        exact = filling.as_py() == value
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        filling, exact = None, False
    if not exact:
        # Such as the mean of integers. A cast before it says what is meant.
        raise ValueError(f"{step.column} is {column.type}, which cannot hold {value!r}: cast it first")
    return pc.fill_null(column, filling)


def _middle(column: pyarrow.ChunkedArray, step: Fill) -> Any:
    """Return the mean or median, of floats a float, otherwise the exact one; of times it is a scalar of Arrow."""
    from decimal import Context, Decimal
    from fractions import Fraction

    import pyarrow as pa
    from pyarrow import types

    pc, kind = _compute(), column.type
    is_time = types.is_temporal(kind) and not types.is_interval(kind)
    if not (is_time or types.is_decimal(kind) or types.is_floating(kind) or types.is_integer(kind)):
        raise ValueError(f"{step.column} is {kind}, which has no {step.by}: cast it first")
    known = column.drop_null()
    if types.is_floating(kind):
        known = known.cast(pa.float64())
        return (pc.mean(known) if step.by == "mean" else pc.quantile(known, 0.5)[0]).as_py()
    if not len(known):
        return None
    stored: Any = (pa.int32() if kind.bit_width == 32 else pa.int64()) if is_time else kind
    scale = kind.scale if types.is_decimal(kind) else 0
    numbers = known.cast(stored).cast(pa.decimal256(76, scale))
    if step.by == "mean":
        value = Fraction(pc.sum(numbers).as_py()) / len(numbers)
    else:
        places = pc.sort_indices(numbers).take(pa.array([(len(numbers) - 1) // 2, len(numbers) // 2]))
        value = sum(map(Fraction, numbers.take(places).to_pylist()), Fraction()) / 2
    if is_time:
        return pa.scalar(round(value), stored).cast(kind)
    if types.is_decimal(kind):
        return Decimal(round(value * Fraction(10) ** scale)).scaleb(-scale, Context(prec=100))
    return int(value) if value.denominator == 1 else float(value)


def _replaced(column: pyarrow.ChunkedArray, step: Replace) -> tuple[pyarrow.ChunkedArray, int]:
    import pyarrow as pa

    pc = _compute()
    if any(map(_is_missing, step.values)):
        raise ValueError(f"{step.column}: Replace replaces values, and null and NaN are none: take Fill")
    new = [None if _is_missing(one) else one for one in step.values.values()]
    try:
        wanted, others = (pa.array(each, column.type) for each in (list(step.values), new))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{step.column} is {column.type}, which cannot hold the values to replace: {error}") from error
    places = pc.index_in(column, wanted, skip_nulls=True)
    found = places.is_valid()
    replacing = others.take(places.combine_chunks())
    return pc.if_else(found, replacing, column), int(pc.sum(found).as_py() or 0)


def _cast(column: pyarrow.ChunkedArray, step: Cast) -> pyarrow.ChunkedArray:
    import pyarrow as pa

    from lake_assets.quality.querying import opened

    if not re.fullmatch(r"[\w ,()[\]]+", step.type):
        raise ValueError(f"{step.type!r} is not the name of a type")
    with opened(pa.table({"value": column}), numbered=True) as connection:
        import duckdb

        text = f'SELECT TRY_CAST(value AS {step.type}) AS value FROM frame ORDER BY "quality row number"'  # noqa: S608
        try:
            return connection.sql(text).to_arrow_table().column(0)
        except duckdb.Error as error:
            raise ValueError(f"{step.column} cannot be cast: {str(error).partition(chr(10))[0]}") from error


def _deduplicate(table: pyarrow.Table, step: Deduplicate) -> tuple[pyarrow.Table, int]:
    import numpy as np
    import pyarrow as pa

    # The zero without a sign: a key is the same with one.
    plain = {name: _compute().add(table[name], 0.0) for name in step.key if pa.types.is_floating(table[name].type)}
    columns = [plain.get(name, _decoded(table[name])) for name in step.key]
    key = pa.table(columns, list(step.key)).append_column("\0row", pa.array(np.arange(table.num_rows)))
    side = "min" if step.keep == "first" else "max"
    kept = key.group_by(list(step.key)).aggregate([("\0row", side)])[f"\0row_{side}"]
    places = np.sort(kept.to_numpy())
    return table.take(pa.array(places)), table.num_rows - len(places)
