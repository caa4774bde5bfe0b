"""Every command in README and docs is one that the program it calls understands."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.quick_commands import own_command

PAGES = [REPOSITORY_ROOT / "README.md", *sorted((REPOSITORY_ROOT / "docs").glob("*.md"))]
PROGRAMS = ("lake-assets", "dagster", "make", "git")
"""Those whose commands are parsed."""
OTHERS = {
    *("cd", "cp", "docker", "echo", "export", "head", "lakectl", "mkdir", "pip", "pre-commit", "printf", "pytest"),
    *("python", "tail", "yes"),
}
"""Those that are not of this project, or the shell's own."""
MISUNDERSTOOD: tuple[type[Exception], ...] = (click.UsageError, typer.BadParameter.__bases__[0], AssertionError)
"""What click says, or the copy of it that Typer has, or a test."""
ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the simple commands of a page: those of its blocks of code, and those within its lines."""
    text = page.read_text().replace("\\\n", " ")
    starts = "|".join(PROGRAMS)
    for line in re.findall(
        rf"^    \$ (.*)|^    ((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(?:{starts}) .*)", text, re.MULTILINE
    ):
        yield from simple_commands("".join(line))
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text):
        yield from simple_commands(span) if re.match(rf"(?:\.venv/bin/)?(?:{starts}) ", span) else ()


def simple_commands(line: str) -> Iterator[list[str]]:
    """Yield the commands of a line of the shell, without their redirections; what stands for a value becomes one."""
    words = shlex.shlex(re.sub(r"<[\w ]+>", "X", line), posix=True, punctuation_chars="|;&")
    words.whitespace_split = True
    command: list[str] = []
    redirected = False
    for word in [*words, ";"]:
        if set(word) <= set("|;&"):
            if command:
                yield command
            command = []
        elif redirected or word in (">", ">>"):
            redirected = not redirected
        elif command or not ASSIGNMENT.match(word):
            command.append(word.removeprefix(".venv/bin/"))


def parse(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """Have a command line program take its arguments apart, by click or Typer's own copy of it, and do nothing."""
    with command.make_context(name, list(words), parent=parent) as context:
        if hasattr(command, "resolve_command"):
            below, found, others = command.resolve_command(context, [*context._protected_args, *context.args])
            parse(found, below, others, context)


def understood(words: Sequence[str]) -> None:
    """Raise where a program does not understand its command line."""
    program, *arguments = words
    if program == "lake-assets":
        parse(own_command(), program, arguments)
    elif program == "dagster":
        from dagster._cli import create_dagster_cli

        parse(create_dagster_cli(), program, arguments)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (REPOSITORY_ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(targets)
    elif program == "git":
        # It tells the usage of what it knows.
        told = subprocess.run(["git", arguments[0], "-h"], capture_output=True, text=True)
        assert "usage:" in told.stdout + told.stderr
    else:
        assert program in OTHERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_is_understood_by_its_program(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run.yaml", "workspace.yaml"):
        Path(name).touch()
    misunderstood: list[str] = []
    for words in commands(page):
        try:
            understood(words)
        except MISUNDERSTOOD as error:
            # Two words are the name of a command, not its use.
            if len(words) > 2 or type(error).__name__ != "MissingParameter":
                misunderstood.append(f"{shlex.join(words)}: {error}")
    assert misunderstood == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_sensor_is_started_in_the_code_location_that_the_ui_has(page: Path) -> None:
    # With `-m`, Dagster says "Started", and starts it in a location of another name.
    for words in commands(page):
        if words[:3] == ["dagster", "sensor", "start"]:
            assert words[4:] == ["-w", "workspace.yaml"], shlex.join(words)


def test_commands_are_found_and_those_that_do_not_exist_are_told() -> None:
    assert len([words for page in PAGES for words in commands(page) if words[0] in PROGRAMS]) > 60
    for wrong in ("dagster job execute --config-json x", "lake-assets ls --nowhere", "lake-assets lst", "make tea"):
        with pytest.raises(MISUNDERSTOOD):
            understood(wrong.split())
