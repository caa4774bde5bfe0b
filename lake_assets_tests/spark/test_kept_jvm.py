"""Which session gets the JVM that is there, and which one a new one: without any JVM."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.resources.spark import SparkResource
from lake_assets.spark import jvm, warm
from lake_assets.spark.session import without_credentials


class Started:
    """The JVMs that would be started, and whether the last one lives."""

    def __init__(self) -> None:
        self.number = 0
        self.alive = False

    def start(self, settings: object) -> None:
        assert not self.alive
        self.number, self.alive = self.number + 1, True

    def end(self) -> None:
        self.alive = False


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    started = Started()
    monkeypatch.setattr(warm, "_kept", warm._Kept(on=True))
    monkeypatch.setattr(warm, "_start", started.start)
    monkeypatch.setattr(warm, "end_jvm", started.end)
    monkeypatch.setattr(warm, "is_alive", lambda: started.alive)
    return started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own, jar.jar").write_bytes(b"first")
    return tmp_path


def use(folder: Path, master: str = "local[1]", **conf: str) -> None:
    """Do what a run does before its session starts."""
    named = {name.replace("_", "."): value for name, value in conf.items()}
    own = (folder / "own, jar.jar").as_uri().replace(",", "%2C")
    resource = SparkResource(master=master, conf={"spark.jars": own, **named}, jars=str(folder))
    settings, _ = without_credentials(resource._settings())
    warm.prepare_jvm(settings)


def test_one_jvm_is_for_all_sessions_that_are_alike_at_their_start(started: Started, folder: Path) -> None:
    use(folder)
    use(folder)
    use(folder, spark_sql_caseSensitive="true", spark_hadoop_fs_other="yes", spark_ui_enabled="true")
    assert started.number == 1


@pytest.mark.parametrize(
    "conf",
    [
        {"spark_driver_memory": "3g"},
        {"spark_driver_extraJavaOptions": "-Dother=1"},
        {"spark_driver_extraClassPath": "/other"},
        {"spark_jars": "file:///other.jar"},
        {"spark_jars_packages": "org.other:other:1"},
        {"master": "local[2]"},
    ],
    ids=lambda conf: next(iter(conf)),
)
def test_another_memory_option_or_jar_takes_a_new_one(started: Started, folder: Path, conf: dict[str, str]) -> None:
    use(folder)
    use(folder, **conf)
    assert started.number == 2
    # Nor does the one before fit what was changed back.
    use(folder)
    assert started.number == 3


def test_a_jar_that_was_replaced_on_disk_takes_a_new_one(started: Started, folder: Path) -> None:
    use(folder)
    (folder / "own, jar.jar").write_bytes(b"another")
    use(folder)
    assert started.number == 2
    use(folder)
    assert started.number == 2


def test_sparks_own_jars_that_were_installed_anew_take_a_new_one(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(folder)
    monkeypatch.setattr(warm, "spark_jars", lambda: ["spark.jar 1 2"])
    use(folder)
    assert started.number == 2


def test_an_archive_of_classes_that_was_made_meanwhile_is_used(started: Started, folder: Path) -> None:
    use(folder)
    jvm.archive_path(folder).write_bytes(b"classes")
    use(folder)
    assert started.number == 2


def test_a_jvm_that_died_is_replaced(started: Started, folder: Path) -> None:
    use(folder)
    started.alive = False
    use(folder)
    assert started.number == 2


def test_the_warm_up_uses_the_jvm_that_is_there(started: Started, folder: Path) -> None:
    use(folder)
    with warm.any_session_fits():
        use(folder, spark_driver_memory="3g")
    assert started.number == 1


def test_a_process_of_its_own_starts_its_jvm_with_its_session(started: Started, folder: Path) -> None:
    warm._kept.on = False
    use(folder)
    assert started.number == 0
