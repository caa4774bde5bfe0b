"""Converts pandas frames to Arrow tables in the stored types, and back.

Every column that is read is a `pandas.ArrowDtype` of the stored type. So integers stay integers even if the column has
nulls, null differs from NaN, and dates and timestamps may be from the year 1 to 9999.
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
        """Return the rows of a frame. A named index becomes columns.

        Parameters
        ----------
        frame
            The frame.
        """
        return TableRows(to_arrow(frame))

    def from_rows(self, rows: Rows) -> pandas.DataFrame:
        """Return rows as a frame whose columns have Arrow types.

        Parameters
        ----------
        rows
            The rows.
        """
        return to_pandas(rows.table())

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> pandas.DataFrame:
        """Return a frame without rows. Its columns take the types of the rows that are added to it.

        Parameters
        ----------
        columns
            Column name to type name in the asset's definition.
        session
            Starts the Spark session, for a library that needs it.
        """
        import pandas

        del session
        return pandas.DataFrame({name: pandas.Series(dtype=object) for name in columns})


def to_arrow(frame: pandas.DataFrame) -> pyarrow.Table:
    """Return the rows of a frame in the stored types.

    A named index is stored as columns. An index without a name is stored under the name that pandas' ``reset_index``
    gives it. An integer index without a name only numbers the rows, so it is not stored. In a NumPy column, NaN means
    null in pandas, so it is stored as null.

    Parameters
    ----------
    frame
        The frame.

    Raises
    ------
    RefusedColumn
        A column has no stored type, or a value does not fit its stored type, or two columns have the same name.
    """
    import pyarrow as pa

    frame = _with_index(frame)
    names = [_name(label) for label in frame.columns]
    refuse_repeated(names)
    arrays = [_array(name, frame.iloc[:, at]) for at, name in enumerate(names)]
    return stored_rows(pa.Table.from_arrays(arrays, names)).table()


def to_pandas(table: pyarrow.Table) -> pandas.DataFrame:
    """Return rows as a frame whose columns have Arrow types.

    Parameters
    ----------
    table
        The rows.
    """
    import pandas

    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def _with_index(frame: pandas.DataFrame) -> pandas.DataFrame:
    import pandas

    given = list(frame.index.names)
    # The default index of an empty frame may have the dtype object.
    numbers = pandas.api.types.is_integer_dtype(frame.index.dtype)
    if given == [None] and (numbers or (not len(frame) and frame.index.dtype == object)):
        if len(frame) and not len(frame.columns):
            raise RefusedColumn("a frame has rows but no column: add a column, or name its index")
        return frame
    names = [f"level_{at}" if name is None else name for at, name in enumerate(given)] if given != [None] else ["index"]
    for name in names:
        if name in frame.columns:
            raise RefusedColumn(
                f"column {name!r} is also the name of an index: `.reset_index(drop=True)` drops the index, "
                "`.rename_axis(...)` gives it another name"
            )
    return frame.reset_index(names=names)


def _name(label: Hashable) -> str:
    if isinstance(label, str):
        if not _is_unicode(label):
            raise RefusedColumn(f"column {label!r} has a lone surrogate in its name, which is not Unicode: rename it")
        return label
    if isinstance(label, int):
        return str(label)
    raise RefusedColumn(f"column {label!r} has a {type(label).__name__} as its name: use a text")


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
    """Refuse objects that Arrow would change silently: texts to bytes, times to days, nanoseconds dropped.

    The type of an object column follows from its values, including those in lists and dicts.
    """
    for kinds in _kinds_of(column[column.notna()]):
        if _BELOW_MICROSECOND in kinds:
            raise RefusedColumn(f"column {name!r} has values below the microsecond: round them, such as by `.floor`")
        if len(kinds) > 1:
            raise RefusedColumn(
                f"column {name!r} holds values of several types ({', '.join(sorted(kinds))}): cast it to one"
            )


def _kinds_of(values: Iterable[Any]) -> Iterator[set[str]]:
    """Yield the set of kinds of some values, then a set for the items of lists and for each key of dicts."""
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
            # All values of a typed NumPy array have the type of the first one.
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
    return "times with a zone" if value.tzinfo else "times without a zone"


def _is_null(value: Any) -> bool:
    import pandas

    return value is None or value is pandas.NA or value is pandas.NaT or (isinstance(value, float) and value != value)
