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
    """Return rule name to what holds for a row that breaks it."""
    from pyspark.sql import functions as F  # noqa: N812

    low, high = F.col("MinPrice"), F.col("MaxPrice")
    return {
        "prices_in_range": ~(F.col("StartPrice").between(low, high) & F.col("EndPrice").between(low, high)),
        "volume_not_negative": (F.col("TradedVolume") < 0) | (F.col("NumberOfTrades") < 0),
    }


def check_bars(bars: DataFrame) -> dict[str, RuleResult]:
    """Check every rule in one job; only a broken one costs another, for its examples.

    Keys are counted by their 64-bit hash, 8 bytes a row through the shuffle. Equal hashes are looked at again by
    the keys themselves, so the outcome is exact.
    """
    from pyspark.sql import functions as F  # noqa: N812

    rules = _rules()
    seen = bars.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_distinct(F.xxhash64(*KEY)).alias("key_is_unique"),
        *[F.count_if(broken).alias(name) for name, broken in rules.items()],
    ).first()
    assert seen is not None
    results = {"key_is_unique": RuleResult(0)}
    if seen["key_is_unique"] < seen["rows"]:
        results["key_is_unique"] = _repeated_keys(bars)
    for name, broken in rules.items():
        results[name] = RuleResult(seen[name], _examples(bars.where(broken)) if seen[name] else ())
    return results


def _repeated_keys(bars: DataFrame) -> RuleResult:
    from pyspark.sql import functions as F  # noqa: N812

    repeated = bars.groupBy(*KEY).count().where("count > 1")
    total = repeated.agg(F.sum(F.col("count") - 1)).first()
    return RuleResult(int(total[0] or 0) if total else 0, _examples(repeated))


def _examples(rows: DataFrame) -> tuple[str, ...]:
    keys = rows.select(*KEY).orderBy(*KEY).limit(EXAMPLES).collect()
    return tuple(" ".join(str(value) for value in key) for key in keys)
