"""The samples of a metric: their columns, and the files of days that they are kept in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from lake_assets.lake.rows import sql_name

if TYPE_CHECKING:
    import pyarrow

pc: Any = pyarrow.compute
TIME = "time"
"""Name of the column with the time of a sample, in UTC."""


FUNCTIONS = ("count", "min", "max", "sum", "avg", "stddev", "stdvar", "rate", "first", "last")
"""The sums of an interval."""
RESERVED = {TIME, "field", *FUNCTIONS, "first_time", "last_time"}
"""The other columns of the sums than labels."""


class SeriesError(ValueError):
    """Samples or a query do not fit a metric. The message names the column and the remedy."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The columns of a metric's samples.

    Parameters
    ----------
    labels
        Columns of texts. With the time, they are the key of a sample.
    fields
        Columns of numbers.
    """

    labels: Sequence[str]
    fields: Sequence[str]

    def __post_init__(self) -> None:
        # DuckDB's names ignore case.
        names = [name.lower() for name in (*self.labels, *self.fields, TIME)]
        for label in self.labels:
            if label.lower() in RESERVED:
                raise SeriesError(f"a label cannot be named {label!r}: the sums have a column of this name")
        if not self.fields:
            raise SeriesError("a metric has at least one field, a column of numbers")
        if len(set(names)) < len(names):
            raise SeriesError(f"the columns {', '.join(names)} are not of different names")

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the samples."""
        return pa.schema(
            [
                *((label, pa.string()) for label in self.labels),
                (TIME, pa.timestamp("us", "UTC")),
                *((field, pa.float64()) for field in self.fields),
            ]
        )

    @classmethod
    def of(cls, schema: pyarrow.Schema) -> Metric:
        """Return the metric of stored samples: texts are labels, and numbers are fields.

        Parameters
        ----------
        schema
            The columns of a file.

        Raises
        ------
        SeriesError
            They are not those of samples.
        """
        labels = [field.name for field in schema if pa.types.is_string(field.type)]
        fields = [field.name for field in schema if pa.types.is_floating(field.type)]
        if cls(labels, fields).schema.names != schema.names:
            raise SeriesError(f"the columns {', '.join(schema.names)} are no samples: labels, {TIME} and numbers")
        return cls(labels, fields)

    def conformed(self, samples: pyarrow.Table) -> pyarrow.Table:
        """Return samples in the columns of the metric. A value that is NaN becomes null.

        Parameters
        ----------
        samples
            The samples, in any order of columns.

        Raises
        ------
        SeriesError
            A column is missing or of another kind, or a label or time is null.
        """
        missing = [name for name in self.schema.names if name not in samples.column_names]
        if missing:
            raise SeriesError(f"samples lack the column(s) {', '.join(missing)}")
        try:
            found = samples.select(self.schema.names).cast(self.schema)
        except pa.ArrowException as error:
            raise SeriesError(f"samples do not fit the metric: {' '.join(str(error).split())}") from error
        for field in self.fields:
            # NaN is no value: it would not even equal itself.
            values = found.column(field)
            index = found.schema.get_field_index(field)
            found = found.set_column(index, found.schema.field(index), pc.if_else(pc.is_nan(values), None, values))
        for name in (*self.labels, TIME):
            if found.column(name).null_count:
                raise SeriesError(f"{found.column(name).null_count} sample(s) have no {name}: a key is never null")
        return found

    @property
    def key(self) -> list[str]:
        """The columns that are unique together."""
        return [*self.labels, TIME]

    @property
    def order(self) -> str:
        """The order of samples in a file, in SQL."""
        return ", ".join(map(sql_name, self.key))


def without(
    stored: pyarrow.Table, start: datetime, end: datetime, labels: Mapping[str, Sequence[str]]
) -> pyarrow.Table:
    """Return samples without those of a time range.

    Parameters
    ----------
    stored
        The samples.
    start, end
        The range, from the first until before the second.
    labels
        Remove only the samples with these values of labels.
    """
    return stored.filter(pc.invert(matching(stored, start, end, labels)))


def matching(
    samples: pyarrow.Table, start: datetime, end: datetime, labels: Mapping[str, Sequence[str]]
) -> pyarrow.ChunkedArray:
    """Tell for each sample whether it is in a time range and has these labels.

    Parameters
    ----------
    samples
        The samples.
    start, end
        The range, from the first until before the second.
    labels
        Label to its wanted values.
    """
    time, kind = samples.column(TIME), pa.timestamp("us", "UTC")
    found = pc.and_(pc.greater_equal(time, pa.scalar(start, kind)), pc.less(time, pa.scalar(end, kind)))
    for label, values in labels.items():
        if label not in samples.column_names or not pa.types.is_string(samples.schema.field(label).type):
            raise SeriesError(f"there is no label {label!r}, but {', '.join(samples.column_names)}")
        found = pc.and_(found, pc.is_in(samples.column(label), value_set=pa.array(values, pa.string())))
    return found


def by_day(samples: pyarrow.Table) -> Iterator[tuple[str, pyarrow.Table]]:
    """Yield each day of samples, in UTC, with its samples in their order.

    Parameters
    ----------
    samples
        The samples.
    """
    days = pc.strftime(samples.column(TIME), format="%Y-%m-%d")
    for day in sorted(pc.unique(days).to_pylist()):
        yield day, samples.filter(pc.equal(days, day))
