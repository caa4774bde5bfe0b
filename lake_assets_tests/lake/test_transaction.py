"""A transaction's writes are published together, or not at all, on every backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.lake.audit import RECORD, record
from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import MergeConflict, PathNotFound
from lake_assets.lake.transaction import Transaction, transaction
from lake_assets_tests.audits import TESTS
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.lake.backends import paths, put, read


def put_in(both: Transaction, prefix: str, text: str) -> None:
    with both.write(prefix) as write, write.filesystem.open_output_stream(f"{write.root}/a") as stream:
        stream.write(text.encode())


def test_all_prefixes_are_published_by_one_merge(lake: Lake) -> None:
    before = lake.head("main")
    with transaction(lake, message="Both", metadata={"by": "me"}, audit=TESTS) as both:
        put_in(both, "prices", "1")
        put_in(both, "prices_index", "2")
        assert both.path("prices").prefix == "prices"
        with pytest.raises(PathNotFound):
            lake.path("main", "prices")
    assert both.commit == lake.head("main")
    assert (both.commit.message, both.commit.metadata, both.commit.parents[0]) == (
        "Both",
        {"by": "me", RECORD: record(TESTS)},
        before.id,
    )
    assert read(lake, "main", "") == {"prices/a": "1", "prices_index/a": "2"}
    assert lake.branches() == ("main", "work")


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas

    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    page = (REPOSITORY_ROOT / "docs" / "assets-of-your-own.md").read_text()
    example = page.rpartition("```python\n")[2].partition("```")[0]
    given = pandas.DataFrame({"ISIN": ["DE0007164600"], "price": [90.5]})
    names = {"pandas": pandas, "prices": given, "index": given}
    exec(example, names)
    assert names["again"].equals(given)


def test_an_exception_publishes_none_of_them(lake: Lake) -> None:
    def fail() -> None:
        with transaction(lake, audit=TESTS) as both:
            put_in(both, "prices", "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert paths(lake, "main") == []
    assert lake.branches() == ("main", "work")


def test_what_another_published_meanwhile_is_a_conflict(lake: Lake) -> None:
    def both_write() -> None:
        with transaction(lake, audit=TESTS) as mine:
            put_in(mine, "prices", "1")
            put_in(mine, "other", "1")
            put(lake, "work", "prices", {"b": "2"})
            lake.merge("work", "main", audit=TESTS)

    with pytest.raises(MergeConflict, match="prices"):
        both_write()
    assert paths(lake, "main") == ["prices/b"]
