"""Connectors are fetched once, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake_assets.spark.jars import Connector, JarsUnavailable, jars
from lake_assets.spark.session import check_java

SMALL = "org.slf4j:slf4j-nop:2.0.16"
"""A jar of a few kilobytes that wants one more."""

FETCH = (
    "import sys; from pathlib import Path; from lake_assets.spark.jars import Connector, jars\n"
    "print(jars(Path(sys.argv[1]), Connector((sys.argv[2],), ('org.slf4j:slf4j-api',))))"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    try:
        check_java()
    except RuntimeError as error:
        pytest.skip(str(error))
    return tmp_path / "with a space"


@pytest.mark.services
def test_two_who_ask_at_once_get_the_same_jars_without_what_is_not_wanted(folder: Path) -> None:
    command = [sys.executable, "-c", FETCH, str(folder), SMALL]
    asked = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=300) for process in asked]
    if any("Maven Central" in error for _, error in answers):
        reason = answers[0][1].strip().splitlines()[-1]
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    wanted = folder / "slf4j-nop-2.0.16"
    assert [out.strip() for out, _ in answers] == [str(wanted)] * 2, answers
    assert [jar.name for jar in wanted.iterdir()] == ["org.slf4j_slf4j-nop-2.0.16.jar"]
    assert {path.name for path in folder.iterdir()} == {wanted.name, ".lock"}


def test_what_is_in_the_folder_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "slf4j-nop-2.0.16").mkdir()
    assert jars(tmp_path, Connector((SMALL,))) == tmp_path / "slf4j-nop-2.0.16"


def test_what_cannot_be_fetched_is_named_and_leaves_nothing(folder: Path) -> None:
    connector = Connector(("no.such.group:no-such-artifact:1",))
    with pytest.raises(JarsUnavailable, match="no-such-artifact"):
        jars(folder, connector)
    assert {path.name for path in folder.iterdir()} == {".lock"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JarsUnavailable, match="SPARK_JARS"):
        jars(tmp_path / "file", Connector((SMALL,)))
