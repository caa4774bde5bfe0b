"""A profile's figures against those of pandas, its bounds, and its merge."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.quality import Profile, profile
from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.quantiles import RANK_ERROR
from lake_assets.quality.report import as_html
from lake_assets.quality.sketches import DISTINCT_ERROR
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.depth import examples

DATA = REPOSITORY_ROOT.parent / "shared" / "data"
HOUR = DATA / "xetra" / "2017-07-28" / "2017-07-28_BINS_XETR08.csv"
USERS = DATA / "users" / "userdata1.parquet"


def test_a_mean_is_read_by_the_column() -> None:
    found = profile(pd.DataFrame({"StartPrice": [1.0, 2.0, 4.5, None]}))
    column = found.columns["StartPrice"]
    assert (column.mean, column.min, column.max, column.nulls, column.count) == (2.5, 1.0, 4.5, 1, 3)


def expected(values: Any) -> dict[str, Any]:
    known = values.dropna()
    figures: dict[str, Any] = {"nulls": int(values.isna().sum()), "count": len(known), "distinct": known.nunique()}
    if pd.api.types.is_numeric_dtype(values):
        figures |= {
            "mean": float(known.mean()),
            "std": float(known.std()),
            "skewness": float(known.skew()),
            "kurtosis": float(known.kurt()),
            "zeros": int((known == 0).sum()),
            "negatives": int((known < 0).sum()),
            "sum": float(math.fsum(known)),
        }
    if values.dtype == object:
        figures |= {
            "empty": int((known == "").sum()),
            "blank": int((known.str.isspace()).sum()),
            "max_length": int(known.str.len().max()),
            "min_length": int(known.str.len().min()),
            "mean_length": float(known.str.len().mean()),
        }
    return {**figures, "min": known.min(), "max": known.max()}


def agree(found: ColumnProfile, values: Any) -> None:
    for name, value in expected(values).items():
        figure = getattr(found, name)
        if name == "distinct" and found.exactness("distinct") != "exact":
            assert figure == pytest.approx(value, rel=DISTINCT_ERROR), name
        elif isinstance(value, float):
            assert figure == pytest.approx(value, rel=1e-9), (found.name, name)
        else:
            assert pd.Timestamp(figure) == value if isinstance(value, pd.Timestamp) else figure == value, (
                found.name,
                name,
            )
    known = values.dropna()
    counts = known.value_counts()
    if found.exactness("top") == "exact":
        assert dict(found.top(2000)) == counts.to_dict()
    if pd.api.types.is_numeric_dtype(values):
        for share in (0.01, 0.25, 0.5, 0.75, 0.99):
            figure = found.quantile(share)
            if found.exactness("quantiles") == "exact":
                assert figure == pytest.approx(known.quantile(share))
            else:
                low, high = (known < figure).mean(), (known <= figure).mean()
                assert low - RANK_ERROR <= share <= high + RANK_ERROR


@pytest.mark.skipif(not HOUR.is_file(), reason="the exchange's files are not there")
def test_the_exchanges_hour_has_the_figures_that_pandas_computes() -> None:
    table = pyarrow.csv.read_csv(HOUR)
    frame = pd.read_csv(HOUR)
    found = profile(table)
    assert found.rows == len(frame) == 7531
    for name in ("ISIN", "Mnemonic", "SecurityID", "StartPrice", "TradedVolume", "NumberOfTrades", "SecurityDesc"):
        agree(found.columns[name], frame[name])
    assert found.columns["ISIN"].semantic_type == "ISIN"
    assert found.columns["Currency"].semantic_type == "currency"
    pairs = ["StartPrice", "EndPrice", "TradedVolume", "NumberOfTrades"]
    pd.testing.assert_frame_equal(found.correlation().loc[pairs, pairs], frame.filter(pairs).corr())


@pytest.mark.skipif(not USERS.is_file(), reason="the users' file is not there")
def test_the_users_have_the_figures_that_pandas_computes() -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(USERS)
    frame = table.to_pandas()
    found = profile(table)
    for name in frame:
        agree(found.columns[name], frame[name])
    columns = found.columns
    assert (columns["salary"].nulls, columns["comments"].nulls) == (68, 6)
    assert (columns["title"].empty, columns["cc"].empty) == (197, 291)
    assert (columns["email"].semantic_type, columns["ip_address"].semantic_type) == ("e-mail", "IP")


def test_describe_is_that_of_pandas() -> None:
    frame = pd.DataFrame({"a": [1, 2, 2, 7], "b": [0.5, None, 2.5, 1.0], "c": list("xyzz")})
    pd.testing.assert_frame_equal(profile(frame).describe(), frame.describe())
    assert str(profile(frame).describe()) == str(frame.describe())
    texts = frame[["c"]]
    pd.testing.assert_frame_equal(profile(texts).describe(), texts.describe(), check_dtype=False)


def test_every_type_has_a_profile() -> None:
    day = dt.date(2017, 7, 28)
    table = pa.table(
        {
            "true": [True, False, None, True],
            "day": [day, day, None, day + dt.timedelta(2)],
            "moment": pa.array([0, 10, None, 20], pa.timestamp("us", "UTC")),
            "nanosecond": pa.array([0, 10_000, None, 20_000], pa.timestamp("ns")),
            "exact": [Decimal("1.10"), Decimal("-2.00"), None, Decimal("0.00")],
            "unsigned": pa.array([2**64 - 1, 0, None, 5], pa.uint64()),
            "short": pa.array([1, -2, None, 3], pa.int8()),
            "half": pa.array([1.5, math.nan, None, -math.inf], pa.float32()),
            "list": [[1], [1], None, [2]],
            "bytes": [b"a", b"b", None, b"a"],
            "nothing": pa.nulls(4),
            "coded": pa.array(["a", "b", None, "a"]).dictionary_encode(),
            "large": pa.array(["a", "", None, "  "], pa.large_string()),
        }
    )
    found = profile(table)
    columns = found.columns
    assert {column.nulls for name, column in columns.items() if name != "nothing"} == {1}
    assert columns["true"].mean == pytest.approx(2 / 3)
    assert (columns["day"].min, columns["day"].max) == (day, day + dt.timedelta(2))
    assert columns["moment"].mean == dt.datetime(1970, 1, 1, 0, 0, 0, 10, dt.timezone.utc)
    assert columns["nanosecond"].max == dt.datetime(1970, 1, 1, 0, 0, 0, 20)
    assert (columns["exact"].min, columns["exact"].max) == (Decimal("-2.00"), Decimal("1.10"))
    assert columns["unsigned"].max == 2**64 - 1
    assert (columns["half"].nans, columns["half"].infinities, columns["half"].count) == (1, 1, 2)
    assert (columns["half"].mean, columns["half"].std) == (-math.inf, None)
    assert [columns[name].distinct for name in ("list", "bytes", "coded", "short")] == [2, 2, 2, 3]
    assert (columns["large"].empty, columns["large"].blank) == (1, 1)
    assert Profile.from_bytes(found.to_bytes()).to_json() == found.to_json()
    json.loads(found.to_json())


RARE: dict[str, pa.Array] = {
    "wide decimal": pa.array([Decimal("1" * 50), None, Decimal("-3")], pa.decimal256(60, 0)),
    "rounded decimal": pa.array([Decimal("100"), None, Decimal("-3E4")], pa.decimal128(10, -2)),
    "narrow decimal": pa.array([Decimal("1.5"), None, Decimal("-3")], pa.decimal32(5, 1)),
    "tiny decimal": pa.array([Decimal("1e-38"), None, Decimal("2e-38")], pa.decimal128(38, 38)),
    "far date": pa.array([2**31 - 1, None, -(2**31)], pa.date32()),
    "far time": pa.array([2**62, None, -5], pa.timestamp("s")),
    "far microsecond": pa.array([2**63 - 1, None, 1 - 2**63], pa.timestamp("us")),
    "far duration": pa.array([2**63 - 1, None, 1 - 2**63], pa.duration("s")),
    "milliseconds": pa.array([0, None, 86_400_000], pa.date64()),
    "binary view": pa.array([b"a", None, b"\xff"], pa.binary_view()),
    "interval": pa.array([(1, 2, 3), None, (0, 0, 0)], pa.month_day_nano_interval()),
    "half": pa.array([1.5, None, 65504.0], pa.float16()),
    "infinite": pa.array([math.inf, None, -math.inf]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "fixed list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
    "widest": pa.array([2**64 - 1, None, 2**63], pa.uint64()),
}


@pytest.mark.parametrize("kind", RARE)
def test_rare_values_have_a_profile_that_is_kept_and_shown(kind: str) -> None:
    rows = pa.table({"value": RARE[kind]})
    found = profile(rows)
    column = found.columns["value"]
    assert (column.rows, column.nulls, column.distinct) == (3, 1, 2)
    assert Profile.from_bytes(found.to_bytes()).to_json() == found.to_json()
    assert found.merge(found).columns["value"].max == column.max
    numbers_agree(column)
    assert "value" in as_html(found, "rare")
    json.loads(found.to_json())


@pytest.mark.filterwarnings("error")
def test_floats_whose_sum_or_width_is_beyond_the_greatest_have_a_profile() -> None:
    sums, wide = (
        profile(pa.table({"a": values, "b": [1.0, 2.0]})) for values in ([-1e308, -1e308], [-1.7e308, 1.7e308])
    )
    assert (sums.columns["a"].sum, sums.columns["a"].mean) == (-math.inf, -1e308)
    assert wide.columns["a"].median == 0
    assert wide.columns["a"].histogram(2) == ([-1.7e308, 0, 1.7e308], [1, 1])
    for one in (sums, wide):
        assert Profile.from_bytes(one.to_bytes()).to_json() == one.to_json()


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_small_and_large_numbers_correlate_as_others_do(scale: float) -> None:
    values = np.array([1.0, 2.0, 4.0, 3.0])
    table = pa.table({"x": values * scale, "y": values[::-1] * scale})
    found = profile(table).correlation()
    assert found.loc["x", "y"] == pytest.approx(np.corrcoef(values, values[::-1])[0, 1])


def test_encoded_texts_have_a_profile() -> None:
    texts = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    assert profile(pa.table({"text": texts})).columns["text"].top() == [("a", 2), ("b", 1)]


def test_nothing_has_a_profile_too() -> None:
    empty = profile(pd.DataFrame({"a": pd.Series([], dtype="float64")}))
    assert (empty.rows, empty.columns["a"].mean, empty.columns["a"].distinct) == (0, None, 0)
    empty.to_json()
    assert profile(pd.DataFrame()).columns == {}


def test_a_personal_column_shows_no_value() -> None:
    table = pa.table({"Salary": [12345.5, 67890.5], "mail": ["anna@x.de", "bert@x.de"]})
    found = profile(table, personal=["salary", "mail"])
    state = found.to_bytes() + found.to_json().encode()
    assert b"anna" not in state
    assert b"12345" not in state
    assert found.columns["mail"].max_length == 9
    assert found.columns["Salary"].quantile(0.5) is None
    assert found.columns["Salary"].distinct == 2


VALUES = {
    "float": st.floats(width=32) | st.none() | st.sampled_from([0.0, -0.0, math.nan, math.inf]),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3) | st.none(),
    "text": st.text(max_size=5) | st.none() | st.sampled_from(["", " ", "DE0005190003"]),
    "day": st.dates() | st.none(),
    "flag": st.booleans() | st.none(),
}
TYPES = {"float": pa.float64(), "integer": pa.int64(), "text": pa.string(), "day": pa.date32(), "flag": pa.bool_()}
SCHEMA = pa.schema(list(TYPES.items()))
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=12)


@settings(max_examples=examples(25))
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_the_profile_of_parts_is_that_of_the_whole(parts: list[list[dict[str, Any]]]) -> None:
    profiles = [profile(pa.Table.from_pylist(rows, SCHEMA)) for rows in parts]
    whole = profile(pa.Table.from_pylist([row for rows in parts for row in rows], SCHEMA))
    one = profiles[0].merge(*(Profile.from_bytes(found.to_bytes()) for found in profiles[1:]))
    for name, column in whole.columns.items():
        left, right = one.columns[name].as_dict(), column.as_dict()
        for rounded in ("std", "skewness", "kurtosis"):
            a, b = getattr(one.columns[name], rounded), getattr(column, rounded)
            if isinstance(a, float):
                assert a == pytest.approx(b, rel=1e-6, abs=1e-6)
            left.pop(rounded, None)
            right.pop(rounded, None)
        assert left == right
        numbers_agree(column)


def numbers_agree(column: ColumnProfile) -> None:
    assert 0 <= column.distinct <= column.count <= column.rows
    assert column.count + column.nulls + column.nans == column.rows
    quantiles = column.quantiles([0, 0.01, 0.5, 0.99, 1])
    if quantiles[0] is not None:
        assert column.min == quantiles[0]
        assert quantiles[-1] == column.max
        # What Python's times have not is a text.
        assert any(isinstance(one, str) for one in quantiles) or quantiles == sorted(quantiles)
    assert sum(column.histogram()[1]) in (0, column.count)
    if column.exactness("top") == "exact" and column.top(1):
        assert sum(count for _, count in column.top(2000)) == column.count


@pytest.mark.parametrize("rows", [3000, 100_000])
def test_sketches_of_merged_parts_keep_their_bounds(rows: int) -> None:
    rng = np.random.default_rng(rows)
    table = pa.table({"x": rng.lognormal(size=rows), "n": rng.integers(0, rows // 2, rows)})
    whole = profile(table)
    parts = [profile(table.slice(at, rows // 7 + 1)) for at in range(0, rows, rows // 7 + 1)]
    one = parts[0].merge(*parts[1:])
    for name in ("x", "n"):
        a, b = one.columns[name], whole.columns[name]
        assert (a.distinct, a.sum, a.min, a.max, a.count) == (b.distinct, b.sum, b.min, b.max, b.count)
        values = table[name].to_pandas()
        agree(a, values)
        agree(b, values)
        numbers_agree(a)


@pytest.mark.parametrize("cut", range(1, 9))
@pytest.mark.parametrize(("others", "years"), [(4, (1999, 2020)), (5, None)])
def test_the_years_of_texts_are_those_of_the_whole_wherever_they_are_cut(
    cut: int, others: int, years: tuple[int, int] | None
) -> None:
    table = pa.table({"born": ["2020-01-01", "2001-01-01", "none", "1999-01-01", "2010-01-01"] + ["?"] * (others - 1)})
    first, second = profile(table.slice(0, cut)), profile(table.slice(cut))
    assert profile(table).columns["born"].years == years
    assert first.merge(second).columns["born"].years == years


def test_profiles_of_different_columns_do_not_merge() -> None:
    with pytest.raises(ValueError, match=r"do not merge: .*'b'"):
        profile(pa.table({"a": [1]})).merge(profile(pa.table({"b": [1]})))


def test_what_is_no_state_is_refused() -> None:
    for content in (b"", b"\x80", b"not a state"):
        with pytest.raises(ValueError, match="not the state of a profile"):
            Profile.from_bytes(content)


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(TypeError, match="a int has no profile: it must be"):
        profile(3)
