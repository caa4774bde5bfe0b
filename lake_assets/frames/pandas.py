"""pandas frames to Arrow tables in the types that are stored, and back.

What a reader gets is one rule, whatever the data: each column is a `pandas.ArrowDtype` of the type that is stored. So
integers stay integers beside nulls, a null is no NaN, and dates and timestamps reach from year 1 to 9999.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from lake_assets.frames.arrow import conform, refuse_beyond_calendar
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated, stored_schema

if TYPE_CHECKING:
    import pandas
    import pyarrow

_BELOW_MICROSECOND = "times below the microsecond"


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
    stored = conform(table, stored_schema(table.schema))
    refuse_beyond_calendar(stored)
    return stored


def to_pandas(table: pyarrow.Table) -> pandas.DataFrame:
    """Return rows as a frame whose columns are of Arrow's own types."""
    import pandas

    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def _with_index(frame: pandas.DataFrame) -> pandas.DataFrame:
    import pandas

    given = list(frame.index.names)
    # An empty frame may have an index of objects that nobody gave it.
    numbers = pandas.api.types.is_integer_dtype(frame.index.dtype)
    if given == [None] and (numbers or (not len(frame) and frame.index.dtype == object)):
        if len(frame) and not len(frame.columns):
            raise RefusedColumn("a frame has rows and no column: give it one, or name its index")
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
        if not _is_unicode(label):
            raise RefusedColumn(f"column {label!r} has a lone surrogate in its name, which is no text: rename it")
        return label
    if isinstance(label, int):
        return str(label)
    raise RefusedColumn(f"column {label!r} is named by a {type(label).__name__}: name it by a text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    """Refuse objects that Arrow makes others of in silence: a text becomes bytes, a time its day, a nanosecond nothing.

    A column of objects has no type of its own: it takes that of its values, those in lists and dicts, too.
    """
    for kinds in _kinds_of(column[column.notna()]):
        if _BELOW_MICROSECOND in kinds:
            raise RefusedColumn(f"column {name!r} has values below the microsecond: round them, such as by `.floor`")
        if len(kinds) > 1:
            raise RefusedColumn(
                f"column {name!r} holds values of several types ({', '.join(sorted(kinds))}): cast it to one"
            )


def _kinds_of(values: Iterable[Any]) -> Iterator[set[str]]:
    """Yield the kinds of values, then of what lists and dicts hold, all that stand at one place together."""
    import numpy

    values = list(values)
    types = set(map(type, values))
    kinds = set(map(_kind, types))
    if "datetime" in kinds:
        kinds.remove("datetime")
        kinds |= {_kind_of_time(value) for value in values if isinstance(value, datetime)}
    yield kinds
    if not kinds & {"dict", "list"}:
        return
    items: list[Any] = []
    fields: dict[Any, list[Any]] = {}
    for value in values:
        if isinstance(value, dict):
            for key, item in value.items():
                fields.setdefault(key, []).append(item)
        elif isinstance(value, numpy.ndarray):
            # Of NumPy's own types one value tells of all.
            items.extend(value if value.dtype == object or value.ndim > 1 else value[:1])
        elif isinstance(value, (list, tuple, set, frozenset)):
            items.extend(value)
    for inner in (items, *fields.values()):
        yield from _kinds_of(value for value in inner if not _is_null(value))


def _kind(one: type) -> str:
    return next((kind for kind, bases in _kinds().items() if issubclass(one, bases)), one.__name__)


@cache
def _kinds() -> dict[str, tuple[type, ...]]:
    import numpy

    return {
        "bool": (bool, numpy.bool_),
        "int": (int, numpy.integer),
        "float": (float, numpy.floating),
        "str": (str,),
        "bytes": (bytes,),
        "dict": (dict,),
        "list": (list, tuple, set, frozenset, numpy.ndarray),
        "datetime": (datetime,),
    }


def _kind_of_time(value: datetime) -> str:
    if getattr(value, "nanosecond", 0):
        return _BELOW_MICROSECOND
    return "times of a zone" if value.tzinfo else "times of none"


def _is_null(value: Any) -> bool:
    import pandas

    return value is None or value is pandas.NA or value is pandas.NaT or (isinstance(value, float) and value != value)
