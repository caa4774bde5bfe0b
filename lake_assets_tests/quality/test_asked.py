"""What takes a pass of its own, against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lake_assets.quality.asked import crosstab, group_counts, key_skew, repeated_keys, spearman

RNG = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "kind": RNG.choice(np.array(["bond", "share", None], object), 500),
        "side": RNG.choice(["buy", "sell"], 500),
        "rows": RNG.integers(0, 9, 500),
        "price": np.where(RNG.random(500) < 0.1, np.nan, RNG.lognormal(2, 1, 500)),
    }
)


def test_groups_are_counted_with_nulls_and_any_names() -> None:
    found = group_counts(FRAME, ["kind"])
    assert dict(zip(found["kind"].fillna("null"), found["rows"], strict=True)) == (
        FRAME["kind"].fillna("null").value_counts().to_dict()
    )
    assert list(group_counts(FRAME, ["rows"], 3).columns) == ["rows", "rows_"]


def test_a_crosstab_is_that_of_pandas() -> None:
    pd.testing.assert_frame_equal(
        crosstab(FRAME, "kind", "side"), pd.crosstab(FRAME["kind"], FRAME["side"]), check_names=False
    )


def test_spearman_is_that_of_pandas() -> None:
    pd.testing.assert_frame_equal(spearman(FRAME), FRAME.filter(["rows", "price"]).astype(float).corr("spearman"))


def test_repeated_keys_are_exact() -> None:
    found = repeated_keys(pd.DataFrame({"a": [1, 1, 2, None, None], "b": ["x", "x", "x", "y", "y"]}), ["a", "b"])
    assert (found.keys, found.rows) == (1, 2)
    assert {**found.examples[0], "a": 1} == {"a": 1, "b": "x", "rows": 2}
    assert key_skew(pd.DataFrame({"a": [1] * 6 + [2, 2, 3]}), ["a"]) == 3.0


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ValueError, match="there is no column 'nix'; there are kind"):
        group_counts(FRAME, ["nix"])


def test_columns_that_differ_in_case_only_are_told_apart() -> None:
    rows = pa.table({"k": [1, 2], "K": [5, 5]})
    assert group_counts(rows, ["K"])["rows"].tolist() == [2]
    assert repeated_keys(rows, ["K"]).rows == 2
