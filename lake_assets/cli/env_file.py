"""The file ``.env`` of the working folder."""

from __future__ import annotations

import os
from pathlib import Path

overridden: set[str] = set()
"""Names of variables that were set to another value before ``.env`` was read."""


def load_env_file() -> None:
    """Set the variables of the working folder's ``.env``. They override existing ones, as in dagster's commands."""
    from dotenv import load_dotenv

    before = dict(os.environ)
    load_dotenv(Path(".env"), override=True)
    overridden.update(name for name, value in before.items() if value and value != os.environ.get(name))
