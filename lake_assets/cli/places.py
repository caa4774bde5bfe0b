"""How places of the lake are written on the command line: ``REF:PREFIX``, or ``lake://COMMIT/PREFIX``."""

from __future__ import annotations

from typing import NamedTuple

import typer

URI = "lake://"


class Place(NamedTuple):
    """A prefix as a ref holds it; the empty prefix is the whole lake."""

    ref: str
    prefix: str


def parse_place(text: str, *, whole: bool = False) -> Place:
    """Read a place.

    Parameters
    ----------
    text
        What the user wrote.
    whole
        Whether a ref alone will do, for all it holds.

    Raises
    ------
    typer.BadParameter
        It is none.
    """
    if text.startswith(URI):
        ref, slash, prefix = text.removeprefix(URI).partition("/")
        separated = bool(slash)
    else:
        ref, colon, prefix = text.partition(":")
        separated = bool(colon)
    if not ref or prefix.startswith("/") or not (separated or whole):
        wanted = "REF, REF:PREFIX" if whole else "REF:PREFIX"
        raise typer.BadParameter(
            f"{text!r} is no place of the lake: write {wanted} or lake://COMMIT/PREFIX, such as main:stocks_parquet"
        )
    return Place(ref, prefix.removesuffix("/"))
