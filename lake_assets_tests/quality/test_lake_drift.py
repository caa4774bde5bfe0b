"""Drift between two states of the lake shows rows, and nothing of personal columns."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.quality.lake_drift import drift_at
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put


@pytest.mark.parametrize("personal", ["Trader", "trader"])
def test_rows_that_show_a_drift_are_without_personal_columns_whatever_their_case(tmp_path: Path, personal: str) -> None:
    with closing(GitLake(tmp_path / "lake")) as lake:
        for version, nulls in (("v1", 0), ("v2", 50)):
            lake.create_branch(version, "main")
            prices = [None if at < nulls else at for at in range(100)]
            rows, sink = pa.table({"Trader": ["Ada"] * 100, "price": prices}), pa.BufferOutputStream()
            pq.write_table(rows, sink)
            put(lake, version, "trades", {"part-0.parquet": sink.getvalue().to_pybytes()})
            lake.merge(version, "main", f"Publish {version}", {}, audit=TESTS)
            lake.tag(f"tag-{version}", "main")
        states = [(lake.head(f"tag-{version}").id, "trades") for version in ("v1", "v2")]
        found = drift_at(lake, states[0], states[1], [personal])
    (nulls,) = (one for one in found if one.finding.metric == "nulls")
    assert list(nulls.rows) == [{"price": None}] * 3
