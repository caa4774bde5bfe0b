"""The rules that published bars keep, all checked in one query of DuckDB, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.schema import KEY

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

EXAMPLES = 5

_RULES = {
    "prices_in_range": "StartPrice BETWEEN MinPrice AND MaxPrice AND EndPrice BETWEEN MinPrice AND MaxPrice",
    "volume_not_negative": "TradedVolume >= 0 AND NumberOfTrades >= 0",
}
# A null breaks a rule.
_BROKEN = {name: f"NOT coalesce({holds}, false)" for name, holds in _RULES.items()}


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How a rule fared: rows that break it, and the keys of a few of them."""

    bad: int
    examples: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no row breaks it."""
        return self.bad == 0


def check_bars(bars: DuckDBPyRelation) -> dict[str, RuleResult]:
    """Check every rule in one pass; only a broken one costs another, for its examples.

    Rows are grouped by their key but for the minute, and a minute is a bit of a number: where all keys of a group
    differ it has as many bits set as rows. That is exact where it says so, and takes a row for a security's hour, not
    one for each minute. Where it does not, the keys themselves are counted.

    Parameters
    ----------
    bars
        The bars.
    """
    # A `Time` that is not hh:mm may share a bit, or have none: it is then counted by its key.
    bit = "CASE WHEN try_cast(Time[4:] AS UTINYINT) < 60 THEN 1::BIGINT << try_cast(Time[4:] AS UTINYINT) END"
    broken = ", ".join(f"count_if({broken}) AS {name}" for name, broken in _BROKEN.items())
    groups = bars.aggregate(
        f"count(*) - bit_count(coalesce(bit_or({bit}), 0::BIGINT)) AS surplus, {broken}", "ISIN, Date, Time[:3]"
    )
    names = ("surplus", *_BROKEN)
    (totals,) = groups.aggregate(", ".join(f"coalesce(sum({name}), 0)" for name in names)).fetchall()
    seen = {name: int(bad) for name, bad in zip(names, totals, strict=True)}
    results = {"key_is_unique": _repeated_keys(bars) if seen["surplus"] else RuleResult(0)}
    for name, broken in _BROKEN.items():
        results[name] = RuleResult(seen[name], _examples(bars.filter(broken)) if seen[name] else ())
    return results


def _repeated_keys(bars: DuckDBPyRelation) -> RuleResult:
    key = ", ".join(KEY)
    repeated = bars.aggregate(f"{key}, count(*) AS rows", key).filter("rows > 1")
    ((total,),) = repeated.aggregate("coalesce(sum(rows - 1), 0)").fetchall()
    return RuleResult(int(total), _examples(repeated))


def _examples(rows: DuckDBPyRelation) -> tuple[str, ...]:
    key = ", ".join(KEY)
    found = rows.project(key).order(key).limit(EXAMPLES).fetchall()
    return tuple(" ".join(str(value) for value in values) for values in found)
