"""pandas frames to Arrow tables in the types that are stored, and back.

What a reader gets is one rule, whatever the data: each column is a `pandas.ArrowDtype` of the type that is stored. So
integers stay integers beside nulls, a null differs from NaN, and dates and timestamps reach from year 1 to 9999.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from lake_assets.frames.conform import stored_rows
from lake_assets.frames.contract import ArrowLibrary, OpenSession
from lake_assets.frames.rows import Rows, TableRows
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated

if TYPE_CHECKING:
    import pandas
    import pyarrow

_BELOW_MICROSECOND = "times below the microsecond"


class PandasFrames(ArrowLibrary):
    """Frames of the class `pandas.DataFrame`."""

    module, class_name = "pandas", "DataFrame"

    def rows(self, frame: pandas.DataFrame) -> Rows:
        """Return the rows of a frame, and its index where it has a name."""
        return TableRows(to_arrow(frame))

    def from_rows(self, rows: Rows) -> pandas.DataFrame:
        """Return rows as a frame whose columns are of Arrow's own types."""
        return to_pandas(rows.table())

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> pandas.DataFrame:
        """Return a frame without rows: its columns become of the type of what is added to them."""
        import pandas

        del session
        return pandas.DataFrame({name: pandas.Series(dtype=object) for name in columns})


def to_arrow(frame: pandas.DataFrame) -> pyarrow.Table:
    """Return a frame's rows in the types that are stored.

    A named index is stored as columns. An index without a name is stored as pandas' ``reset_index`` calls it; one of
    integers only numbers the rows, and is left out. In a column of NumPy, NaN is how pandas writes null: it is stored
    as null.

    Raises
    ------
    RefusedColumn
        A column has no type that is stored, or a value that the type does not hold; or two columns have the same name.
    """
    import pyarrow as pa

    frame = _with_index(frame)
    names = [_name(label) for label in frame.columns]
    refuse_repeated(names)
    arrays = [_array(name, frame.iloc[:, at]) for at, name in enumerate(names)]
    return stored_rows(pa.Table.from_arrays(arrays, names)).table()


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
    """Refuse objects that Arrow converts silently: a text to bytes, a time to its day, nanoseconds to nothing.

    A column of objects takes the type of its values, including those in lists and dicts.
    """
    for kinds in _kinds_of(column[column.notna()]):
        if _BELOW_MICROSECOND in kinds:
            raise RefusedColumn(f"column {name!r} has values below the microsecond: round them, such as by `.floor`")
        if len(kinds) > 1:
            raise RefusedColumn(
                f"column {name!r} holds values of several types ({', '.join(sorted(kinds))}): cast it to one"
            )


def _kinds_of(values: Iterable[Any]) -> Iterator[set[str]]:
    """Yield the kinds of values, then the kinds of what lists and dicts hold, one set a place."""
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
            # In an array of NumPy all values have the type of the first.
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
