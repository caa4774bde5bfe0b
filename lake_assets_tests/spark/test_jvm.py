"""The options of the driver's JVM, and its archive of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.spark import jvm
from lake_assets.spark.jvm import ArchiveFailed, archive_path, driver_options, make_archive


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The archives that were made, without a JVM."""
    archives: list[Path] = []

    def make(archive: Path) -> None:
        archives.append(archive)
        archive.write_bytes(b"classes")

    monkeypatch.setattr(jvm, "check_java", lambda: None)
    monkeypatch.setattr(jvm, "_make", make)
    return archives


def test_an_archive_is_used_when_there_is_one(tmp_path: Path, made: list[Path]) -> None:
    folder = tmp_path / 'a "folder"'
    assert "SharedArchiveFile" not in driver_options(folder, {})[jvm.OPTIONS]
    archive = make_archive(folder)
    assert made == [archive]
    quoted = str(archive).replace('"', '\\"')
    assert f'"-XX:SharedArchiveFile={quoted}"' in driver_options(folder, {})[jvm.OPTIONS]


def test_an_archive_is_made_once(tmp_path: Path, made: list[Path]) -> None:
    assert make_archive(tmp_path) == make_archive(tmp_path)
    assert len(made) == 1


def test_another_java_needs_another_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "java_release", lambda _: "17.0.14")
    first = archive_path(tmp_path)
    monkeypatch.setattr(jvm, "java_release", lambda _: "17.0.15")
    assert archive_path(tmp_path) != first


def test_what_a_killed_process_left_is_removed(tmp_path: Path, made: list[Path]) -> None:
    (tmp_path / ".archive-x").mkdir()
    make_archive(tmp_path)
    assert made
    assert not list(tmp_path.glob(".archive-*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, made: list[Path]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArchiveFailed, match="SPARK_JARS"):
        make_archive(tmp_path / "file")
    assert not made


def test_the_options_of_a_user_come_last_and_win(tmp_path: Path) -> None:
    assert driver_options(tmp_path, {jvm.OPTIONS: "-Xmx3g"})[jvm.OPTIONS].endswith(" -Xmx3g")


def test_jars_that_were_installed_anew_need_another_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = archive_path(tmp_path)
    monkeypatch.setattr(jvm, "spark_jars", lambda: ["spark.jar 1 2"])
    assert archive_path(tmp_path) != first


def test_a_machines_own_spark_compiles_late_and_collects_in_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(**conf: str) -> str:
        return driver_options(tmp_path, {name.replace("_", "."): value for name, value in conf.items()})[jvm.OPTIONS]

    for name in ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    for memory in ("700m", "2g", "4096m", "2048"):
        assert "Tier4" in (said := options(spark_master="local[2]", spark_driver_memory=memory))
        assert "-XX:+UseSerialGC" in said
    for memory in ("5g", "1t", "half of it"):
        assert "Tier4" in (said := options(spark_driver_memory=memory))
        assert "GC" not in said
    assert "-XX:" not in options(spark_master="spark://host:7077")
    # A JVM refuses two collectors, wherever they are named.
    assert "Serial" not in driver_options(tmp_path, {jvm.OPTIONS: "-XX:+UseParallelGC"})[jvm.OPTIONS]
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:+UseG1GC")
    assert "Serial" not in options()
