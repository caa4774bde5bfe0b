"""A commit's message and metadata as the text of a Git commit with trailers.

A key in plain ``snake_case`` with a value of one line is written as ``Run-id: …``, so that ``git log`` and ``git
interpret-trailers`` can read it. Everything else is JSON in a ``Lake-metadata`` trailer. Our block is always the last
paragraph and begins with ``Lake-format``, so that a message that ends in trailers is not taken for metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_FORMAT = "Lake-format: 1"
_REPLACES = "Lake-replaces"
_METADATA = "Lake-metadata"
_PLAIN_KEY = re.compile(r"(?!lake_)[a-z0-9]+(?:_[a-z0-9]+)*")
_PLAIN_VALUE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


class CommitText(NamedTuple):
    """The parsed text of a commit.

    ``replaces`` are the folders that the commit's write replaced as a whole (see ``GitLake.merge``).
    """

    message: str
    metadata: dict[str, str]
    replaces: tuple[str, ...] = ()


def render(message: str, metadata: Mapping[str, str], replaces: Iterable[str] = ()) -> str:
    """Return the text of a commit.

    Raises
    ------
    TypeError
        A metadata key or value is not a string.
    """
    lines = [_FORMAT]
    lines += (f"{_REPLACES}: {folder}" for folder in replaces)
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"commit metadata must be strings: {key!r} has {value!r}")
        if _PLAIN_KEY.fullmatch(key) and _PLAIN_VALUE.fullmatch(value) and value == value.strip():
            lines.append(f"{key.replace('_', '-').capitalize()}: {value}")
        else:
            lines.append(f"{_METADATA}: {json.dumps([key, value])}")
    return f"{clean_message(message)}\n\n" + "\n".join(lines) + "\n"


def clean_message(message: str) -> str:
    """Return a message that Git can store: stripped, without NUL bytes, valid Unicode."""
    return message.strip().replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def parse(text: str) -> CommitText:
    """Parse the text of a commit. If it has no block of ours, the whole text is the message."""
    message, _, block = text.rpartition("\n\n")
    first, *lines = block.rstrip("\n").split("\n")
    if first != _FORMAT:
        return CommitText(text.strip(), {})
    metadata: dict[str, str] = {}
    replaces: list[str] = []
    for line in lines:
        token, _, value = line.partition(": ")
        if token == _REPLACES:
            replaces.append(value)
        elif token == _METADATA:
            key, value = json.loads(value)
            metadata[key] = value
        else:
            metadata[token.lower().replace("-", "_")] = value
    return CommitText(message, metadata, tuple(replaces))
