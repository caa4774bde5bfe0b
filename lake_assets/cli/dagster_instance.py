"""Dagster's instance, for commands that need runs."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from lake_assets.cli.errors import CommandError

if TYPE_CHECKING:
    from dagster import DagsterInstance


def dagster_home() -> Path:
    """Return the folder of Dagster's instance.

    Raises
    ------
    CommandError
        ``DAGSTER_HOME`` is not set, or is not a folder.
    """
    value = os.environ.get("DAGSTER_HOME")
    if not value:
        raise CommandError(
            "DAGSTER_HOME is not set, so runs cannot be looked up: run this in the project's folder, where "
            "`make` writes it to .env, or set it to the absolute path of Dagster's folder"
        )
    home = Path(value).expanduser()
    if not home.is_absolute() or not home.is_dir():
        raise CommandError(
            f"DAGSTER_HOME is {value!r}, which is not the absolute path of a folder: correct it, or create the folder"
        )
    return home


def open_instance() -> DagsterInstance:
    """Open Dagster's instance, which is a context manager.

    Raises
    ------
    CommandError
        ``DAGSTER_HOME`` is not set or is not a folder, or the instance cannot be opened.
    """
    home = dagster_home()
    from dagster import DagsterInstance

    try:
        return DagsterInstance.get()
    except Exception as error:
        # Dagster's message about an invalid dagster.yaml contains its whole schema.
        reason = shorten(str(error), 200, placeholder=" …")
        raise CommandError(f"Dagster's instance in DAGSTER_HOME {home} cannot be opened: {reason}") from error
