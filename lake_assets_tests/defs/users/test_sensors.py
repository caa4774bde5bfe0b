"""What `new_user_files` asks for, tick by tick, on a real folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import AddDynamicPartitionsRequest, DagsterInstance, RunRequest, SensorEvaluationContext
from dagster._core.definitions.sensor_definition import SensorExecutionData

from lake_assets import definitions, environments
from lake_assets.defs.users.partitions import BATCHES_NAME
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.defs.users import files
from lake_assets_tests.lake.backends import BACKENDS


class Sensor:
    """`new_user_files`: each tick goes on from the cursor of the one before."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        repository = definitions.defs.get_repository_def()
        # As the daemon makes it: without the reference a tick cannot ask for new partitions.
        with SensorEvaluationContext(
            instance_ref=self.instance.get_ref(),
            cursor=self.cursor,
            repository_def=repository,
            repository_name=repository.name,
            sensor_name="new_user_files",
            resources={"lake": environments.resources()["lake"]},
        ) as context:
            data = repository.get_sensor_def("new_user_files").evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data

    def asked_for(self) -> list[str]:
        """Return the batches that the next tick asks for."""
        return [request.partition_key or "" for request in self.tick().run_requests or []]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fresh(getattr(request, "param", "embedded"), tmp_path, monkeypatch)


@pytest.fixture
def sensor(instance: DagsterInstance) -> Sensor:
    return Sensor(instance)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    monkeypatch.setenv("USERS_SOURCE", str(folder))
    return folder


def add(folder: Path, batch: str, content: bytes = b"users") -> Path:
    file = folder / f"{batch}.parquet"
    file.write_bytes(content)
    return file


def test_each_new_file_becomes_a_batch_with_one_run(folder: Path, sensor: Sensor) -> None:
    add(folder, "week1")
    tick = sensor.tick()
    assert [request.partition_key for request in tick.run_requests or []] == ["week1"]
    assert tick.dynamic_partitions_requests == [AddDynamicPartitionsRequest(BATCHES_NAME, ["week1"])]
    assert sensor.asked_for() == []
    add(folder, "week2")
    assert sensor.asked_for() == ["week2"]
    skipped = sensor.tick()
    assert "No new or changed file" in (skipped.skip_message or "")
    assert "2 known" in (skipped.skip_message or "")


def test_a_changed_file_gets_a_run_under_another_key(folder: Path, sensor: Sensor) -> None:
    file = add(folder, "week1")
    (first,) = sensor.tick().run_requests or []
    file.write_bytes(b"other users")
    (second,) = sensor.tick().run_requests or []
    assert first.partition_key == second.partition_key == "week1"
    assert first.run_key != second.run_key
    assert sensor.asked_for() == []


def test_the_same_version_has_the_same_run_key_even_where_the_cursor_is_lost(folder: Path, sensor: Sensor) -> None:
    add(folder, "week1")
    (first,) = sensor.tick().run_requests or []
    sensor.cursor = None
    (again,) = sensor.tick().run_requests or []
    # Dagster makes one run of two requests with one key.
    assert first.run_key == again.run_key


def test_many_files_are_asked_for_a_hundred_at_a_time(folder: Path, sensor: Sensor) -> None:
    expected = [f"week{number:04d}" for number in range(250)]
    for batch in expected:
        add(folder, batch)
    assert [batch for _ in range(4) for batch in sensor.asked_for()] == expected


def test_a_file_whose_name_no_partition_can_have_keeps_nothing_else_from_its_run(folder: Path, sensor: Sensor) -> None:
    for batch in ("week...1", "week\n1", "week2"):
        add(folder, batch)
    assert sensor.asked_for() == ["week2"]


def test_a_folder_that_is_away_is_skipped_with_its_reason_and_found_again(folder: Path, sensor: Sensor) -> None:
    add(folder, "week1")
    away = folder.rename(folder.with_name("away"))
    assert f"{folder}: cannot be listed" in (sensor.tick().skip_message or "")
    away.rename(folder)
    assert sensor.asked_for() == ["week1"]


def test_http_is_skipped_with_what_to_do_instead(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_SOURCE", "https://ann:hunter2@host.invalid/seed")
    told = sensor.tick().skip_message or ""
    assert "http cannot be listed; run a batch by its name instead" in told
    assert "hunter2" not in told


def test_an_address_that_is_not_a_source_is_skipped_with_its_reason(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERS_SOURCE", "ftp://host/seed")
    assert "ftp:// is not supported" in (sensor.tick().skip_message or "")


def test_the_generator_has_no_new_files(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USERS_SOURCE", raising=False)
    assert "none is new" in (sensor.tick().skip_message or "")


# What main holds


def bring(sensor: Sensor, request: RunRequest) -> None:
    """Publish the batch of a request, as the daemon's run does."""
    tags = {name: value for name, value in request.tags.items() if not name.startswith("dagster/partition")}
    sensor.instance.add_dynamic_partitions(BATCHES_NAME, [request.partition_key or ""])
    job = definitions.definitions(environments.resources()).resolve_job_def("users")
    assert job.execute_in_process(
        instance=sensor.instance,
        partition_key=request.partition_key,
        tags={**tags, "dagster/run_key": request.run_key or ""},
    ).success


@pytest.mark.parametrize("home", BACKENDS, indirect=True)
def test_a_batch_that_goes_back_to_an_older_version_is_taken_in_again_and_a_lost_cursor_asks_for_nothing(
    folder: Path, sensor: Sensor
) -> None:
    keys: list[str | None] = []
    for name in ("Ann", "Ben", "Ann"):
        # In place and at its time: the third version is described as the first was.
        files.add(folder, "back", files.changed("back", first_name=name))
        os.utime(folder / "back.parquet", ns=(0, ord(name[0])))
        (request,) = sensor.tick().run_requests or []
        keys.append(request.run_key)
        bring(sensor, request)
        assert sensor.asked_for() == []
    assert len(set(keys)) == 3
    for cursor in (None, "garbage", "[]", '{"files": {"back": 1}}'):
        sensor.cursor = cursor
        assert sensor.asked_for() == []
