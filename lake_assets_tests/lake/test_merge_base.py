"""Which of several common ancestors a merge compares both sides with. docs/lakefs.md names the limit of lakeFS."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place, put


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_two_branches_that_merged_a_third_one_may_bring_back_on_lakefs_what_the_other_undid(
    tmp_path: Path, backend: str
) -> None:
    lake = LakeSpec(backend, fresh_place(backend, tmp_path)).open()
    for branch in ("one", "two"):
        lake.create_branch(branch, "main")
    put(lake, "one", "u", {"a": "1"})
    merged = lake.merge("one", "main", audit=TESTS)
    lake.revert(merged.id, "one")
    lake.merge("one", "two", audit=TESTS)
    lake.merge("main", "two", audit=TESTS)
    assert [file.path for file in lake.list("two")] == (["u/a"] if backend == "lakefs" else [])
