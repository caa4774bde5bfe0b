"""Sorted runs: an external merge sort of encoded items, in bounded memory.

The encoder (Spark's workers, or this process for pandas) writes runs of some hundred thousand items, each sorted by
key, as Arrow streams into a spool folder. The write transaction merges them. So the table is filled in key order, which
is several times faster than in random order. Duplicate keys are adjacent, and a transaction can be repeated.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from lake_assets.lake.permissions import sharing_near

pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them

Item = tuple[bytes, bytes]

RUN_BYTES = 32 << 20
"""Maximal size of a run in encoded bytes."""

_BATCH_BYTES, _BATCH_ROWS = 512 << 10, 2048
_LARGE_BYTES, _LARGE_ROWS = 8 << 20, 16_384
_FAN_IN = 64
_SCHEMA = pa.schema([pa.field("key", pa.binary()), pa.field("row", pa.binary())])
_key_of, _row_of = itemgetter(0), itemgetter(1)


@contextmanager
def spool(folder: Path) -> Generator[Path, None, None]:
    """Yield a new folder for runs below ``folder``. It is removed at the end.

    A running writer holds the lock of its folder. Folders of killed writers are removed here as well. The lock of
    ``folder`` makes creating and locking a new folder one step.
    """
    sharing = sharing_near(folder)
    sharing.make_folder(folder)
    mine = folder / uuid.uuid4().hex
    with ExitStack() as stack:
        with ExitStack() as birth:
            birth.enter_context(_locked(folder))
            for other in folder.iterdir():
                _remove_if_dead(other)
            sharing.make_folder(mine)
            stack.callback(shutil.rmtree, mine, ignore_errors=True)
            stack.enter_context(_locked(mine))
        yield mine


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Generator[None, None, None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _remove_if_dead(folder: Path) -> None:
    try:
        with _locked(folder, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        return


def write_run(folder: Path, keys: pa.Array, rows: pa.Array) -> str:
    """Sort items by key, write them as one run into ``folder``, and return its name."""
    order = pc.sort_indices(keys)
    batch = pa.record_batch([keys.take(order), rows.take(order)], schema=_SCHEMA)
    size = max(1, min(_BATCH_ROWS, _BATCH_BYTES * len(keys) // max(1, batch.nbytes)))
    name = uuid.uuid4().hex
    with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as stream:
        for at in range(0, len(keys), size):
            stream.write_batch(batch.slice(at, size))
    return name


def write_runs(folder: Path, encoded: Iterable[tuple[pa.Array, pa.Array]]) -> Iterator[str]:
    """Write batches of keys and rows as runs of about :data:`RUN_BYTES`, and yield the names of the runs."""
    keys: list[pa.Array] = []
    rows: list[pa.Array] = []
    size = 0
    for batch_keys, batch_rows in encoded:
        if not len(batch_keys):
            continue
        keys.append(batch_keys)
        rows.append(batch_rows)
        size += batch_keys.nbytes + batch_rows.nbytes
        if size >= RUN_BYTES:
            yield write_run(folder, pa.concat_arrays(keys), pa.concat_arrays(rows))
            keys, rows, size = [], [], 0
    if keys:
        yield write_run(folder, pa.concat_arrays(keys), pa.concat_arrays(rows))


class _Reader:
    """Reads one run batch by batch. ``items`` is the rest of the current batch, and empty only at the end."""

    def __init__(self, path: Path) -> None:
        self._source = pa.OSFile(str(path), "rb")
        self._batches = iter(pa.ipc.open_stream(self._source))
        self.items: list[Item] = []
        self.advance()

    def advance(self) -> None:
        batch = next(self._batches, None)
        if batch is not None:
            self.items = list(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))

    def take_until(self, key: bytes) -> list[Item]:
        """Remove and return the current items with a key up to ``key``."""
        count = bisect_right(self.items, key, key=_key_of)
        taken, self.items = self.items[:count], self.items[count:]
        if not self.items:
            self.advance()
        return taken

    def close(self) -> None:
        self._source.close()


def merge(folder: Path, runs: Sequence[str]) -> Iterator[list[Item]]:
    """Yield the items of all runs in key order, in blocks. Equal keys are adjacent.

    At most 64 runs are open at once. More runs are first merged into longer ones.

    Parameters
    ----------
    folder
        The folder of the runs.
    runs
        Names of the runs.
    """
    runs = list(runs)
    while len(runs) > _FAN_IN:
        first, runs = runs[:_FAN_IN], runs[_FAN_IN:]
        runs.append(_merge_into_one(folder, first))
    readers: list[_Reader] = []
    try:
        readers.extend(_Reader(folder / name) for name in runs)
        while live := [reader for reader in readers if reader.items]:
            # Up to the smallest of the batches' last keys, the order is final.
            bound = min(reader.items[-1][0] for reader in live)
            block: list[Item] = []
            for reader in live:
                block += reader.take_until(bound)
            if len(live) > 1:
                block.sort(key=_key_of)
            yield block
    finally:
        for reader in readers:
            reader.close()


def larger(blocks: Iterable[list[Item]]) -> Iterator[list[Item]]:
    """Join small blocks, for work that costs something for each block, however small.

    Parameters
    ----------
    blocks
        Blocks of items.
    """
    held: list[Item] = []
    size = 0
    for block in blocks:
        held += block
        size += sum(map(len, map(_row_of, block)))
        if len(held) >= _LARGE_ROWS or size >= _LARGE_BYTES:
            yield held
            held, size = [], 0
    yield held


def last_key(folder: Path, run: str) -> bytes | None:
    """Return the greatest key of a run.

    Parameters
    ----------
    folder
        The folder of the run.
    run
        Its name.
    """
    last = None
    with pa.OSFile(str(folder / run), "rb") as source:
        for batch in pa.ipc.open_stream(source):
            if batch.num_rows:
                last = batch.column(0)[-1].as_py()
    return last


def _merge_into_one(folder: Path, runs: Sequence[str]) -> str:
    name = uuid.uuid4().hex
    with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as stream:
        for block in merge(folder, runs):
            for at in range(0, len(block), _BATCH_ROWS):
                keys, rows = zip(*block[at : at + _BATCH_ROWS], strict=True)
                columns = [pa.array(keys, pa.binary()), pa.array(rows, pa.binary())]
                stream.write_batch(pa.record_batch(columns, schema=_SCHEMA))
    return name
