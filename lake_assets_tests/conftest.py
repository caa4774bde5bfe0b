"""Fixtures that every test may use: one Spark session for the whole run."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lake_assets_tests import quick_commands, quick_dagster
from lake_assets_tests.both_lakes import others_in_soak
from lake_assets_tests.depth import also_in_soak, load_profile
from lake_assets_tests.distribution import FromBothEnds, shared_first
from lake_assets_tests.temporary import use_memory

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake_assets_tests.database_servers import DatabaseServer
    from lake_assets_tests.dynamodb_server import DynamoDBServer
    from lake_assets_tests.kafka_broker import KafkaBroker

REPOSITORY_ROOT = Path(__file__).parent.parent

# Tests start many JVMs that live for seconds: without the second compiler they take half the CPU time.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# A shell starts what it runs in its background with Ctrl-C ignored, and all that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


use_memory()
load_profile()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests for their processes. Tests of DynamoDB are tests of services. Long tests have an hour."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "dynamodb" in getattr(item, "fixturenames", ()) or any(
            isinstance(value, str) and value == "dynamodb" for value in parameters.values()
        ):
            item.add_marker("services")
    others_in_soak(items)
    also_in_soak(items)
    for item in items:
        if item.get_closest_marker("soak") is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(3600))
    shared_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FromBothEnds:
    """Return what gives tests to processes."""
    return FromBothEnds(config, log)


# Thousands of tests and what they import stay: to look through them for garbage took a sixth of the CPU time.
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look for garbage again, in what comes from here on, and less often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_unconfigure() -> None:
    """Let the process end as any other does: libraries report what is left then."""
    gc.unfreeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def worked_out_once() -> Iterator[None]:
    """Let Dagster and Typer work out once what is the same for all tests."""
    with pytest.MonkeyPatch.context() as patched:
        quick_commands.quicken(patched)
        quick_dagster.quicken(patched)
        yield


def kafka_connector() -> dict[str, str]:
    """Return the settings that give Spark its Kafka connector; raises where it is not to be had."""
    from lake_assets.settings import SparkSettings
    from lake_assets.spark.jars import KAFKA, connector_conf

    return connector_conf(SparkSettings.read().jars.expanduser(), [KAFKA])


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of the test run, configured as the Spark resource does it.

    It has the Kafka connector where a test of the run wants a broker; such a test skips where there is none.
    """
    from pyspark.sql import SparkSession

    from lake_assets.settings import SparkSettings
    from lake_assets.spark.jars import JarsUnavailable
    from lake_assets.spark.jvm import driver_options
    from lake_assets.spark.session import prepare_process, read_any_file_name, session_conf

    prepare_process()
    conf = {**session_conf(), "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse"))}
    if any("kafka" in getattr(item, "fixturenames", ()) for item in request.session.items):
        with suppress(JarsUnavailable):
            conf |= kafka_connector()
    conf |= driver_options(SparkSettings.read().jars.expanduser(), conf)
    builder = SparkSession.builder.master("local[2]")
    for key, value in conf.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    read_any_file_name(session)
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def active_session(request: pytest.FixtureRequest) -> None:
    """Let a test find Spark's session active, as an asset does: a test before it may have made one of its own."""
    if "spark" in request.fixturenames:
        from lake_assets.spark.active import activate

        activate(request.getfixturevalue("spark"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    """The one Kafka broker of the test run, started at first use. Topics are shared: make one of your own.

    A test that stops or kills its broker takes `own_broker()` instead.
    """
    from lake_assets_tests.kafka_broker import own_broker, remove

    broker = own_broker()
    try:
        broker.start()
        yield broker
    finally:
        remove(broker)


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[DynamoDBServer]:
    """The one DynamoDB Local of the test run, started at first use. `options()` gives names that nobody else has."""
    from lake_assets_tests.dynamodb_server import own_server

    server = own_server()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[DatabaseServer]:
    """The one PostgreSQL of the test run, started at first use. Tables are shared: name one of your own."""
    from lake_assets_tests.database_servers import start_postgresql

    server = start_postgresql()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[DatabaseServer]:
    """The one MariaDB of the test run, started at first use. Tables are shared: name one of your own."""
    from lake_assets_tests.database_servers import start_mariadb

    server = start_mariadb()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_dagster_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Dagster's with its databases made, which takes seconds."""
    from dagster import DagsterInstance

    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs()
    return home


@pytest.fixture
def dagster_home(new_dagster_home: Path, tmp_path: Path) -> Path:
    """A test's own copy: processes that start at once would make the databases at once."""
    return shutil.copytree(new_dagster_home, tmp_path / "dagster")


@pytest.fixture
def xetra() -> Path:
    """The folder of real Xetra files, where this checkout has it beside it."""
    folder = REPOSITORY_ROOT.parent / "shared" / "data" / "xetra"
    if not folder.is_dir():
        pytest.skip("the real Xetra files (../shared/data/xetra) are not on this machine")
    return folder
