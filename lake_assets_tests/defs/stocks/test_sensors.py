"""What the sensors ask for, tick by tick, on real folders and a real http server; and the hourly schedule."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from lake_assets import definitions, environments
from lake_assets.defs.stocks import sensors
from lake_assets.defs.stocks.partitions import HOURS, partition_key
from lake_assets.defs.stocks.resources import stocks_source
from lake_assets.lake.contract import MAIN
from lake_assets.runs import new_files
from lake_assets.runs.branch import branch_name
from lake_assets.runs.rollback import plan_rollback, roll_back
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.lakefs_server import fresh_repository
from lake_assets_tests.sources.servers import FaultyServer, Handler, running, status

HEADER = b"ISIN,Mnemonic\n"
DAGSTERS_LIMIT = 60
"""Seconds in which a tick must be done."""


class Sensor:
    """`new_stock_files` on a source: each tick goes on from the cursor of the one before."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        repository = definitions.defs.get_repository_def()
        with build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=repository,
            resources={"stocks_source": stocks_source(), "lake": environments.resources()["lake"]},
        ) as context:
            data = repository.get_sensor_def("new_stock_files").evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data

    def asked_for(self) -> list[str]:
        """Return the partitions that the next tick asks for."""
        return [request.partition_key or "" for request in self.tick().run_requests or []]


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fresh(getattr(request, "param", "embedded"), tmp_path, monkeypatch)


both_lakes = pytest.mark.parametrize("home", BACKENDS, indirect=True)


@pytest.fixture
def sensor() -> Iterator[Sensor]:
    with DagsterInstance.ephemeral() as instance:
        yield Sensor(instance)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    monkeypatch.setenv("STOCKS_SOURCE", str(folder))
    return folder


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with running(Handler) as server:
        monkeypatch.setenv("STOCKS_SOURCE", server.address)
        yield server


def name_of(hour: datetime) -> str:
    return f"{hour:%Y-%m-%d}/{hour:%Y-%m-%d}_BINS_XETR{hour:%H}.csv"


def add(folder: Path, hour: datetime, content: bytes = HEADER) -> Path:
    file = folder / name_of(hour)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return file


def hours(count: int, first: datetime = HOURS.start) -> list[datetime]:
    return [first + timedelta(hours=number) for number in range(count)]


def last_hour(back: int = 0) -> datetime:
    """Return the start of the last hour that has ended, or of one before it."""
    return datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1 + back)


def test_each_new_file_gets_one_run_and_no_second_one(folder: Path, sensor: Sensor) -> None:
    first, second = hours(2)
    add(folder, first)
    assert sensor.asked_for() == [partition_key(first)]
    assert sensor.asked_for() == []
    add(folder, second)
    assert sensor.asked_for() == [partition_key(second)]
    skipped = sensor.tick()
    assert not skipped.run_requests
    assert "No new or changed file" in (skipped.skip_message or "")
    assert "2 known" in (skipped.skip_message or "")


def test_a_changed_file_gets_a_run_under_another_key(folder: Path, sensor: Sensor) -> None:
    file = add(folder, HOURS.start)
    (first,) = sensor.tick().run_requests or []
    file.write_bytes(HEADER * 2)
    (second,) = sensor.tick().run_requests or []
    assert first.partition_key == second.partition_key
    assert first.run_key != second.run_key
    assert sensor.asked_for() == []


def test_the_same_version_has_the_same_run_key_even_where_the_cursor_is_lost(folder: Path, sensor: Sensor) -> None:
    add(folder, HOURS.start)
    (first,) = sensor.tick().run_requests or []
    sensor.cursor = None
    (again,) = sensor.tick().run_requests or []
    # Dagster makes one run of two requests with one key.
    assert first.run_key == again.run_key


