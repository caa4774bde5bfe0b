"""Equal values are counted first: nothing of a profile depends on how the values came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasketches
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.quality import Profile, profile
from lake_assets.quality.profiling import profile_files
from lake_assets.quality.quantiles import RANK_ERROR, K, new_quantiles, quantiles_of_counts
from lake_assets.quality.sums import Moments

COUNTED = st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(1, 50)), min_size=1, max_size=30)
library: Any = datasketches


@given(COUNTED)
def test_the_moments_of_counted_values_are_those_of_the_values(pairs: list[tuple[float, int]]) -> None:
    values, counts = np.array([value for value, _ in pairs]), np.array([count for _, count in pairs])
    for method, kind in (("add_floats", np.float64), ("add_integers", np.int64)):
        counted, each = Moments(integers=kind is np.int64), Moments(integers=kind is np.int64)
        getattr(counted, method)(values.astype(kind), counts)
        getattr(each, method)(np.repeat(values.astype(kind), counts))
        assert (counted.count, counted.sum) == (each.count, each.sum)
        scale = max(1.0, float(np.abs(values).max())) * 1e-12
        assert counted.deviation == pytest.approx(each.deviation, rel=1e-9, abs=scale, nan_ok=True)


@pytest.mark.parametrize("rows", [1, 8192, 8193, 16383, 16384, 131072, 1_000_003, 2**40 + 5])
def test_the_quantiles_of_counted_values_keep_the_bound(rows: int) -> None:
    rng = np.random.default_rng(rows)
    values = np.unique(rng.normal(size=min(rows, 50_000)))
    counts = np.full(len(values), rows // len(values))
    counts[len(values) // 2] += rows - counts.sum()
    found = quantiles_of_counts(values, counts)
    for _ in range(3):
        found.merge(quantiles_of_counts(values, counts))
    assert (found.n, found.k) == (4 * rows, K)
    assert (found.get_min_value(), found.get_max_value()) == (values[0], values[-1])
    shares = np.cumsum(counts) / rows
    for at in range(0, len(values), 1 + len(values) // 200):
        assert found.get_rank(values[at], True) == pytest.approx(shares[at], abs=RANK_ERROR)
    assert library.kll_doubles_sketch.deserialize(found.serialize()).n == 4 * rows


def test_it_is_as_near_as_a_sketch_of_each_value() -> None:
    rng, errors = np.random.default_rng(3), {"counted": [], "each": []}
    for _ in range(40):
        values = np.sort(rng.normal(size=20_000))
        each = new_quantiles()
        each.update(values)
        for name, found in (("counted", quantiles_of_counts(values, np.ones(len(values), np.int64))), ("each", each)):
            ranks = np.array([found.get_rank(value, True) for value in values[::500]])
            errors[name].append(np.abs(ranks - np.arange(1, len(values), 500) / len(values)).max())
    assert np.mean(errors["counted"]) < 1.5 * np.mean(errors["each"])
    assert max(errors["counted"]) < RANK_ERROR / 2


PLAIN = ["a", None, "bb", "", "a", "dé", "a", None]


def dictionary(values: list[str | None], places: list[int | None]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(values, pa.string()))


FORMS: dict[str, pa.ChunkedArray] = {
    "dictionaries": pa.chunked_array([pa.array(PLAIN).dictionary_encode()]),
    "other dictionaries": pa.chunked_array(
        [pa.array(PLAIN[:3]).dictionary_encode(), pa.array(PLAIN[3:]).dictionary_encode()]
    ),
    "null in the dictionary": pa.chunked_array(
        [dictionary(["bb", None, "a"], [2, 1, 0]), dictionary(["", "a", "dé"], [0, 1, 2, 1, None])]
    ),
    "a text twice": pa.chunked_array([dictionary(["bb", "a", "", "a", "dé"], [1, None, 0, 2, 3, 4, 1, None])]),
    "unused": pa.chunked_array([dictionary(["x", "bb", "a", "", "y", "dé"], [2, None, 1, 3, 2, 5, 2, None])]),
    "large": pa.chunked_array([pa.array(PLAIN, pa.large_string()).dictionary_encode()]),
    "views": pa.chunked_array([pa.array(PLAIN, pa.string_view())]),
    "chunks": pa.chunked_array([[one] for one in PLAIN], pa.string()),
    "slices": pa.chunked_array([pa.array(["z", *PLAIN, "z"]).dictionary_encode().slice(1, len(PLAIN))]),
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_have_the_same_figures_in_each_form(form: str) -> None:
    wanted = profile(pa.table({"text": PLAIN})).columns["text"].as_dict()
    assert profile(pa.table({"text": FORMS[form]})).columns["text"].as_dict() == wanted


def test_the_shapes_of_many_texts_are_counted() -> None:
    found = profile(pa.table({"text": [f"user-{at}@example.com" for at in range(200_000)]})).columns["text"]
    assert found.patterns() == [("a-9@a.a", 200_000)]
    assert found.exactness("patterns") == "exact"


def figures(found: Profile) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "exactness"} for one in found.as_dict()["columns"]]


def test_files_have_the_figures_of_their_rows(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "few": pa.array(["a", None, "bb", "a"] * 500),
            "many": pa.array([f"text {at}" for at in range(1000)] * 2),
            "a.dot": pa.array(["x", "y"] * 1000),
            "nested": pa.array([{"dot": "z"}] * 2000),
            "number": pa.array([*range(1000)] * 2),
        }
    )
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=700)
    pq.write_table(rows, tmp_path / "b.parquet", use_dictionary=False, store_schema=False)
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet", "a.parquet")]
    assert figures(profile_files(LocalFileSystem(), paths)) == figures(profile(pa.concat_tables([rows] * 3)))
