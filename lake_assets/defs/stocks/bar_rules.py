"""The rules that published bars keep, all checked in one Spark job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.schema import KEY

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How a rule fared: rows that break it, and the keys of a few of them."""

    bad: int
    examples: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no row breaks it."""
        return self.bad == 0


def _rules() -> dict[str, Column]:
    """Return rule name to what holds for a row that breaks it; a null breaks a rule."""
    from pyspark.sql import functions as sf

    low, high = sf.col("MinPrice"), sf.col("MaxPrice")
    rules = {
        "prices_in_range": sf.col("StartPrice").between(low, high) & sf.col("EndPrice").between(low, high),
        "volume_not_negative": (sf.col("TradedVolume") >= 0) & (sf.col("NumberOfTrades") >= 0),
    }
    return {name: ~sf.coalesce(holds, sf.lit(False)) for name, holds in rules.items()}


def check_bars(bars: DataFrame) -> dict[str, RuleResult]:
    """Check every rule in one job; only a broken one costs another, for its examples.

    Rows are grouped by their key but for the minute, and a minute is a bit of a number: where all keys of a group
    differ it has as many bits set as rows. That is exact where it says so, and sends a row for a security's hour
    through the shuffle, not one for each minute. Where it does not, the keys themselves are counted.
    """
    from pyspark.sql import functions as sf

    rules = _rules()
    # A `Time` that is not hh:mm may share a bit, or have none: it is then counted by its key.
    minutes = sf.expr("bit_count(bit_or(shiftleft(1L, try_cast(substring(Time, 4) as int))))")
    groups = bars.groupBy("ISIN", "Date", sf.substring("Time", 1, 3)).agg(
        (sf.count(sf.lit(1)) - sf.coalesce(minutes, sf.lit(0))).alias("surplus"),
        *(sf.count_if(broken).alias(name) for name, broken in rules.items()),
    )
    totals = groups.agg(*(sf.sum(name).alias(name) for name in ("surplus", *rules))).first()
    # The sums of no rows are null.
    assert totals is not None
    seen = {name: int(bad or 0) for name, bad in totals.asDict().items()}
    results = {"key_is_unique": _repeated_keys(bars) if seen["surplus"] else RuleResult(0)}
    for name, broken in rules.items():
        results[name] = RuleResult(seen[name], _examples(bars.where(broken)) if seen[name] else ())
    return results


def _repeated_keys(bars: DataFrame) -> RuleResult:
    from pyspark.sql import functions as sf

    repeated = bars.groupBy(*KEY).count().where("count > 1")
    total = repeated.agg(sf.sum(sf.col("count") - 1)).first()
    return RuleResult(int(total[0] or 0) if total else 0, _examples(repeated))


def _examples(rows: DataFrame) -> tuple[str, ...]:
    keys = rows.select(*KEY).orderBy(*KEY).limit(EXAMPLES).collect()
    return tuple(" ".join(str(value) for value in key) for key in keys)
