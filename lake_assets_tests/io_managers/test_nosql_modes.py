"""The NoSQL IO manager has the save modes of Spark's DataFrameWriter, named by the asset's metadata."""

from __future__ import annotations

import uuid
from typing import Any

import pandas
import pytest
from dagster import AssetsDefinition, DagsterRun, ExecuteInProcessResult, asset

from lake_assets.io_managers import table_options
from lake_assets.io_managers.nosql import TableUpdate
from lake_assets_tests.io_managers.conftest import Workbench


def table(rows: dict[str, list[Any]], index: str = "", **metadata: Any) -> AssetsDefinition:
    """Return asset `prices`, a table by ISIN of these columns, one of which may be the frame's index."""

    @asset(name="prices", io_manager_key="nosql_io_manager", metadata={"nosql/key": "ISIN", **metadata})
    def prices() -> pandas.DataFrame:
        frame = pandas.DataFrame(rows)
        return frame.set_index(index) if index else frame

    return prices


def items(workbench: Workbench) -> dict[str, Any]:
    rows = [row for batch in workbench.store.scan("prices") for row in batch.to_pylist()]
    return {row.pop("ISIN"): row for row in rows}


def metadata_of(result: ExecuteInProcessResult) -> dict[str, Any]:
    event = result.get_asset_materialization_events()[0]
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


@pytest.fixture
def filled(workbench: Workbench) -> Workbench:
    assert workbench.run(table({"ISIN": ["a", "b"], "price": [1.0, 2.0]})).success
    return workbench


def test_append_upserts_by_key(filled: Workbench) -> None:
    result = filled.run(table({"ISIN": ["b", "c"], "price": [20.0, 30.0]}))
    assert items(filled) == {"a": {"price": 1.0}, "b": {"price": 20.0}, "c": {"price": 30.0}}
    assert metadata_of(result)["dagster/row_count"] == 3
    assert metadata_of(result)["put"] == 2
    assert filled.store.history("prices")[0].run == result.run_id


def test_overwrite_replaces_the_table_and_its_columns(filled: Workbench) -> None:
    filled.run(table({"ISIN": ["c"], "volume": [7]}, **{"nosql/mode": "overwrite"}))
    assert items(filled) == {"c": {"volume": 7}}


