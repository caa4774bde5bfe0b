"""The assets and columns that a query reads, from its text."""

from __future__ import annotations

import pytest

from lake_assets.sql.errors import SqlError
from lake_assets.sql.lineage import assets_of, column_origins

BARS, DAILY = ("bars",), ("sales", "daily")
COLUMNS = {BARS: ["ISIN", "Price", "Volume"], DAILY: ["ISIN", "Total"]}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT 1", []),
        ("FROM bars", [BARS]),
        ("SELECT * FROM bars b, sales.daily d WHERE b.ISIN = d.ISIN", [BARS, DAILY]),
        ("SELECT * FROM bars a AT (VERSION => 'v1') JOIN bars b AT (VERSION => 'main') USING (ISIN)", [BARS]),
        ("WITH x AS (FROM bars) SELECT * FROM x JOIN sales.daily USING (ISIN)", [BARS, DAILY]),
        ("WITH bars AS (SELECT 1 AS a) SELECT * FROM bars", []),
        ("WITH bars AS (FROM bars) SELECT * FROM bars", [BARS]),
        ("SELECT * FROM sales.daily d WHERE EXISTS (SELECT 1 FROM bars b WHERE b.ISIN = d.ISIN)", [BARS, DAILY]),
        ("SELECT (SELECT max(Price) FROM bars) FROM range(3)", [BARS]),
        ("SELECT * FROM bars UNION ALL FROM sales.daily", [BARS, DAILY]),
        ("FROM changes('sales.daily', 'v1', 'main', key := 'ISIN')", [DAILY]),
        ("SELECT * FROM bars, LATERAL (SELECT * FROM sales.daily d WHERE d.ISIN = bars.ISIN)", [BARS, DAILY]),
        ('SELECT * FROM "sales"."daily"', [DAILY]),
    ],
)
def test_assets_that_a_query_reads(text: str, names: list[tuple[str, ...]]) -> None:
    assert assets_of(text) == names


@pytest.mark.parametrize("text", ["", "SELECT 1; SELECT 2", "COPY bars TO 'x'", "DROP TABLE bars", "SELECT FROM WHERE"])
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(SqlError) as refused:
        assets_of(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (
            "SELECT ISIN, price * volume AS value FROM bars",
            {"ISIN": [(BARS, "ISIN")], "value": [(BARS, "Price"), (BARS, "Volume")]},
        ),
        ("SELECT * FROM sales.daily", {"ISIN": [(DAILY, "ISIN")], "Total": [(DAILY, "Total")]}),
        ("SELECT count(*) AS n, max(Total) AS t FROM sales.daily", {"t": [(DAILY, "Total")]}),
        (
            "WITH x AS (SELECT ISIN, sum(Volume) AS v FROM bars GROUP BY ISIN) "
            "SELECT x.v / d.Total AS share FROM x JOIN sales.daily d USING (ISIN)",
            {"share": [(BARS, "Volume"), (DAILY, "Total")]},
        ),
        (
            "SELECT a.Price - b.Price AS d FROM bars a AT (VERSION => 'v1') JOIN bars b USING (ISIN)",
            {"d": [(BARS, "Price")]},
        ),
        ("SELECT ISIN FROM bars UNION ALL SELECT ISIN FROM sales.daily", {"ISIN": [(BARS, "ISIN"), (DAILY, "ISIN")]}),
    ],
)
def test_columns_that_a_column_is_made_of(text: str, origins: dict[str, object]) -> None:
    assert {name.lower(): found for name, found in column_origins(text, COLUMNS).items()} == {
        name.lower(): found for name, found in origins.items()
    }
