"""What is kept of a frame while its rows pass by once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.quality.column_state import ColumnState, kind_of
from lake_assets.quality.correlation_state import ROWS as PAIR_ROWS
from lake_assets.quality.correlation_state import CorrelationState
from lake_assets.quality.counting import ROWS

if TYPE_CHECKING:
    import pyarrow


@dataclass(slots=True)
class FrameState:
    """The state of a frame.

    Parameters
    ----------
    columns
        The state of each column.
    correlation
        The state of the pairs of columns of numbers.
    rows
        The number of rows.
    size
        Their size in Arrow's memory, in bytes.
    parts
        The number of rows of each named part, such as a partition.
    """

    columns: list[ColumnState]
    correlation: CorrelationState
    rows: int
    size: int
    parts: dict[str, int]

    @classmethod
    def of_schema(cls, schema: pyarrow.Schema, personal: Collection[str] = ()) -> FrameState:
        """Return the state of no rows.

        Parameters
        ----------
        schema
            The columns.
        personal
            Names of columns of which no value is kept. Case is ignored.
        """
        hidden = {name.casefold() for name in personal}
        columns = [ColumnState(name, plain(kind), name.casefold() in hidden) for name, kind in _fields(schema)]
        numbers = [
            column.name
            for column in columns
            if column.kind in ("integer", "float", "decimal", "boolean") and not column.personal
        ]
        return cls(columns, CorrelationState.empty(numbers), 0, 0, {})

    def add(self, rows: pyarrow.Table | pyarrow.RecordBatch, pool: ThreadPoolExecutor) -> None:
        """Add rows.

        Parameters
        ----------
        rows
            The rows.
        pool
            Works on several columns at a time.
        """
        import pyarrow as pa

        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self.rows += table.num_rows
        self.size += sum(map(_size, table.columns))
        wanted = [(column.name, column.type) for column in self.columns]
        if [field.name for field in table.schema] != [name for name, _ in wanted]:
            raise ValueError(f"the rows have the columns {table.column_names}, not {[name for name, _ in wanted]}")
        columns = [_plain_column(table.column(at), kind) for at, (_, kind) in enumerate(wanted)]
        whole = pa.Table.from_arrays(columns, [name for name, _ in wanted])
        list(pool.map(self._work, [(whole, at) for at in range(-1, len(self.columns))]))

    def _work(self, task: tuple[pyarrow.Table, int]) -> None:
        table, at = task
        if at < 0:
            names = self.correlation.names
            for batch in table.select(names).to_batches(max_chunksize=PAIR_ROWS) if names else ():
                self.correlation.add(batch)
            return
        self.columns[at].add(table.column(at))

    @classmethod
    def merged(cls, states: Sequence[FrameState]) -> FrameState:
        """Return the state of the rows of several parts. The parts are left as they are.

        Parameters
        ----------
        states
            The states of the parts, at least one.

        Raises
        ------
        ValueError
            They have different columns.
        """
        first = states[0]
        described = [(column.name, column.type, column.personal) for column in first.columns]
        for state in states[1:]:
            other = [(column.name, column.type, column.personal) for column in state.columns]
            if other != described:
                differ = sorted({str(one[:2]) for one in {*map(_shown, described)} ^ {*map(_shown, other)}})
                raise ValueError(f"profiles of different columns do not merge: {', '.join(differ) or 'their order'}")
        columns = [ColumnState(name, kind, personal) for name, kind, personal in described]
        for at, column in enumerate(columns):
            column.merge([state.columns[at] for state in states])
        correlation = CorrelationState.empty(first.correlation.names)
        parts: dict[str, int] = {}
        for state in states:
            correlation.merge(state.correlation)
            for name, rows in state.parts.items():
                parts[name] = parts.get(name, 0) + rows
        return cls(
            columns, correlation, sum(state.rows for state in states), sum(state.size for state in states), parts
        )


def _shown(column: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(map(str, column))


def _fields(schema: pyarrow.Schema) -> list[tuple[str, pyarrow.DataType]]:
    names = schema.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"several columns have the name {repeated[0]!r}: rename them")
    return [(field.name, field.type) for field in schema]


def plain(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type of the values of a variant of Arrow's types, such as dictionaries and large texts.

    Parameters
    ----------
    kind
        The type.
    """
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(kind):
        return plain(kind.value_type)
    if types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_decimal32(kind) or types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def _size(column: pyarrow.ChunkedArray) -> int:
    """Return the size of a column; of a dictionary that of its places, since parts may share its values."""
    return sum(getattr(chunk, "indices", chunk).nbytes for chunk in column.chunks)


def _plain_column(column: pyarrow.ChunkedArray, kind: pyarrow.DataType) -> pyarrow.ChunkedArray:
    """Return a column in one piece, with the type of its state. Dictionaries of texts are left."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_dictionary(column.type) and kind_of(kind) == "text":
        return column
    if column.type != kind:
        # In parts, since texts of more than 2 GiB have no place in one array of the usual type.
        chunks: list[Any] = [chunk.slice(at, ROWS) for chunk in column.chunks for at in range(0, len(chunk), ROWS)]
        if pa.types.is_run_end_encoded(column.type):
            chunks = [compute.call_function("run_end_decode", [chunk]) for chunk in chunks]
        column = pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
    if column.num_chunks < 2 or column.nbytes > 1 << 30:
        return column
    return pa.chunked_array([column.combine_chunks()])
