"""An asset's folder in the lake: one name for one key, and never below that of another asset.

The folder is the key's components joined by dots, as SQL writes ``schema.table``. What a path, a URI or an engine
treats in a way of its own is escaped in a component, as ``~`` and two hexadecimal digits for each byte of UTF-8. Not
with a percent sign: PyArrow reads ``s3://lake/main/a%2Eb`` as ``a.b``, where Spark and DuckDB read what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import AssetKey

# Leading: what engines take for hidden, and what the lake refuses, since some file systems read `git~` as `.git`.
_ESCAPED = re.compile(r"^_|^g(?=it[^a-z0-9_-])|[^a-z0-9_-]", re.IGNORECASE | re.ASCII)
_EMPTY = "~"


def prefix_of(key: AssetKey) -> str:
    """Return an asset's folder: ``sales.daily`` for the key ``sales/daily``."""
    return folder_of(key.path)


def folder_of(components: Sequence[str]) -> str:
    """Return the folder of a key's components."""
    return ".".join(_ESCAPED.sub(_escape, part) or _EMPTY for part in components)


def key_of_prefix(prefix: str) -> AssetKey | None:
    """Return the key whose folder this is; None where it is no asset's."""
    from dagster import AssetKey

    try:
        parts = [_unescaped("" if part == _EMPTY else part) for part in prefix.split(".")]
    except ValueError:
        return None
    return AssetKey(parts) if folder_of(parts) == prefix else None


def old_prefix_of(key: AssetKey) -> str:
    """Return the folder that an asset had in lakes of format 1, where one asset's could lie in another's."""
    return "/".join(key.path)


def name_of(key: AssetKey) -> str:
    """Return what a commit's metadata call an asset: as Dagster shows it, a slash in a component escaped."""
    return key.to_escaped_user_string()


def folders_of_name(name: str) -> tuple[str, ...]:
    """Return where an asset of that name may lie: its folder, and the one it had in lakes of format 1."""
    parts = components_of(name)
    return tuple(dict.fromkeys((folder_of(parts), "/".join(parts))))


def components_of(name: str) -> list[str]:
    """Return the components of an asset's name; the inverse of :func:`name_of`."""
    parts = [""]
    for escaped, text in re.findall(r"\\([\\/])|([^\\/]+|/|\\)", name):
        if text == "/":
            parts.append("")
        else:
            parts[-1] += escaped or text
    return parts


def _escape(found: re.Match[str]) -> str:
    return "".join(f"~{byte:02X}" for byte in found[0].encode())


def _unescaped(part: str) -> str:
    encoded = re.sub(rb"~(.{2})", lambda found: bytes([int(found[1], 16)]), part.encode(), flags=re.DOTALL)
    return encoded.decode()
