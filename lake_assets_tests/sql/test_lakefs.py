"""SQL on a lake that is on a server: the same answers, the same doors, and no more requests than are needed."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.lake import duckdb_files
from lake_assets.lake.lakefs import filesystem
from lake_assets.layout.asset_folders import folder_of
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.errors import SqlError
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import LakeSpec, fresh_place
from lake_assets_tests.sql.conftest import Ask, asking, fill

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeCatalog]:
    lake = LakeSpec("lakefs", fresh_place("lakefs", tmp_path_factory.mktemp("lake"))).open()
    fill(lake)
    lake.create_branch("run-large", "main")
    with lake.write("run-large", "large") as write:
        numbers = range(200_000)
        wide = pyarrow.table({"n": numbers, "m": [number % 7 for number in numbers], "t": map(str, numbers)})
        pq.write_table(wide, f"{write.root}/part-0.parquet", filesystem=write.filesystem, row_group_size=20_000)
    lake.merge("run-large", "main", "Publish", {}, audit=TESTS)
    yield LakeCatalog(lake=lake, folder_of=folder_of)
    lake.close()


@pytest.fixture
def ask(catalog: LakeCatalog) -> Ask:
    return asking(catalog)


def test_assets_refs_and_changes(ask: Ask) -> None:
    assert ask("SELECT count(*), max(Price), min(day), min(hour) FROM stocks_parquet") == [
        (5, 4.5, "2017-07-28", "08"),
    ]
    assert ask("SELECT sales.daily.ISIN, daily.Price FROM sales.daily ORDER BY 1 LIMIT 1") == [("DE0", 1.5)]
    assert ask("FROM notes ORDER BY id") == [("1", "one"), ("2", "")]
    assert ask(
        "SELECT ISIN, a.Price, b.Price FROM stocks_parquet a AT (VERSION => 'v1') "
        "JOIN stocks_parquet b AT (VERSION => 'main') USING (ISIN) WHERE a.Price <> b.Price"
    ) == [("DE0", 0.5, 1.5)]
    assert ask(
        "SELECT change, count(*) FROM changes('sales.daily', 'v1', 'v2', key := 'ISIN') GROUP BY 1 ORDER BY 1"
    ) == [
        ("added", 2),
        ("changed", 1),
    ]


@pytest.mark.parametrize("small", [True, False])
def test_threads_read_one_file_side_by_side(ask: Ask, monkeypatch: pytest.MonkeyPatch, small: bool) -> None:
    monkeypatch.setattr(duckdb_files, "_small", duckdb_files._SmallFiles())
    if not small:
        monkeypatch.setattr(duckdb_files, "_SMALL", 1000)
    for _ in range(5):
        assert ask("SELECT sum(n), sum(m), count(DISTINCT t), min(t) FROM large WHERE n >= 100000") == [
            (14_999_950_000, 299_999, 100_000, "100000")
        ]


def test_a_small_file_is_read_once(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_files, "_small", duckdb_files._SmallFiles())
    ask("SELECT count(*) FROM stocks_parquet")

    def refused(*_: object) -> None:
        raise AssertionError("it is kept")

    monkeypatch.setattr(filesystem._Gateway, "open_input_file", refused)
    assert ask("SELECT count(Price) FROM stocks_parquet") == [(5,)]


@pytest.mark.parametrize(
    "name", ["read_parquet('lake://{}')", "'lake://{}'", '"lake://{}"', "parquet_schema('lake://{}')"]
)
def test_only_what_is_named_is_reached(ask: Ask, catalog: LakeCatalog, name: str) -> None:
    snapshot = catalog.lake.path("main", "large")
    place = name.format(f"{snapshot.commit}:{snapshot.root}/part-0.parquet")
    with pytest.raises(SqlError):
        ask(f"SELECT * FROM {place}")
    with pytest.raises(SqlError):
        ask(f"SELECT * FROM stocks_parquet, {place}")
    with pytest.raises(SqlError):
        ask(f"WITH x AS (COPY stocks_parquet TO 'lake://{snapshot.commit}:x') SELECT * FROM x")
