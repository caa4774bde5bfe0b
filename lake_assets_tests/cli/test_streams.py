"""The program with streams that are closed, full or terminals, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets_tests.cli.terminals import terminal

PROGRAM = str(Path(sys.executable).with_name("lake-assets"))


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("lake-assets", PROGRAM)],
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(lake: GitLake) -> None:
    for line, why in (
        ("lake-assets ls >&-", "Bad file descriptor"),
        ("lake-assets ls --json >&-", "Bad file descriptor"),
        ("lake-assets log > /dev/full", "No space left on device"),
    ):
        done = shell(line)
        assert done.returncode == 1, done.stderr
        assert done.stderr == f"lake-assets: standard output cannot be written: {why}\n"


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "arguments",
    ["ls", *(pytest.param(text, marks=pytest.mark.soak) for text in ("--help", "--version", "doctor --json"))],
)
def test_no_command_ends_in_a_traceback_without_an_output(lake: GitLake, arguments: str, unbuffered: str) -> None:
    done = shell(f"PYTHONUNBUFFERED={unbuffered} lake-assets {arguments} >&-")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("lake-assets: ")


def test_a_closed_stderr_changes_nothing_else(lake: GitLake) -> None:
    done = shell("lake-assets ls nowhere 2>&-; echo $?; lake-assets ls main:blob 2>&- | wc -l")
    assert done.stdout.split() == ["1", "2"]


def test_a_closed_stdin_is_no_answer(lake: GitLake) -> None:
    done = shell("lake-assets delete blob --reason test <&-")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert next(lake.list("main", "blob"), None) is not None


def test_all_streams_may_be_closed(lake: GitLake) -> None:
    assert shell("lake-assets ls <&- >&- 2>&-").returncode == 1


def test_the_program_escapes_what_its_arguments_would_do_to_a_terminal(lake: GitLake) -> None:
    with terminal() as (slave, screen):
        for arguments in (["ls", "\x1b[2J"], ["--\x1b[2J"], ["log", "--limit", "\x9b2J"]):
            done = subprocess.run([PROGRAM, *arguments], stdin=slave, stdout=slave, stderr=slave, timeout=120)
            assert done.returncode in (1, 2)
    assert "\\x1b[2J" in screen.text
    assert not {"\x1b", "\x9b"} & set(screen.text)


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"CLICOLOR_FORCE": "1"}])
def test_a_pipe_has_no_colours(lake: GitLake, variables: dict[str, str]) -> None:
    done = subprocess.run(
        [PROGRAM, "lineage", "stocks_parquet"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
