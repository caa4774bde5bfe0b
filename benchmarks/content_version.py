"""Content versions beside the Parquet write of the same stock rows: ``python -m benchmarks.content_version``.

An argument is millions of rows. Seconds are those of the processor, in one thread or several, the best of three. The
target is 8.5 million rows a second where texts are dictionaries.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from lake_assets.content.version import ContentDigest, version_of_files

TARGET = 8.5


def _rows(number: int) -> pyarrow.Table:
    """Return rows with as many securities, minutes and prices as a day of the exchange has."""
    chance = np.random.default_rng(7)
    securities = np.arange(number) % 750
    texts = {
        "ISIN": [f"DE{index:010}" for index in range(750)],
        "Mnemonic": [f"M{index % 700}" for index in range(750)],
        "SecurityDesc": [f"SECURITY OF NUMBER {index}" for index in range(750)],
        "SecurityType": ["Common stock" if index % 3 else "ETF" for index in range(750)],
        "Currency": ["EUR"] * 750,
        "Time": [f"{8 + index % 10:02}:{index % 60:02}" for index in range(750)],
    }
    columns: dict[str, pyarrow.Array] = {
        name: pyarrow.array(values).take(pyarrow.array(securities)) for name, values in texts.items()
    }
    columns["SecurityID"] = pyarrow.array(securities.astype(np.int32))
    columns["Date"] = pyarrow.array(np.full(number, 17_375, np.int32)).cast(pyarrow.date32())
    for name in ("StartPrice", "MaxPrice", "MinPrice", "EndPrice"):
        columns[name] = pyarrow.array(chance.integers(100, 99_999, number) / 100)
    columns["TradedVolume"] = pyarrow.array(chance.integers(1, 9_999, number).astype(np.float64))
    columns["NumberOfTrades"] = pyarrow.array(chance.integers(1, 99, number, dtype=np.int32))
    return pyarrow.table(columns)


def _with_dictionaries(table: pyarrow.Table) -> pyarrow.Table:
    columns = [
        column.dictionary_encode() if column.type == pyarrow.string() else column for column in table.itercolumns()
    ]
    return pyarrow.table(columns, table.column_names)


def _version(table: pyarrow.Table) -> str:
    digest = ContentDigest(table.schema)
    for batch in table.to_batches():
        digest.update(batch)
    return digest.version()


def _seconds(work: Callable[[], object]) -> float:
    taken: list[float] = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    """Print the speeds, and their ratios to the write."""
    table = _rows(int(float(sys.argv[1] if len(sys.argv) > 1 else 2) * 1_000_000))
    encoded = _with_dictionaries(table)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        writing = _seconds(lambda: pq.write_table(table, path))
        measured = {
            "Parquet write": writing,
            "version of dictionaries": _seconds(lambda: _version(encoded)),
            "version of plain texts": _seconds(lambda: _version(table)),
            "version of the file": _seconds(lambda: version_of_files([path], LocalFileSystem())),
        }
    for name, seconds in measured.items():
        rate = table.num_rows / seconds / 1e6
        target = f" (target {TARGET} or more)" if name == "version of dictionaries" else ""
        print(f"{name:24} {rate:5.1f} million rows a CPU second, {seconds / writing:.2f} of the write{target}")


if __name__ == "__main__":
    main()
