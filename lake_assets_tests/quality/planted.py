"""Faults that are planted into any table, and tables to plant them into that no threshold was chosen by."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

Random = np.random.Generator
Planted = tuple[pa.Table, str]
"""The table with the fault, and where it is."""

CITIES = "Zürich Kraków Çeşme Reykjavík Αθήνα Москва München Málaga Besançon Oulu Aarhus Brno Győr Dublin Lyon Riga"


def strange(rng: Random, rows: int) -> pa.Table:
    """Return columns of other kinds than those by which the thresholds were chosen."""
    cities, start = CITIES.split(), 1_600_000_000
    digits = rng.integers(0, 1 << 32, (rows, 2)).tolist()
    years = rng.integers(0, 10**6, rows).tolist()
    cents = [decimal.Decimal(int(at)).scaleb(-2) for at in rng.integers(0, 10**6, rows)]
    arrival = ((start + rng.exponential(86400, rows)) * 1e6).astype("int64")
    return pa.table(
        {
            "key": rng.permutation(3 * rows)[:rows],
            "uuid": pa.array([f"{a:08x}-{b & 65535:04x}-4000-8000-{a * b % (1 << 48):012x}" for a, b in digits]),
            "city": rng.choice(cities, rows),
            "person": pa.array([f"{cities[at % 16]} {at}" for at in rng.integers(0, 10**6, rows)]),
            "rare": rng.choice(["a", "b", "c"], rows, p=[0.97, 0.02, 0.01]),
            "flag": rng.random(rows) < 0.3,
            "always": np.ones(rows),
            "exponential": rng.exponential(5, rows),
            "uniform": rng.uniform(-1, 1, rows).astype("float32"),
            "pareto": rng.pareto(2.2, rows),
            "mostly zero": np.where(rng.random(rows) < 0.7, 0, rng.poisson(8, rows)),
            "two peaks": rng.normal(np.where(rng.random(rows) < 0.5, -3, 3), 1),
            "grade": rng.integers(1, 6, rows).astype("int8"),
            "half null": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.5),
            "some null": pa.array(rng.normal(10, 2, rows), mask=rng.random(rows) < 0.07),
            "amount": pa.array(cents, pa.decimal128(12, 2)),
            "born": pa.array(rng.integers(-7000, 12000, rows).astype("int32")).cast(pa.date32()),
            "born text": pa.array([f"{at % 12 + 1}/{at % 28 + 1}/{1950 + at % 53}" for at in years]),
            "at": pa.array((start + rng.integers(0, 90 * 86400, rows)) * 10**6).cast(pa.timestamp("us", "UTC")),
            "arrival": pa.array(arrival).cast(pa.timestamp("us")),
            "tags": pa.array([list(range(at)) for at in rng.integers(0, 4, rows)]),
        }
    )  # fmt: skip


def hours(rng: Random, number: int, rows: int = 2000) -> list[pa.Table]:
    """Return the partitions of some hours. Each has times of its own hour, and another number of rows."""
    found: list[pa.Table] = []
    for hour in range(number):
        size = int(rng.integers(rows // 2, rows))
        price = rng.lognormal(3, 1, size)
        found.append(
            pa.table(
                {
                    "trade": pa.array([f"T{hour * 10**6 + at:09}" for at in range(size)]),
                    "time": pa.array((hour * 3600 + rng.integers(0, 3600, size)) * 10**6).cast(pa.timestamp("us")),
                    "name": rng.choice(CITIES.split(), size),
                    "venue": rng.choice(["XETR", "XFRA"], size),
                    "low": price,
                    "high": price * (1 + rng.exponential(0.01, size)),
                    "volume": pa.array(rng.gamma(2, 100, size).round(), mask=rng.random(size) < 0.03),
                }
            )
        )
    return found


def again(table: pa.Table, rng: Random) -> pa.Table:
    """Return a re-sample of rows."""
    return table.take(pa.array(rng.integers(0, table.num_rows, table.num_rows)))


def _named(table: pa.Table, kind: Callable[[pa.DataType], bool]) -> list[str]:
    return [field.name for field in table.schema if kind(field.type)]


def _is_number(data_type: pa.DataType) -> bool:
    return pa.types.is_integer(data_type) or pa.types.is_floating(data_type) or pa.types.is_decimal(data_type)


def _with(table: pa.Table, name: str, values: Any) -> Planted:
    return table.set_column(table.column_names.index(name), name, values), name


def gone(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    name = str(rng.choice(table.column_names))
    return table.drop_columns([name]), name


def retyped(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    name = str(rng.choice(_named(table, _is_number)))
    return _with(table, name, table[name].cast(pa.string()))


def more_nulls(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    # Of 1,000 rows of which half are null, chance alone may make five points more.
    most = (0.25 if table.num_rows < 5000 else 0.9) * table.num_rows
    name = str(rng.choice([name for name in table.column_names if table[name].null_count < most]))
    column: Any = table[name].combine_chunks()
    share = 0.05 / (1 - column.null_count / len(column))
    hit = rng.random(len(column)) < share
    return _with(table, name, column.take(pa.array(np.arange(len(column)), mask=hit)))


def shifted(table: pa.Table, old: pa.Table, rng: Random, by: float = 1.0) -> Planted:
    floats = {
        name: table[name].cast(pa.float64(), safe=False).to_pandas().astype(float) for name in _named(table, _is_number)
    }
    name = str(rng.choice([name for name, values in floats.items() if values.std() > 0]))
    moved = floats[name] + rng.choice([-1, 1]) * by * floats[name].std()
    kind = table.schema.field(name).type
    if pa.types.is_decimal(kind):
        values = [decimal.Decimal(f"{value:.2f}") for value in moved]
        return _with(table, name, pa.array(values, kind))
    if pa.types.is_integer(kind):
        moved = moved.round().clip(*((-128, 127) if kind == pa.int8() else (-(2**62), 2**62)))
    return _with(table, name, pa.array(moved, from_pandas=True).cast(kind))


def doubled(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    return pa.concat_tables([table, table]), ""


def stale(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    return old.take(pa.array(rng.permutation(old.num_rows))), ""


def swapped(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    names = table.column_names
    pairs = [
        (a, b)
        for at, a in enumerate(names)
        for b in names[:at]
        if table.schema.field(a).type == table.schema.field(b).type and {a, b} != {"StartPrice", "EndPrice"}
    ]
    a, b = pairs[rng.integers(len(pairs))]
    found, _ = _with(table, a, table[b])
    return _with(found, b, table[a])[0], f"{a} and {b}"


def mojibake(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    columns = {name: table[name].to_pylist() for name in _named(table, pa.types.is_string)}
    some = [name for name, texts in columns.items() if any(text and not text.isascii() for text in texts)]
    name, encoding = str(rng.choice(some)), str(rng.choice(["latin-1", "cp1252", "cp437", "mac_roman"]))
    texts = [text and text.encode().decode(encoding, "replace") for text in columns[name]]
    return _with(table, name, pa.array(texts, pa.string()))


def odd_dates(table: pa.Table, old: pa.Table, rng: Random) -> Planted:
    texts = [name for name in table.column_names if name in ("born text", "birthdate")]
    name = str(rng.choice(_named(table, pa.types.is_timestamp) + _named(table, pa.types.is_date) + texts))
    odd = dt.date(int(rng.choice([1900, 2099, 2199])), 12, 31)
    hit = rng.choice(table.num_rows, max(1, int(table.num_rows * rng.choice([0.001, 0.01, 0.05]))), replace=False)
    values, kind = table[name].to_pylist(), table.schema.field(name).type
    value: Any = odd
    if pa.types.is_timestamp(kind):
        value = dt.datetime.combine(odd, dt.time(), dt.timezone.utc if kind.tz else None)
    for at in hit.tolist():
        values[at] = f"{odd.month}/{odd.day}/{odd.year}" if name in texts else value
    return _with(table, name, pa.array(values, kind))


FAULTS: dict[str, Callable[[pa.Table, pa.Table, Random], Planted]] = {
    "a column gone": gone,
    "type changed": retyped,
    "nulls up by 5 points": more_nulls,
    "shifted by a deviation": shifted,
    "duplicated batch": doubled,
    "stale partition": stale,
    "swapped columns": swapped,
    "mojibake": mojibake,
    "out-of-range dates": odd_dates,
}
