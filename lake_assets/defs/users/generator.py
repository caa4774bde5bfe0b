"""Generated users in the schema of the sample file: a thousand for each batch, the same on every machine.

A hash determines every value. The users are fictitious: domains (RFC 2606) and addresses (RFC 5737) are reserved for
documentation, and no real card number begins with 9999.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

ROWS = 1000

_FIRST_NAMES = {
    "Female": ("Amina", "Beatriz", "Chiara", "Dagmar", "Elif", "Freya", "Greta", "Hanako", "Ines", "Jelena"),
    "Male": ("Anton", "Bruno", "Carlos", "Dmitri", "Emre", "Farid", "Goran", "Hiro", "Ivan", "Jonas"),
}
_LAST_NAMES = (
    *("Abadi", "Bergmann", "Castro", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ito", "Jansen"),
    *("Kowalski", "Lindberg", "Moreau", "Novak", "Okafor", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka"),
)
_DOMAINS = ("example.com", "example.net", "example.org")
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_COUNTRIES = ("Brazil", "Canada", "China", "France", "Indonesia", "Nigeria", "Poland", "Portugal", "Russia", "Sweden")
_TITLES = ("Accountant IV", "Civil Engineer", "Data Analyst", "Editor", "Internal Auditor", "Nurse", "Teacher")
_COMMENTS = (
    "1E+02",
    "-1/2",
    "<script>alert('hi')</script>",
    "'; DROP TABLE users",
    "울란바토르",
    "😍",
    "NULL",
    "12:34:56",
)
_DAY = datetime(2016, 2, 3, tzinfo=timezone.utc)
_FIRST_BIRTHDAY = date(1955, 1, 1)


def generate(batch: str) -> pyarrow.Table:
    """Return the users of a batch, which depend only on its key.

    Parameters
    ----------
    batch
        Any text.
    """
    import pyarrow as pa

    rows = [_user(batch, number) for number in range(1, ROWS + 1)]
    schema = pa.schema(
        {
            "registration_dttm": pa.timestamp("us", "UTC"),
            "id": pa.int32(),
            "first_name": pa.string(),
            "last_name": pa.string(),
            "email": pa.string(),
            "gender": pa.string(),
            "ip_address": pa.string(),
            "cc": pa.string(),
            "country": pa.string(),
            "birthdate": pa.string(),
            "salary": pa.float64(),
            "title": pa.string(),
            "comments": pa.string(),
        }
    )
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


class _Dice:
    """The bits of a hash, used up one after the other."""

    def __init__(self, seed: str) -> None:
        self._left = int.from_bytes(hashlib.sha512(seed.encode()).digest(), "big")

    def below(self, bound: int) -> int:
        self._left, number = divmod(self._left, bound)
        return number

    def one_of(self, values: Sequence[str]) -> str:
        return values[self.below(len(values))]

    def percent(self, chance: int) -> bool:
        return self.below(100) < chance


def _user(batch: str, number: int) -> tuple[object, ...]:
    dice = _Dice(f"{batch}/{number}")
    gender = dice.one_of(("Female", "Male"))
    first = dice.one_of(_FIRST_NAMES[gender])
    last = dice.one_of(_LAST_NAMES)
    born = _FIRST_BIRTHDAY + timedelta(days=dice.below(45 * 365))
    return (
        _DAY + timedelta(seconds=dice.below(86_400)),
        number,
        first,
        last,
        f"{first[0]}{last}{number:x}@{dice.one_of(_DOMAINS)}".lower(),
        "" if dice.percent(7) else gender,
        f"{dice.one_of(_NETWORKS)}.{dice.below(256)}",
        "" if dice.percent(29) else f"9999{dice.below(10**12):012d}",
        dice.one_of(_COUNTRIES),
        "" if dice.percent(20) else f"{born.month}/{born.day}/{born.year}",
        None if dice.percent(7) else (1_200_000 + dice.below(27_500_000)) / 100,
        "" if dice.percent(20) else dice.one_of(_TITLES),
        dice.one_of(_COMMENTS) if dice.percent(18) else "",
    )
