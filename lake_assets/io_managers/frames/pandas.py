"""pandas frames to Arrow tables in the types that are stored, and back.

What a reader gets is one rule, whatever the data: each column is a `pandas.ArrowDtype` of the type that is stored. So
integers stay integers beside nulls, a null is no NaN, and dates and timestamps reach from year 1 to 9999.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import TYPE_CHECKING

from lake_assets.io_managers.frames.arrow import conform
from lake_assets.io_managers.frames.stored_types import RefusedColumn, refuse_repeated, stored_schema

if TYPE_CHECKING:
    import pandas
    import pyarrow


def to_arrow(frame: pandas.DataFrame) -> pyarrow.Table:
    """Return a frame's rows in the types that are stored.

    A named index is stored as columns, and one without a name as pandas' ``reset_index`` calls it, unless it holds
    integers: those number the rows, and are no data. NaN in a column of NumPy is how pandas says null, and is one.

    Raises
    ------
    RefusedColumn
        A column has no type that is stored, or a value that the type does not hold; or its name stands twice.
    """
    import pyarrow as pa

    frame = _with_index(frame)
    names = [_name(label) for label in frame.columns]
    refuse_repeated(names)
    arrays = [_array(name, frame.iloc[:, at]) for at, name in enumerate(names)]
    table = pa.Table.from_arrays(arrays, names)
    return conform(table, stored_schema(table.schema))


def to_pandas(table: pyarrow.Table) -> pandas.DataFrame:
    """Return rows as a frame whose columns are of Arrow's own types."""
    import pandas

    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def _with_index(frame: pandas.DataFrame) -> pandas.DataFrame:
    import pandas

    given = list(frame.index.names)
    # An empty frame has an index of objects.
    if given == [None] and (pandas.api.types.is_integer_dtype(frame.index.dtype) or frame.empty):
        return frame
    names = [f"level_{at}" if name is None else name for at, name in enumerate(given)] if given != [None] else ["index"]
    for name in names:
        if name in frame.columns:
            raise RefusedColumn(
                f"column {name!r} is the name of an index, too: `.reset_index(drop=True)` drops the index, "
                "`.rename_axis(...)` gives it another name"
            )
    return frame.reset_index(names=names)


def _name(label: Hashable) -> str:
    if isinstance(label, str):
        return label
    if isinstance(label, int):
        return str(label)
    raise RefusedColumn(f"column {label!r} is named by a {type(label).__name__}: name it by a text")


def _array(name: str, column: pandas.Series) -> pyarrow.Array | pyarrow.ChunkedArray:
    import pandas
    import pyarrow as pa

    if isinstance(column.dtype, pandas.SparseDtype):
        column = column.sparse.to_dense()
    if column.dtype == object:
        _refuse_mixed(name, column)
    try:
        array = pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise RefusedColumn(
            f"column {name!r} has values that have no common type: cast it to one ({str(error).partition(chr(10))[0]})"
        ) from error
    if isinstance(array.type, pa.BaseExtensionType):
        raise RefusedColumn(f"column {name!r} is of pandas' type {column.dtype}: store it as text or as numbers")
    return array


def _refuse_mixed(name: str, column: pandas.Series) -> None:
    """Refuse objects of several kinds, which Arrow makes one of in silence: a text becomes bytes, a time its day.

    A column of objects has no type of its own: it takes that of its values.
    """
    present = column[column.notna()]
    found = set(map(type, present))
    kinds = {next((base.__name__ for base in _KINDS if issubclass(one, base)), one.__name__) for one in found}
    kinds = {"list" if kind in ("tuple", "ndarray") else kind for kind in kinds}
    if any(issubclass(one, datetime) for one in found):
        kinds |= {
            "times of a zone" if value.tzinfo else "times of none" for value in present if hasattr(value, "tzinfo")
        }
        kinds.discard("datetime")
    if len(kinds) > 1:
        raise RefusedColumn(
            f"column {name!r} holds values of several types ({', '.join(sorted(kinds))}): cast it to one"
        )


_KINDS = (bool, int, float, str, bytes, dict, list, datetime)
