"""The sink `word_counts_topic`: what it delivers, and the sensor that brings it to `main`'s head."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from lake_assets import domains, environments
from lake_assets.defs.words.resources import words_outbox_address
from lake_assets.defs.words.sink import word_counts_topic
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded.backup import restore
from lake_assets.outbox.contract import Update
from lake_assets.runs.rollback import plan_rollback
from lake_assets.runs.rollback import roll_back as lake_roll_back
from lake_assets.sensors import sinks_follow_main
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.words.counts import publish, publish_other, write_counts
from lake_assets_tests.defs.words.stream import COUNTS, LINES, Stream
from lake_assets_tests.defs.words.test_publications import roll_back
from lake_assets_tests.outbox.conftest import fresh_topic
from lake_assets_tests.outbox.outboxes import OutboxSpec


@dataclass
class Words:
    """The sink on the environment in force, with counts published by hand."""

    lake: Lake
    instance: DagsterInstance

    @property
    def defs(self) -> Definitions:
        published = AssetSpec("words_published", tags={"layer": "published"})
        return Definitions(
            assets=[published, AssetSpec("word_counts"), word_counts_topic],
            sensors=[sinks_follow_main("nosql", "words_outbox")],
            resources=environments.resources(),
        )

    def run(self) -> ExecuteInProcessResult:
        job = self.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def delivered(self) -> AssetMaterialization:
        """Run the sink and return what it told Dagster."""
        result = self.run()
        assert result.success
        (event,) = result.asset_materializations_for_node("word_counts_topic")
        return event

    def tick(self, cursor: str | None = None) -> SensorExecutionData:
        repository = self.defs.get_repository_def()
        wanted = ("lake", "nosql", "words_outbox")
        resources = {key: resource for key, resource in environments.resources().items() if key in wanted}
        with build_sensor_context(
            instance=self.instance, cursor=cursor, repository_def=repository, resources=resources
        ) as context:
            return repository.get_sensor_def("sinks_follow_main").evaluate_tick(context)

    @property
    def output(self) -> OutboxSpec:
        return OutboxSpec(words_outbox_address())

    def state(self) -> dict[str, int]:
        """Return the counts that a reader has who keeps the last update of each word."""
        last = {update.key: update.value for update in self.output.read()}
        return {word: count for word, count in last.items() if count is not None}


@pytest.fixture
def make_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Words]]:
    """Return a function that makes the sink, fresh, on an output."""
    for variable in domains.all_variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    with closing(environments.open_lake()) as lake, DagsterInstance.ephemeral() as instance:

        def make(output: str) -> Words:
            monkeypatch.setenv("WORDS_SINK", output)
            return Words(lake, instance)

        yield make


@pytest.fixture(params=["lines", pytest.param("kafka", marks=pytest.mark.services)])
def words(request: pytest.FixtureRequest, make_words: Callable[[str], Words]) -> Words:
    """The sink on each kind of output."""
    if request.param == "lines":
        return make_words("")
    return make_words(fresh_topic(request.getfixturevalue("kafka")).address)


def test_each_published_update_is_delivered_once_in_the_order_of_commits(words: Words) -> None:
    publish(words.lake, dog=2, cat=1)
    publish_other(words.lake)
    first = words.delivered().metadata
    assert (first["commits"].value, first["updates"].value, first["tombstones"].value) == (1, 2, 0)
    publish(words.lake, dog=2, cat=3)
    publish(words.lake, dog=4, cat=3)
    second = words.delivered().metadata
    assert (second["commits"].value, second["updates"].value) == (2, 2)
    assert (second["lake/since"], second["lake/commit"].value) == (first["lake/commit"], words.lake.head(MAIN).id)
    assert words.output.read() == [Update("cat", 1), Update("dog", 2), Update("cat", 3), Update("dog", 4)]


def test_a_second_run_sends_nothing_and_says_so(words: Words) -> None:
    publish(words.lake, dog=2)
    first = words.delivered()
    again = words.delivered()
    assert (again.metadata["commits"].value, again.metadata["updates"].value) == (0, 0)
    assert "nothing to deliver" in str(again.metadata["note"].value)
    version = "dagster/data_version"
    assert (again.tags or {})[version] == (first.tags or {})[version]
    assert words.output.read() == [Update("dog", 2)]


def test_a_rollback_flows_on_by_the_sensor_with_null_for_words_that_are_gone(words: Words) -> None:
    before = publish(words.lake, dog=2)
    words.delivered()
    publish(words.lake, dog=3, java=1)
    words.delivered()
    quiet = words.tick()
    assert not quiet.run_requests
    assert "Every sink holds" in (quiet.skip_message or "")

    roll_back(words.lake, before)
    ticked = words.tick(quiet.cursor)
    (request,) = ticked.run_requests or []
    assert request.asset_selection == [AssetKey("word_counts_topic")]
    assert words.delivered().metadata["tombstones"].value == 1
    assert words.output.read()[-2:] == [Update("dog", 2), Update("java", None)]
    assert words.state() == {"dog": 2}
    assert not words.tick().run_requests


def test_what_was_published_without_the_sink_reaches_it_by_the_sensor(words: Words) -> None:
    publish(words.lake, dog=2)
    assert not words.tick().run_requests  # Never fed: the next run of its job does it.
    words.delivered()
    publish(words.lake, dog=3)
    assert [request.asset_selection for request in words.tick().run_requests or []] == [[AssetKey("word_counts_topic")]]


def test_an_output_of_another_lake_gets_all_counts_in_one_go_and_the_log_says_so(words: Words) -> None:
    with words.output.open().sender() as sender:
        sender.deliver("c0ffee", [Update("dog", 7)])
    publish(words.lake, dog=1)
    publish(words.lake, dog=2, cat=1)
    event = words.delivered()
    assert (event.metadata["commits"].value, event.metadata["updates"].value) == (1, 2)
    assert "which main never was" in str(event.metadata["note"].value)
    assert words.state() == {"dog": 2, "cat": 1}


def test_an_output_that_is_ahead_of_a_restored_main_is_brought_back_to_what_it_holds(
    words: Words, tmp_path: Path
) -> None:
    publish(words.lake, dog=2, cat=1)
    words.delivered()
    words.lake.backup(tmp_path / "backup")
    publish(words.lake, dog=5, bird=3)
    words.delivered()
    assert words.state() == {"dog": 5, "bird": 3}
    restore(tmp_path / "backup", environments.lake_home(), replace=True)
    with closing(environments.open_lake()) as restored:
        words = Words(restored, words.instance)
        assert [request.asset_selection for request in words.tick().run_requests or []] == [
            [AssetKey("word_counts_topic")]
        ]
        event = words.delivered()
        assert (event.metadata["updates"].value, event.metadata["tombstones"].value) == (3, 1)
        assert words.state() == {"dog": 2, "cat": 1}
        assert not words.tick().run_requests


def test_an_output_that_does_not_answer_is_named_and_the_sensor_asks_again(make_words: Callable[[str], Words]) -> None:
    with socket.socket() as deaf, pytest.MonkeyPatch.context() as patch:
        deaf.bind(("127.0.0.1", 0))
        patch.setenv("KAFKA_DEADLINE", "1")
        words = make_words(f"kafka://127.0.0.1:{deaf.getsockname()[1]}/counts")
        publish(words.lake, dog=1)
        began = time.monotonic()
        result = words.run()
        ticked = words.tick("before")
        assert time.monotonic() - began < 20
        (failed,) = [event for event in result.all_events if event.is_step_failure]
        assert "the servers do not answer" in str(failed.step_failure_data.error)
        assert not ticked.run_requests
        assert "word_counts_topic: the servers do not answer" in (ticked.skip_message or "")
        assert ticked.cursor == "before"


@pytest.mark.soak
def test_the_job_words_ends_at_the_output_and_a_rollback_of_the_lake_flows_on(stream: Stream) -> None:
    graph = stream.graph
    stream.add("first", *LINES)
    assert stream.run().success
    first = graph.lake.head(MAIN).id
    output = OutboxSpec(words_outbox_address())
    assert {update.key: update.value for update in output.read()} == COUNTS

    stream.add("second", "dog kafka")
    assert stream.run().success
    sent = output.read()[len(COUNTS) :]
    assert sent == [Update("dog", COUNTS["dog"] + 1), Update("kafka", 1)]

    plan = plan_rollback(graph.lake, first)
    lake_roll_back(graph.lake, graph.instance, graph.defs.resolve_asset_graph(), plan, "a test")
    assert stream.run("word_counts_topic", job="words").success
    assert output.read()[len(COUNTS) + 2 :] == [Update("dog", COUNTS["dog"]), Update("kafka", None)]


def test_a_working_branch_has_an_output_of_its_own(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(words.lake, dog=2)
    words.delivered()
    words.lake.create_branch("dev", MAIN, protected=True)
    words.lake.create_branch("mine", "dev")
    write_counts(words.lake, "mine", {"dog": 2, "cat": 7})
    words.lake.merge("mine", "dev", audit=TESTS)
    monkeypatch.setenv("LAKE_BRANCH", "dev")
    words.delivered()
    address = words_outbox_address()
    own = f"{address}--dev" if "://" in address else str(Path(address).with_stem(f"{Path(address).stem}--dev"))
    assert {update.key: update.value for update in OutboxSpec(own).read()} == {"dog": 2, "cat": 7}
    # Who reads that of `main` sees nothing of it, and `main` goes on.
    assert words.state() == {"dog": 2}
    monkeypatch.delenv("LAKE_BRANCH")
    publish(words.lake, dog=3)
    words.delivered()
    assert words.state() == {"dog": 3}
    assert {update.key: update.value for update in OutboxSpec(own).read()} == {"dog": 2, "cat": 7}
    monkeypatch.setenv("LAKE_BRANCH", "dev")
    monkeypatch.setenv("LAKE_BRANCH_SINKS", "false")
    words.run()
    assert {update.key: update.value for update in OutboxSpec(own).read()} == {"dog": 2, "cat": 7}
