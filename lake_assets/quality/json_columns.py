"""Columns of JSON lines. A column that has no type of its own holds its values as JSON text.

The metadata of the schema name these columns, so that later values become JSON text too. The files keep them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.frames.stored_types import OWN_METADATA
from lake_assets.quality.json_faults import judge_of, judge_of_objects

if TYPE_CHECKING:
    import pyarrow

_TEXTS = OWN_METADATA + b"json"
_DEEPEST = 20
"""A value that is nested deeper becomes JSON text. Parquet's readers refuse 50."""


def inferred(records: Sequence[dict[str, Any]]) -> pyarrow.Schema:
    """Return the columns of records, each with the type that all of its values have.

    A column of several types, of nulls or empty lists alone, or with objects without names becomes JSON text.

    Parameters
    ----------
    records
        The records.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for record in records for name in record)
    kinds = {name: _kind([record.get(name) for record in records]) for name in names}
    texts = [name for name, kind in kinds.items() if kind is None]
    return pa.schema(
        [(name, kind or pa.string()) for name, kind in kinds.items()],
        {_TEXTS: json.dumps(texts).encode()} if texts else None,
    )


def table(records: Sequence[dict[str, Any]], schema: pyarrow.Schema) -> pyarrow.Table:
    """Return records as a table.

    Parameters
    ----------
    records
        The records, of which the columns hold all.
    schema
        The columns.
    """
    import pyarrow as pa

    texts = json_texts(schema)
    columns: list[Any] = []
    for field in schema:
        values = [record.get(field.name) for record in records]
        if field.name in texts:
            values = [None if value is None else json.dumps(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def faults_by(schema: pyarrow.Schema) -> Callable[[dict[str, Any]], list[str]]:
    """Return the function that finds what columns do not hold of a record.

    Parameters
    ----------
    schema
        The columns.
    """
    texts = json_texts(schema)
    judge = judge_of_objects(
        {field.name: _anything if field.name in texts else judge_of(field.type) for field in schema}
    )
    return lambda record: list(dict.fromkeys(fault.removeprefix(".") for fault in judge(record)))


def json_texts(schema: pyarrow.Schema) -> Collection[str]:
    """Return the names of the columns that hold JSON text.

    Parameters
    ----------
    schema
        The columns.
    """
    return frozenset(json.loads((schema.metadata or {}).get(_TEXTS, b"[]")))


def _anything(value: Any) -> Sequence[str]:
    del value
    return ()


def _kind(values: Sequence[Any]) -> pyarrow.DataType | None:
    """Return the type that all values have; None if there is none."""
    import pyarrow as pa

    try:
        kind = pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    judge = judge_of(kind)
    if not _is_storable(kind) or any(map(judge, values)):
        return None
    return kind


def _is_storable(kind: pyarrow.DataType, depth: int = 0) -> bool:
    """Tell whether values of a type are stored as they are, and later ones fit.

    Parquet has no objects without names, and its readers bound the depth. No value fits the type of nulls alone.
    """
    from pyarrow import types

    inner = [kind.field(at).type for at in range(kind.num_fields)]
    if depth > _DEEPEST or types.is_null(kind) or (types.is_struct(kind) and not inner):
        return False
    return all(_is_storable(one, depth + 1) for one in inner)
