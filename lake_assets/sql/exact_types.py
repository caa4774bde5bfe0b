"""Types of DuckDB that Arrow has not, or not exactly: a result has their values as texts.

Arrow has no zone of a time, and Python no nanoseconds of it. Bits and large numbers would come as DuckDB's own bytes,
or as negative ones, and Parquet has no intervals of months, days and nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_INEXACT = frozenset(("time_ns", "time with time zone", "bit", "bignum", "uhugeint", "interval", "variant"))
_NESTED = frozenset(("list", "array", "struct", "map", "union"))


def exact_query(run: str, types: Sequence[Any]) -> str | None:
    """Return a query of the same rows whose columns of such types are texts; None if there are none.

    Parameters
    ----------
    run
        The query.
    types
        DuckDB's types of its columns.
    """
    names = [f"c{at}" for at in range(len(types))]
    texts = [name for name, kind in zip(names, types, strict=True) if _is_inexact(kind)]
    if not texts:
        return None
    casts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in texts)
    return f"SELECT * REPLACE ({casts}) FROM ({run}) AS t({', '.join(names)})"  # noqa: S608


def _is_inexact(kind: Any) -> bool:
    if kind.id in _NESTED:
        # An array's size stands beside its type.
        return any(_is_inexact(child) for _, child in kind.children if hasattr(child, "id"))
    return kind.id in _INEXACT