@pytest.fixture
def reexecuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run be a re-execution of one."""
    run = DagsterRun("prices", root_run_id=str(uuid.UUID(int=1)), parent_run_id=str(uuid.UUID(int=1)))
    monkeypatch.setattr(table_options, "run_of", lambda _: run)


@pytest.mark.usefixtures("reexecuted")
@pytest.mark.parametrize("metadata", [{"nosql/key": ""}, {"nosql/counter": "price"}], ids=["no key", "a counter"])
def test_a_reexecution_overwrites_again(workbench: Workbench, metadata: dict[str, str]) -> None:
    for price in (1.0, 2.0):
        workbench.run(table({"ISIN": ["a"], "price": [price]}, **{"nosql/mode": "overwrite", **metadata}))
        assert [row["price"] for batch in workbench.store.scan("prices") for row in batch.to_pylist()] == [price]


@pytest.mark.usefixtures("reexecuted")
@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_an_index_with_a_name_is_a_key_in_a_reexecution_too(workbench: Workbench, mode: str) -> None:
    for price in (1.0, 2.0):
        workbench.run(table({"ISIN": ["a"], "price": [price]}, index="ISIN", **{"nosql/key": "", "nosql/mode": mode}))
        assert items(workbench) == {"a": {"price": price}}


@pytest.mark.usefixtures("reexecuted")
@pytest.mark.parametrize("metadata", [{"nosql/key": ""}, {"nosql/counter": "price"}], ids=["no key", "a counter"])
def test_a_reexecution_adds_nothing_twice(workbench: Workbench, metadata: dict[str, str]) -> None:
    for _ in range(2):
        workbench.run(table({"ISIN": ["a"], "price": [1.0]}, **metadata))
    assert [row["price"] for batch in workbench.store.scan("prices") for row in batch.to_pylist()] == [1.0]


def test_errorifexists_refuses_a_table_that_is_there(filled: Workbench) -> None:
    with pytest.raises(Exception, match="prices"):
        filled.run(table({"ISIN": ["c"], "price": [3.0]}, **{"nosql/mode": "errorifexists"}))
    assert items(filled) == {"a": {"price": 1.0}, "b": {"price": 2.0}}


def test_ignore_leaves_a_table_that_is_there(filled: Workbench) -> None:
    assert filled.run(table({"ISIN": ["c"], "price": [3.0]}, **{"nosql/mode": "ignore"})).success
    assert items(filled) == {"a": {"price": 1.0}, "b": {"price": 2.0}}


def test_a_new_column_is_refused_and_the_table_is_as_before(filled: Workbench) -> None:
    with pytest.raises(Exception, match="volume"):
        filled.run(table({"ISIN": ["c"], "price": [3.0], "volume": [7]}))
    assert items(filled) == {"a": {"price": 1.0}, "b": {"price": 2.0}}


def test_allow_overwrite_schema_lets_a_new_column_in(filled: Workbench) -> None:
    changed = {"nosql/allow_overwrite_schema": "true"}
    assert filled.run(table({"ISIN": ["c"], "price": [3.0], "volume": [7]}, **changed)).success
    assert items(filled) == {
        "a": {"price": 1.0, "volume": None},
        "b": {"price": 2.0, "volume": None},
        "c": {"price": 3.0, "volume": 7},
    }


def test_newest_by_keeps_the_newer_item_in_any_order(workbench: Workbench) -> None:
    newest = {"nosql/newest_by": "time"}
    workbench.run(table({"ISIN": ["a"], "time": ["09:00"], "price": [2.0]}, **newest))
    result = workbench.run(table({"ISIN": ["a"], "time": ["08:00"], "price": [1.0]}, **newest))
    assert items(workbench) == {"a": {"time": "09:00", "price": 2.0}}
    assert metadata_of(result)["kept"] == 1


def test_an_unknown_mode_and_options_that_are_none_are_named(workbench: Workbench) -> None:
    with pytest.raises(Exception, match="'replace', not append, overwrite, errorifexists, ignore or create_only"):
        workbench.run(table({"ISIN": ["a"]}, **{"nosql/mode": "replace"}))
    with pytest.raises(Exception, match="nosql/spread of prices is 'many', not a whole number"):
        workbench.run(table({"ISIN": ["a"]}, **{"nosql/spread": "many"}))
    with pytest.raises(Exception, match="nosql/set of prices is 'price', not columns with expressions"):
        workbench.run(table({"ISIN": ["a"]}, **{"nosql/set": "price"}))


def test_a_frame_without_a_key_has_its_named_index_or_running_numbers(workbench: Workbench) -> None:
    def named(frame: pandas.DataFrame, name: str) -> AssetsDefinition:
        @asset(name=name, io_manager_key="nosql_io_manager")
        def keyless() -> pandas.DataFrame:
            return frame

        return keyless

    frame = pandas.DataFrame({"ISIN": ["a", "b"], "price": [1.0, 2.0]})
    workbench.run(named(frame.set_index("ISIN"), "by_index"))
    workbench.run(named(frame, "numbered"))
    workbench.run(named(frame, "numbered"))
    assert workbench.store.key("by_index") == ("ISIN",)
    assert [row["id"] for batch in workbench.store.scan("numbered") for row in batch.to_pylist()] == [0, 1, 2, 3]


def test_the_metadata_name_how_a_table_is_made_and_changed(workbench: Workbench) -> None:
    rows: dict[str, list[Any]] = {"ISIN": ["a", "a"], "day": ["d", "e"], "minute": [1, 2], "n": [1, 1], "high": [1, 9]}
    options: dict[str, Any] = {
        "nosql/sort_key": "minute",
        "nosql/partition": "day",
        "nosql/spread": "4",
        "nosql/counter": "n",
        "nosql/set": {"high": "greatest(old.high, new.high)"},
    }
    for _ in range(2):
        workbench.run(table(rows, **options))
    assert workbench.store.key("prices") == ("day", "ISIN", "minute")
    found = [row for batch in workbench.store.scan("prices", where="day = 'e'") for row in batch.to_pylist()]
    assert found == [{"day": "e", "ISIN": "a", "minute": 2, "n": 2, "high": 9}]


def test_an_update_from_pandas_keeps_its_named_index(filled: Workbench) -> None:
    rows = pandas.DataFrame({"ISIN": ["b", "c"], "price": [20.0, 30.0]}).set_index("ISIN")
    gone = pandas.DataFrame({"ISIN": ["a"]}).set_index("ISIN")

    @asset(name="prices", io_manager_key="nosql_io_manager", metadata={"nosql/key": "ISIN"})
    def update() -> Any:
        return TableUpdate(None, "c" * 40, "1", rows, gone)

    result = filled.run(update)
    assert items(filled) == {"b": {"price": 20.0}, "c": {"price": 30.0}}
    assert filled.store.history("prices")[0].run == result.run_id
