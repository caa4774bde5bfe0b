"""Generated stock files in the exchange's format. Date, hour and size determine the bytes, on every machine.

As a program: ``python -m lake_assets.defs.stocks.generator --date 2017-07-28 --hour 8
--rows 10_000_000 --out FILE``

The content depends only on integers and on one hash (splitmix64). There are no random generators and no floats, so
other versions of Python and NumPy give the same bytes. Rows are joined from pools of prepared strings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.naming import partition_hour

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
"""Increase it with every change of the bytes. It is part of a generated file's ETag."""

DEFAULT_ROWS = 7_500
"""Rows of a generated trading hour, similar to a real one."""

TRADING_HOURS = range(7, 20)
HEADER = (
    b"ISIN,Mnemonic,SecurityDesc,SecurityType,Currency,SecurityID,Date,Time,"
    b"StartPrice,MaxPrice,MinPrice,EndPrice,TradedVolume,NumberOfTrades\n"
)

_SECURITIES = 750
# Securities written together, which bounds the memory. A file with several blocks is not sorted by time.
_BLOCK = 1 << 16
_MINUTES = 60

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES = {digit: str(value) for value, digit in enumerate(_DIGITS)}
_COUNTRIES = ("DE",) * 11 + ("US", "LU", "IE", "GB", "NL")
_NAMES = (
    *("ALPENWERK", "BRENTANO", "DELTAGAS", "EBERHARDT", "FALKENSEE", "GRUENWALD", "HANSEATICA", "INNTALER"),
    *("JUPITER", "KRONBERG", "LINDENHOF", "MAINKRAFT", "NORDLICHT", "OSTSEE", "PALATIA", "RHEINSTAHL"),
    *("SAALETECH", "TAUNUS", "URANIA", "VULKAN", "WESERLAND", "ZUGSPITZ"),
)
_FORMS = ("AG", "HLDG AG", "+ CO KGAA", "SE", "TECHNOL.AG", "GRP", "PHARMA", "BANK")
_SHARES = ("O.N.", "NA O.N.", "NA SF-,10", "INH. EO 1", "GEN.SF0,05", "VZO O.N.", "RL-,025", "NAM. SF 1")
_TYPES = ("Common stock",) * 54 + ("ETF",) * 7 + ("ETC", "ETN", "Other")
# Prices in thousandths: start, end, tick. Each band has the exchange's tick size.
_PRICE_BANDS = (
    (500, 10_000, 1),
    (10_000, 50_000, 5),
    (50_000, 100_000, 10),
    (100_000, 500_000, 50),
    (500_000, 2_000_000, 250),
)
_MASK = (1 << 64) - 1
_PRIMES = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def isin_check_digit(isin_without_check: str) -> str:
    """Return the ISO 6166 check digit of an ISIN's first eleven characters.

    Raises
    ------
    ValueError
        They are not eleven of ``0-9A-Z``.

    Examples
    --------
    >>> isin_check_digit("US037833100")
    '5'
    """
    if len(isin_without_check) != 11:
        raise ValueError(f"{isin_without_check!r} has {len(isin_without_check)} characters, not 11")
    try:
        digits = "".join([_VALUES[character] for character in isin_without_check])
    except KeyError as error:
        raise ValueError(f"{isin_without_check!r} contains {error.args[0]!r}, not one of 0-9A-Z") from None
    # Luhn: from the right every other digit is doubled, and the digits of the result are added.
    total = sum(map(int, digits[-2::-2])) + sum(int("0246813579"[int(digit)]) for digit in digits[::-2])
    return str(-total % 10)


def is_trading(hour: datetime) -> bool:
    """Tell whether the exchange trades in a UTC hour: on weekdays, 07:00 to 19:59. Holidays are ignored."""
    return hour.weekday() < 5 and hour.hour in TRADING_HOURS


def version_of(hour: datetime, rows: int) -> str:
    """Return the version of a generated file, which contains everything that its bytes depend on."""
    hour = partition_hour(hour)
    return f"generated-v{VERSION}-{hour.date().isoformat()}T{hour.hour:02d}-{rows}"