def test_files_from_before_the_data_set_and_of_hours_that_have_not_ended_wait(folder: Path, sensor: Sensor) -> None:
    for hour in (HOURS.start - timedelta(hours=1), last_hour(-1), last_hour(-1000)):
        add(folder, hour)
    add(folder, last_hour())
    assert sensor.asked_for() == [partition_key(last_hour())]


def test_ten_thousand_files_are_asked_for_a_hundred_at_a_time_oldest_first(folder: Path, sensor: Sensor) -> None:
    expected = hours(10_000)
    for hour in expected:
        add(folder, hour)
    asked: list[str] = []
    for _ in range(3):
        started = time.monotonic()
        asked += sensor.asked_for()
        assert time.monotonic() - started < DAGSTERS_LIMIT / 3
    assert asked == [partition_key(hour) for hour in expected[:300]]


def test_files_are_asked_for_however_long_the_listing_took(
    folder: Path, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, late = sensors._files, SimpleNamespace(seconds=0.0)

    def listed_slowly(*arguments: Any) -> Any:
        late.seconds = 1000.0
        return files(*arguments)

    monkeypatch.setattr(sensors, "_files", listed_slowly)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late.seconds, time=time.time)
    monkeypatch.setattr(new_files, "time", clock)
    add(folder, HOURS.start)
    assert sensor.asked_for() == [partition_key(HOURS.start)]


