"""Options of several commands. A number outside of its bounds is wrong usage."""

from __future__ import annotations

import getpass
import math
import os

import typer

MOST = 10**12
"""The largest number of rows, lines or commits that can be asked for."""

MOST_DAYS = 36_500
"""The largest age, as in the settings."""


def not_nan(value: float | None) -> float | None:
    """Check an option. NaN is within all bounds.

    Parameters
    ----------
    value
        The option's value. None if it is not given.

    Raises
    ------
    typer.BadParameter
        It is not a number.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


def person(by: str) -> str:
    """Return the person that an option names, or else the user, who may be a number without a name in a container.

    Parameters
    ----------
    by
        The option.
    """
    try:
        return by.strip() or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
