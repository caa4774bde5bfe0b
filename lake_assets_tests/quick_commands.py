"""Typer works out all commands of the program for each command that it runs: in tests once a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import typer.main
import typer.testing


@cache
def own_command() -> Any:
    """Return the command line of `lake-assets`."""
    from lake_assets.cli.app import app

    return _get_command(app)


_get_command: Callable[[typer.Typer], Any] = typer.main.get_command


def quicken(patched: pytest.MonkeyPatch) -> None:
    """Let Typer take the command line of `lake-assets` as it was worked out before."""

    def once(program: typer.Typer) -> Any:
        from lake_assets.cli.app import app

        return own_command() if program is app else _get_command(program)

    patched.setattr(typer.main, "get_command", once)
    patched.setattr(typer.testing, "_get_command", once)
