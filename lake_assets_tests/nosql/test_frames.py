"""Tables as frames of pandas and relations of DuckDB: on every store."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest

from lake_assets.nosql.contract import NoSQLError, NoSQLStore
from lake_assets.nosql.frames import duckdb_relation, pandas_frame
from lake_assets.nosql.opening import open_store

BARS = pd.DataFrame({"isin": ["A", "A", "B"], "minute": [1, 2, 1], "price": [1.0, None, 3.0]})


def test_a_table_is_a_pandas_frame_with_its_key_as_index_and_is_written_back_as_it_is(store: NoSQLStore) -> None:
    store.write("bars", BARS, key=["isin", "minute"])
    frame = pandas_frame(store, "bars")
    assert (frame.index.names, frame.columns.tolist()) == (["isin", "minute"], ["price"])
    assert frame.loc[("B", 1)]["price"] == 3.0
    assert pandas_frame(store, "bars", prefix=("A",), columns=["price", "minute"]).index.tolist() == [1, 2]
    assert pandas_frame(store, "bars", where="price > 5").empty
    store.write("copy", frame)
    assert store.key("copy") == ("isin", "minute")
    pd.testing.assert_frame_equal(pandas_frame(store, "copy"), frame)


def test_a_table_is_a_relation_that_can_be_read_several_times(store: NoSQLStore) -> None:
    store.write("bars", BARS, key=["isin", "minute"])
    with duckdb.connect() as connection:
        relation = duckdb_relation(store, "bars", connection, where="isin = 'A'")
        for _ in range(2):
            assert relation.aggregate("count(*), sum(price)").fetchall() == [(2, 1.0)]
        other = duckdb_relation(store, "bars", connection, columns=["isin"])
        assert other.join(relation, "isin", how="semi").distinct().fetchall() == [("A",)]
        with pytest.raises(NoSQLError, match="no column 'nothing'"):
            duckdb_relation(store, "bars", connection, columns=["nothing"])


@pytest.mark.parametrize("address", ["", "lmdb", "lmdb://", "s3://bucket", "/folder"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(NoSQLError, match="give lmdb:///FOLDER or dynamodb://PREFIX"):
        open_store(address)
