"""The job `quality`: a file becomes an asset with a profile and checks, and later files are held to its types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lake_assets.defs.quality.assets import SAMPLE
from lake_assets.defs.quality.settings import QualitySettings
from lake_assets.lake.contract import MAIN
from lake_assets.quality.stored_profiles import read_figures
from lake_assets.settings import SettingError
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.sources.servers import Handler, running


def run(graph: Graph) -> bool:
    job = graph.defs.resolve_job_def("quality")
    graph.last.append(job.execute_in_process(instance=graph.instance, raise_on_error=False))
    return graph.last[-1].success


def rows(graph: Graph, prefix: str) -> list[dict[str, object]]:
    snapshot = graph.lake.path(MAIN, prefix)
    return pq.read_table(snapshot.root, filesystem=snapshot.filesystem).to_pylist()


def test_a_file_is_fetched_from_a_web_address(make_graph: Callable[..., Graph]) -> None:
    with running(Handler) as server:
        server.files["/data/rows.csv"] = b"ISIN,price\nDE0005190003,79.5\nDE0007164600,88.2\n"
        graph = make_graph(QUALITY_FILES=f"{server.address}/data/rows.csv?token=geheim")
        assert run(graph)
        assert [row["price"] for row in rows(graph, "measurements")] == [79.5, 88.2]
        assert "geheim" not in str(graph.last[-1].all_events)
        server.files.clear()
        assert not run(graph)
        assert "no such file" in str(graph.last[-1].all_events) or "404" in str(graph.last[-1].all_events)


def test_a_file_is_typed_once_profiled_and_held_to_its_types(make_graph: Callable[..., Graph], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(SAMPLE.read_text())
    graph = make_graph(QUALITY_FILES=str(file))
    assert run(graph)
    (made,) = [
        event.step_materialization_data.materialization.metadata
        for event in graph.last[-1].get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path == ["measurements"]
    ]
    assert " |-- degrees: double (nullable = true)\n |-- day: date (nullable = true)" in str(made["schema"].value)
    assert len(rows(graph, "measurements")) == read_figures(graph.lake, MAIN, "measurements_profile")["rows"] == 120
    assert rows(graph, "measurements_quarantine") == []

    file.write_text(SAMPLE.read_text() + "121,sensor1,warm,2026-02-01,\n122,sensor1,20,2026-02-02,\n")
    assert run(graph)
    assert len(rows(graph, "measurements")) == 121
    assert rows(graph, "measurements_quarantine") == [
        {"file": "mine.csv", "line": 122, "reason": "degrees is no DOUBLE", "raw": "121,sensor1,warm,2026-02-01,"}
    ]

    before = graph.published()
    file.write_text("id,sensor\n1,x\n")
    assert not run(graph)
    assert graph.published() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("- {kind: range, column: [", "these are not constraints: "),
        ("- {kind: nix}", "these are not constraints: Invalid value 'nix'"),
        ("- {kind: range, column: price, min: 2, max: 1}", "its min 2 is above its max 1"),
        ("- {kind: complete, column: id}\n- {kind: complete, column: id}", "several constraints have the name"),
        ("- {kind: complete, column: id, name: id is there}", "letters, digits and _ only"),
        ("- {kind: complete, column: id, name: drift}", "is none of drift, anomaly"),
    ],
)
def test_a_wrong_file_of_constraints_is_named_with_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, why: str
) -> None:
    file = tmp_path / "rules.yaml"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("QUALITY_CONSTRAINTS", str(file))
    with pytest.raises(SettingError) as found:
        QualitySettings.read()
    said = str(found.value)
    assert said.startswith(f"QUALITY_CONSTRAINTS is '{file}'; it must be a YAML file of constraints: ")
    assert why in said
    assert len(said.splitlines()) == 1


def test_json_lines_that_were_good_once_stay_good(make_graph: Callable[..., Graph], tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"mixed": 1, "null": null, "open": {}}\n{"mixed": {"a": "b"}}\n')
    graph = make_graph(QUALITY_FILES=str(file))
    for _ in range(3):
        assert run(graph)
        assert rows(graph, "measurements_quarantine") == []
        assert rows(graph, "measurements") == [
            {"mixed": "1", "null": None, "open": "{}"},
            {"mixed": '{"a": "b"}', "null": None, "open": None},
        ]