def generate(hour: datetime, rows: int = DEFAULT_ROWS, bad_rows: int = 0) -> Iterator[bytes]:
    """Yield the file of one hour, in pieces of some megabytes at most.

    Parameters
    ----------
    hour
        Aware whole hour. Outside trading hours the file is its header alone.
    rows
        Number of valid rows.
    bad_rows
        Number of additional rows that cannot be parsed, or whose ISIN is not valid.

    Raises
    ------
    ValueError
        A number of rows is negative, or the hour is not aware and whole.
    """
    if rows < 0 or bad_rows < 0:
        raise ValueError(f"rows {rows} and bad rows {bad_rows} may not be negative")
    hour = partition_hour(hour)
    yield HEADER
    if not is_trading(hour):
        return
    blocks = list(_blocks(rows))
    pieces = len(blocks) * _MINUTES
    piece = 0
    for block in blocks:
        for good in _block(hour, block):
            yield good
            bad = range(bad_rows * piece // pieces, bad_rows * (piece + 1) // pieces)
            if bad:
                yield b"".join(_bad_row(hour, number) for number in bad)
            piece += 1


@dataclass(frozen=True)
class _Block:
    first: int  # the first security's number
    securities: int
    rows: int


def _blocks(rows: int) -> Iterator[_Block]:
    """Distribute the rows over securities. Each security has at most 60 rows in an hour."""
    first = 0
    while True:
        here = min(rows, _BLOCK * _MINUTES)
        yield _Block(first, max(_SECURITIES if first == 0 else 1, -(-here // _MINUTES)), here)
        first += _BLOCK
        rows -= here
        if rows == 0:
            return


def _block(hour: datetime, block: _Block) -> Iterator[bytes]:
    """Yield the rows of a block, sorted by minute and security."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    prices = pa.array(_price_pool(), pa.binary())
    volumes = pa.array(_volume_pool(), pa.binary())
    numbers = range(block.first, block.first + block.securities)
    prefixes = pa.array([_prefix(number, hour.date()).encode() for number in numbers], pa.binary())
    identity = _mix(np.arange(block.first, block.first + block.securities, dtype=np.uint64))
    # Far enough from both ends of the pool for the widest move of a bar.
    base = (identity % np.uint64(len(prices) - 64)).astype(np.int64) + 32
    # Like at the real exchange, some securities trade every minute, others once or not at all in an hour.
    rarity = (identity >> np.uint64(32)) % np.uint64(5)

    epoch_minute = int(hour.timestamp()) // 60
    for minute in range(_MINUTES):
        count = block.rows * (minute + 1) // _MINUTES - block.rows * minute // _MINUTES
        dice = _mix(identity ^ np.uint64(_mix_one(epoch_minute + minute)))
        if count < block.securities:
            order = np.argsort((dice >> np.uint64(5)) << rarity, kind="stable")
            chosen = np.sort(order[:count])
        else:
            chosen = np.arange(count)
        dice = dice[chosen]
        bars = _bars(base[chosen], dice)
        traded = (dice >> np.uint64(40)) % np.uint64(len(volumes))
        rows = pc.binary_join_element_wise(  # pyright: ignore[reportAttributeAccessIssue]
            prefixes.take(pa.array(chosen)),
            f"{hour.hour:02d}:{minute:02d},".encode(),
            *(prices.take(pa.array(index)) for index in bars),
            volumes.take(pa.array(traded)),
            b"",
        )
        # The buffer of the joined rows contains the bytes of the file.
        _, offsets, text = rows.buffers()
        yield memoryview(text)[: np.frombuffer(offsets, np.int32)[count]].tobytes() if count else b""


def _bars(base: NDArray[np.int64], dice: NDArray[np.uint64]) -> tuple[NDArray[np.int64], ...]:
    """Return the positions of start, highest, lowest and last price in the sorted price pool."""
    import numpy as np

    def bits(shift: int, width: int) -> NDArray[np.int64]:
        return ((dice >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)

    # Half of the bars have a single trade, so that all four prices are equal.
    moved = bits(0, 1)
    start = base + bits(1, 5) - 16
    end = start + moved * (bits(6, 3) - 4)
    high = np.maximum(start, end) + moved * bits(9, 2)
    low = np.minimum(start, end) - moved * bits(11, 2)
    return start, high, low, end


def _prefix(number: int, day: date) -> str:
    """Return a security's columns up to the date. They depend only on its number."""
    dice = _mix_one(number)
    currency = "USD" if dice >> 20 & 63 == 0 else "EUR"
    words = (_NAMES[dice % len(_NAMES)], _FORMS[dice >> 8 & 7], _SHARES[dice >> 12 & 7])
    return (
        f'"{_isin(number)}","{_mnemonic(number)}","{" ".join(words)[:25]}",'
        f'"{_TYPES[dice >> 26 & 63]}","{currency}",{2_504_156 + number},{day.isoformat()},'
    )


def _isin(number: int) -> str:
    # Multiplying by a number coprime to the modulus is a bijection, so no two securities have the same number.
    country = _COUNTRIES[_mix_one(number) >> 32 & 15]
    if country == "DE":
        body = "DE000" + _base36((number * 1_327_217_885 + 604_661_760) % 36**6, 6)
    else:
        body = f"{country}{(number * 736_878_787 + 123_456_789) % 10**9:09d}"
    return body + isin_check_digit(body)


def _mnemonic(number: int) -> str:
    width = 3 if number < 36**3 else 4
    return _base36((number * 7919 + 11_111) % 36**width, width)


def _bad_row(hour: datetime, number: int) -> bytes:
    fields = _prefix(number % _SECURITIES, hour.date())
    isin = fields[1:13]
    rest = f"{hour.hour:02d}:{number % 60:02d},10.5,10.6,10.4,10.55,120,3"
    day = hour.date().isoformat()
    kinds = (
        fields.replace(isin, isin[:11] + str((int(isin[11]) + 1) % 10)) + rest,
        fields.replace(isin, "") + rest,
        fields + rest.rpartition(",")[0],
        fields + rest + ",1",
        fields + rest.replace("10.5,", "n/a,", 1),
        fields.replace(day, day[:5] + "13-45") + rest,
        fields + rest.rpartition(",")[0] + ",3x",
        fields.replace('","', '\0","', 1) + rest,
        fields.replace('","', 'Ü","', 1) + rest,
    )
    return kinds[number % len(kinds)].encode("latin-1") + b"\n"


def _price_pool() -> list[bytes]:
    thousandths = (price for band in _PRICE_BANDS for price in range(*band))
    return [f"{price // 1000}.{price % 1000:03d}".rstrip("0").rstrip(".").encode() + b"," for price in thousandths]


def _volume_pool() -> list[bytes]:
    pool: list[bytes] = []
    for number in range(4096):
        dice = _mix_one(number)
        trades = 1 + (dice & 15) * (dice >> 4 & 3)
        volume = 0 if dice >> 6 & 31 == 0 else trades * (1 + (dice >> 16) % 400)
        pool.append(b"%d,%d\n" % (volume, trades))
    return pool


def _base36(number: int, width: int) -> str:
    digits = ""
    while number or len(digits) < width:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _mix_one(value: int) -> int:
    """Splitmix64 of one number: see :func:`_mix`."""
    value = (value + 1) * _PRIMES[0] & _MASK
    value = (value ^ value >> 30) * _PRIMES[1] & _MASK
    value = (value ^ value >> 27) * _PRIMES[2] & _MASK
    return value ^ value >> 31


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64: map each number to a pseudo-random one, deterministically and without collisions."""
    import numpy as np

    values = (values + np.uint64(1)) * np.uint64(_PRIMES[0])
    values = (values ^ values >> np.uint64(30)) * np.uint64(_PRIMES[1])
    values = (values ^ values >> np.uint64(27)) * np.uint64(_PRIMES[2])
    return values ^ values >> np.uint64(31)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one file with the options of the command line."""
    from lake_assets.sources.saving import save_stream

    parser = argparse.ArgumentParser(description="Write one hour's stock file of generated rows.")
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="as in 2017-07-28")
    parser.add_argument("--hour", type=int, required=True, choices=range(24), help="UTC; trading: 7 to 19")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="as in 10_000_000 (%(default)s)")
    parser.add_argument("--bad-rows", type=int, default=0, help="bad rows on top (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.rows < 0 or options.bad_rows < 0:
        parser.error("--rows and --bad-rows may not be negative")
    day: date = options.date
    hour = datetime(day.year, day.month, day.day, options.hour, tzinfo=timezone.utc)
    out: Path = options.out
    chunks = generate(hour, options.rows, options.bad_rows)
    written = save_stream(chunks, out.parent, out.name, url="the generator", etag=None, expected=None)
    closed = "" if is_trading(hour) else " (no trading in that hour: header only)"
    print(f"{out}: {written.rows:,} rows, {written.size:,} bytes, sha256 {written.sha256}{closed}")


if __name__ == "__main__":
    main()
