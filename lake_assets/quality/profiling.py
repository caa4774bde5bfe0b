"""Profiles of frames of every library, and of files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lake_assets.frames.registry import library_of_value, supported
from lake_assets.quality.files import file_batches
from lake_assets.quality.frame_state import FrameState
from lake_assets.quality.profile import Profile

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

_BLOCK_BYTES, _BLOCK_ROWS = 64 << 20, 1 << 20


def profile(data: Any, *, personal: Collection[str] = ()) -> Profile:
    """Return the profile of a frame, in one pass over all of its rows.

    Parameters
    ----------
    data
        A frame of pandas, Polars, or PySpark; a table, record batch or stream of PyArrow.
    personal
        Names of columns of which no value is kept, only counts and lengths. Case is ignored.

    Raises
    ------
    TypeError
        It is no frame.

    Examples
    --------
    >>> profile(frame).columns["StartPrice"].mean
    71.3
    """
    import pyarrow as pa

    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return profile_batches(data.schema, [data], personal)
    if isinstance(data, pa.RecordBatchReader):
        return profile_batches(data.schema, data, personal)
    library = library_of_value(data)
    if library is None:
        raise TypeError(f"a {type(data).__name__} has no profile: it must be {supported()}")
    if library.module.startswith("pyspark"):
        from lake_assets.quality.spark import profile_spark

        return profile_spark(data.to_spark() if library.module == "pyspark.pandas" else data, personal)
    rows = library.rows(data)
    return profile_batches(rows.schema, rows.tables(), personal)


def profile_files(
    filesystem: FileSystem,
    paths: Iterable[str],
    *,
    personal: Collection[str] = (),
    key: str = "",
    names: Sequence[str] = (),
) -> Profile:
    """Return the profile of files, which all have the same columns.

    Parameters
    ----------
    filesystem
        File system of the files.
    paths
        Paths of the files. Their endings tell their formats: ``.parquet``, ``.orc``, ``.csv``, ``.json``, ``.jsonl``
        or ``.ndjson``, the texts also with ``.gz``.
    personal
        Names of columns of which no value is kept.
    key
        If given, the rows are counted as those of a part of this name.
    names
        What the files are called in errors. By default they are called by their paths.

    Raises
    ------
    ValueError
        There is no file, or one of another format, with other columns, or that cannot be read. The error names it.
    """
    schema, batches = file_batches(filesystem, list(paths), dictionaries=True, names=names)
    found = profile_batches(schema, batches, personal)
    return found.named(key) if key else found


def profile_batches(
    schema: pyarrow.Schema, batches: Iterable[pyarrow.Table | pyarrow.RecordBatch], personal: Collection[str] = ()
) -> Profile:
    """Return the profile of a stream of rows.

    Parameters
    ----------
    schema
        The columns of all rows.
    batches
        The rows.
    personal
        Names of columns of which no value is kept.
    """
    from threadpoolctl import threadpool_limits

    state = FrameState.of_schema(schema, personal)
    # The threads of BLAS would wait for the pool's, and take 20 times the processor time.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for table in _blocks(batches):
            state.add(table, pool)
    return Profile(state)


def _blocks(batches: Iterable[pyarrow.Table | pyarrow.RecordBatch]) -> Iterator[pyarrow.Table]:
    """Join small batches, and part large tables: a block is worked on at once."""
    import pyarrow as pa

    block: list[pa.Table] = []
    size = rows = 0
    for batch in batches:
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        if block and block[0].schema != table.schema:  # Only some files have dictionaries.
            yield pa.concat_tables(block)
            block, size, rows = [], 0, 0
        wide = max(1, table.nbytes // max(1, table.num_rows))
        step = min(_BLOCK_ROWS, max(1, _BLOCK_BYTES // wide))
        for start in range(0, table.num_rows, step):
            part = table.slice(start, step)
            block.append(part)
            size, rows = size + part.num_rows * wide, rows + part.num_rows
            if size >= _BLOCK_BYTES or rows >= _BLOCK_ROWS:
                yield pa.concat_tables(block)
                block, size, rows = [], 0, 0
    if block:
        yield pa.concat_tables(block)
