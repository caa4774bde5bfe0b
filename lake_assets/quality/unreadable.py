"""Errors of files whose rows cannot be read. They name the file and the remedy."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated

if TYPE_CHECKING:
    import pyarrow


_VALUES = re.compile(r"(invalid value) .*|(?<=columns, )(got \d+): .*")
"""What Arrow says of a line, and behind it the line's own text."""


class UnreadableFile(ValueError):
    """A file's rows cannot be read. The message names the file and the remedy."""


@contextmanager
def reading(name: str, remedy: str) -> Generator[None]:
    """Name the file in the errors of its content, without its values. Errors of the file system stay as they are.

    Parameters
    ----------
    name
        Name of the file, for people.
    remedy
        What helps if the content is not of its format. A file that is cut off or damaged must be written again.

    Raises
    ------
    UnreadableFile
        The content cannot be read.
    """
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        helps = "write it again" if isinstance(error, OSError) else remedy
        reason = _VALUES.sub(lambda found: found[1] or found[2], str(error).partition("\n")[0]).rstrip(".")
        # Not chained: the values of a line may be personal.
        raise UnreadableFile(f"{name} cannot be read: {reason}; {helps}") from None


def refuse_names(name: str, columns: Sequence[str]) -> None:
    """Refuse a file whose columns cannot be told apart by their names.

    Parameters
    ----------
    name
        Name of the file, for people.
    columns
        The names of its columns.

    Raises
    ------
    UnreadableFile
        A column has no name, or two have the same, also but for case.
    """
    if "" in columns:
        raise UnreadableFile(f"{name} cannot be read: column {columns.index('') + 1} has no name; give it one")
    try:
        refuse_repeated(columns)
    except RefusedColumn as error:
        raise UnreadableFile(f"{name} cannot be read: {error}") from error


def refuse_others(name: str, found: pyarrow.Schema, wanted: pyarrow.Schema, than: str) -> None:
    """Refuse a file whose columns are not those that are wanted.

    Parameters
    ----------
    name
        Name of the file, for people.
    found, wanted
        Its columns, and those that it must have.
    than
        What has the wanted columns, for the error.

    Raises
    ------
    UnreadableFile
        The columns differ.
    """
    if found.equals(wanted):
        return
    gone = [f"{each} is gone" for each in wanted.names if each not in found.names]
    new = [f"{each} is new" for each in found.names if each not in wanted.names]
    others = [
        f"{each} is {found.field(each).type} and was {wanted.field(each).type}"
        for each in wanted.names
        if each in found.names and found.field(each).type != wanted.field(each).type
    ]
    told = ", ".join([*gone, *new, *others]) or "their order changed"
    raise UnreadableFile(f"{name} has other columns than {than}: {told}")