def test_with_ten_thousand_files_known_one_more_is_found(
    folder: Path, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    *known, new = hours(10_001)
    for hour in known:
        add(folder, hour)
    monkeypatch.setattr(sensors, "RUNS_PER_TICK", 10_000)
    assert len(sensor.asked_for()) == 10_000
    add(folder, new)
    started = time.monotonic()
    assert sensor.asked_for() == [partition_key(new)]
    assert time.monotonic() - started < DAGSTERS_LIMIT / 3


def test_a_folder_that_is_away_is_skipped_with_its_reason_and_found_again(folder: Path, sensor: Sensor) -> None:
    add(folder, HOURS.start)
    away = folder.rename(folder.with_name("away"))
    skipped = sensor.tick()
    assert not skipped.run_requests
    assert str(folder) in (skipped.skip_message or "")
    assert "cannot be listed now" in (skipped.skip_message or "")
    away.rename(folder)
    assert sensor.asked_for() == [partition_key(HOURS.start)]


def test_http_is_probed_by_head_for_the_hours_just_past(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_PROBE_HOURS", "5")
    recent, old = last_hour(2), last_hour(20)
    for hour in (recent, old):
        http.files[f"/{name_of(hour)}"] = HEADER
    assert sensor.asked_for() == [partition_key(recent)]
    assert {method for method, _, _ in http.requests} == {"HEAD"}
    assert len(http.requests) == 6
    assert sensor.asked_for() == []
    http.files[f"/{name_of(recent)}"] = HEADER * 2
    assert sensor.asked_for() == [partition_key(recent)]


def test_http_that_refuses_is_skipped_with_its_reason_and_recovers(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_PROBE_HOURS", "1")
    http.files[f"/{name_of(last_hour())}"] = HEADER
    http.faults.extend([status(503)] * 2)
    skipped = sensor.tick()
    assert not skipped.run_requests
    assert "503" in (skipped.skip_message or "")
    http.faults.clear()
    assert sensor.asked_for() == [partition_key(last_hour())]


def test_http_that_says_nothing_is_given_up_well_within_dagsters_limit(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "SENSOR_LIMITS", sensors.RetryLimits(tries=2, deadline=2, read_timeout=0.5))
    http.faults.extend([lambda handler, _: handler.server.over.wait(30)] * 100)
    started = time.monotonic()
    skipped = sensor.tick()
    assert time.monotonic() - started < DAGSTERS_LIMIT / 3
    assert "no answer" in (skipped.skip_message or "")


def test_slow_http_ends_the_tick_with_what_was_found_the_newest_first(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for back in range(10):
        http.files[f"/{name_of(last_hour(back))}"] = HEADER
    monkeypatch.setattr(sensors, "PROBING_SECONDS", 0)
    assert sensor.asked_for() == [partition_key(last_hour())]


def test_no_patience_with_http_outlasts_dagsters_limit() -> None:
    assert sensors.PROBING_SECONDS + sensors.SENSOR_LIMITS.deadline < DAGSTERS_LIMIT
    assert sensors.LISTING_LIMITS.deadline < DAGSTERS_LIMIT


@pytest.mark.parametrize(
    ("tick", "partition"),
    [
        (datetime(2017, 7, 28, 9, 10, tzinfo=timezone.utc), "2017-07-28-08:00"),
        (datetime(2026, 1, 1, 0, 10, tzinfo=timezone.utc), "2025-12-31-23:00"),
    ],
)
def test_the_schedule_runs_the_hour_that_has_just_ended(tick: datetime, partition: str) -> None:
    schedule = definitions.defs.get_schedule_def("stocks_hourly")
    assert schedule.cron_schedule == "10 * * * *"
    context = build_schedule_context(
        scheduled_execution_time=tick, repository_def=definitions.defs.get_repository_def()
    )
    (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.partition_key == partition


# What main holds, and which runs go on


@pytest.fixture
def runs(dagster_home: Path, folder: Path) -> Iterator[Sensor]:
    """The sensor on an instance that keeps runs, and that executes them."""
    with DagsterInstance.local_temp(str(dagster_home)) as instance:
        yield Sensor(instance)


def bring(sensor: Sensor, request: RunRequest, *, publish: bool = True) -> None:
    """Fetch the file of a request, as the daemon's run does, and publish it."""
    tags = {name: value for name, value in request.tags.items() if not name.startswith("dagster/partition")}
    job = definitions.definitions(environments.resources()).resolve_job_def("stocks")
    result = job.execute_in_process(
        instance=sensor.instance,
        partition_key=request.partition_key,
        tags={**tags, "dagster/run_key": request.run_key or ""},
        asset_selection=[AssetKey("stocks_csv")],
    )
    assert result.success
    if publish:
        with closing(environments.open_lake()) as lake:
            lake.merge(branch_name(result.run_id), MAIN, audit=TESTS)


def brought(sensor: Sensor, file: Path, content: bytes) -> str:
    """Write a version of a file, let the sensor bring it, and return the run key."""
    file.write_bytes(content)
    (request,) = sensor.tick().run_requests or []
    bring(sensor, request)
    assert sensor.asked_for() == []
    return request.run_key or ""


@both_lakes
def test_a_file_that_goes_back_to_an_older_version_is_taken_in_again(runs: Sensor, folder: Path) -> None:
    file = add(folder, HOURS.start)
    keys: list[str] = []
    for content in (b"a\n1\n", b"b\n2\n", b"a\n1\n", b"b\n2\n"):
        # In place: a new file would have another inode, and so another version.
        file.write_bytes(content)
        os.utime(file, ns=(0, content[0]))
        (request,) = runs.tick().run_requests or []
        keys.append(request.run_key or "")
        bring(runs, request)
        with closing(environments.open_lake()) as lake:
            (held,) = (item.path for item in lake.list(MAIN, "stocks_csv") if item.path.endswith(".csv"))
            snapshot = lake.path(MAIN, held)
            assert snapshot.filesystem.open_input_stream(snapshot.root).readall() == content
        assert runs.asked_for() == []
    assert len(set(keys)) == len(keys)


@both_lakes
def test_a_file_that_goes_back_after_a_run_by_hand_is_taken_in_again(runs: Sensor, folder: Path) -> None:
    file = add(folder, HOURS.start)
    brought(runs, file, b"a\n1\n")
    before = file.stat()
    file.write_bytes(b"b\n2\n")
    bring(runs, RunRequest(partition_key=partition_key(HOURS.start)))
    file.write_bytes(b"a\n1\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert runs.asked_for() == [partition_key(HOURS.start)]


def _far(runs: Sensor, said: Sequence[float]) -> dict[str, Any]:
    """Return a cursor of the current head that says something about each file that it knows."""
    known = json.loads(runs.tick().cursor or "")
    return known | {"files": {key: [version, *said] for key, (version, *_) in known["files"].items()}}


@both_lakes
def test_with_a_lost_cursor_nothing_is_asked_for_that_main_holds(runs: Sensor, folder: Path) -> None:
    first, second = hours(2)
    brought(runs, add(folder, first), b"a\n1\n")
    add(folder, second)
    garbage = [
        '{"main": 3, "files": {"2017-06-17-00:00": [1]}}',
        '{"files": 0}',
        *(json.dumps(_far(runs, said)) for said in ([1, 10**400], [-(10**400), 0], [10**400, 0], [1, float("nan")])),
        "[" * 100_000,
        "{",
        "[]",
        "1",
        '"x"',
        "null",
        "",
        None,
    ]
    for cursor in garbage:
        runs.cursor = cursor
        assert runs.asked_for() == [partition_key(second)]


@pytest.mark.parametrize("keep", [True, False])
def test_a_lake_that_was_lost_is_filled_again(runs: Sensor, folder: Path, tmp_path: Path, keep: bool) -> None:
    key = brought(runs, add(folder, HOURS.start), b"a\n1\n")
    shutil.rmtree(tmp_path / "home")
    if not keep:
        runs.cursor = None
    (request,) = runs.tick().run_requests or []
    assert request.run_key != key
    bring(runs, request)
    assert runs.asked_for() == []


@pytest.mark.services
@pytest.mark.parametrize("home", ["lakefs"], indirect=True)
@pytest.mark.parametrize("keep", [True, False])
def test_a_repository_that_was_lost_is_filled_again(
    runs: Sensor, folder: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    key = brought(runs, add(folder, HOURS.start), b"a\n1\n")
    monkeypatch.setenv("LAKEFS_REPOSITORY", fresh_repository().rpartition("/")[2])
    if not keep:
        runs.cursor = None
    (request,) = runs.tick().run_requests or []
    assert request.run_key != key
    bring(runs, request)
    assert runs.asked_for() == []


def test_an_older_copy_of_the_lake_is_brought_up_to_date(runs: Sensor, folder: Path, tmp_path: Path) -> None:
    file = add(folder, HOURS.start)
    brought(runs, file, b"a\n1\n")
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    brought(runs, file, b"b\n2\n")
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "copy").rename(tmp_path / "home")
    assert runs.asked_for() == [partition_key(HOURS.start)]


@both_lakes
def test_an_old_cursor_does_not_hide_what_main_lacks(runs: Sensor, folder: Path) -> None:
    file = add(folder, HOURS.start)
    brought(runs, file, b"a\n1\n")
    old, status = runs.cursor, file.stat()
    file.rename(folder / "a")
    brought(runs, file, b"b\n2\n")
    (folder / "a").replace(file)
    assert file.stat().st_ino == status.st_ino
    runs.cursor = old
    assert runs.asked_for() == [partition_key(HOURS.start)]


def test_while_a_run_for_the_hour_goes_on_none_is_asked_for(runs: Sensor, folder: Path) -> None:
    add(folder, HOURS.start)
    key = partition_key(HOURS.start)
    run = runs.instance.create_run_for_job(
        definitions.defs.resolve_job_def("stocks"),
        tags={"dagster/partition": key},
        status=DagsterRunStatus.STARTED,
    )
    skipped = runs.tick()
    assert "under way for 1 more" in (skipped.skip_message or "")
    runs.instance.report_run_canceled(run)
    assert runs.asked_for() == [key]


def test_a_run_that_did_not_reach_main_is_asked_for_again_later_and_later(
    runs: Sensor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, HOURS.start)
    # The clock stands still while the run takes as long as it takes.
    now = time.time()
    monkeypatch.setattr(new_files, "_now", lambda now=now: now)
    (request,) = runs.tick().run_requests or []
    bring(runs, request, publish=False)
    keys = [request.run_key]
    for pause in (600, 1200, 2400):
        monkeypatch.setattr(new_files, "_now", lambda now=now, pause=pause: now + pause - 5)
        assert runs.asked_for() == []
        now += pause + 1
        monkeypatch.setattr(new_files, "_now", lambda now=now: now)
        (request,) = runs.tick().run_requests or []
        bring(runs, request, publish=False)
        keys.append(request.run_key)
    assert len(set(keys)) == len(keys)


@both_lakes
def test_what_a_person_rolled_back_is_not_undone(runs: Sensor, folder: Path) -> None:
    file = add(folder, HOURS.start)
    brought(runs, file, b"a\n1\n")
    with closing(environments.open_lake()) as lake:
        before = lake.head(MAIN).id
        brought(runs, file, b"b\n2\n")
        graph = definitions.defs.resolve_asset_graph()
        roll_back(lake, runs.instance, graph, plan_rollback(lake, before), "a test")
    assert runs.asked_for() == []


# One hour's failure


@pytest.mark.parametrize("code", [400, 401, 403, 500, 503])
def test_one_hours_failure_is_no_others(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("STOCKS_PROBE_HOURS", "5")
    for back in range(6):
        http.files[f"/{name_of(last_hour(back))}"] = HEADER
    http.always[f"/{name_of(last_hour(2))}"] = status(code)
    tick = sensor.tick()
    asked = {request.partition_key for request in tick.run_requests or []}
    assert asked == {partition_key(last_hour(back)) for back in (0, 1, 3, 4, 5)}
    told = sensor.tick().skip_message or ""
    assert ("1 could not be asked for" in told) == (code != 403)
    assert (name_of(last_hour(2)) in told) == (code != 403)


def test_an_answer_of_403_to_every_hour_is_told(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_PROBE_HOURS", "2")
    for back in range(3):
        http.always[f"/{name_of(last_hour(back))}"] = status(403)
    assert "3 could not be asked for" in (sensor.tick().skip_message or "")
    http.always.clear()
    http.files[f"/{name_of(last_hour())}"] = HEADER
    assert sensor.asked_for() == [partition_key(last_hour())]
    # Now 403 is the answer for a missing file, in this tick and in later ones.
    for back in range(1, 3):
        http.always[f"/{name_of(last_hour(back))}"] = status(403)
    assert "could not" not in (sensor.tick().skip_message or "")


def test_an_hour_that_hangs_keeps_no_other_from_being_asked_for(
    http: FaultyServer, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_PROBE_HOURS", "5")
    monkeypatch.setattr(sensors, "SENSOR_LIMITS", sensors.RetryLimits(tries=1, deadline=0.5))

    def hang(handler: Handler, _: bytes) -> None:
        handler.server.over.wait(30)

    for back in range(6):
        http.files[f"/{name_of(last_hour(back))}"] = HEADER
    http.always[f"/{name_of(last_hour())}"] = hang
    assert len(sensor.asked_for()) == 5
    assert "too slow" in (sensor.tick().skip_message or "")


@pytest.mark.parametrize(
    ("source", "seconds"),
    [
        ("/data/stocks", 3),
        ("file:///data/{date}_{hour}.csv", 3),
        ("https://host/stocks", 60),
        ("s3://bucket/stocks", 60),
        ("generated", 60),
        ("generated:2017-07-24..2017-07-28", 60),
        (" ", 60),
    ],
)
def test_a_folder_is_looked_at_whenever_the_daemon_looks_and_a_server_each_minute(source: str, seconds: int) -> None:
    assert new_files.interval(source) == seconds
