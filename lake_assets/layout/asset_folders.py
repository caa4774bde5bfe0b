"""The folder of an asset in the lake. Each key has its own folder, and no asset's folder is inside another's.

The folder is the key's components, joined by dots, as SQL writes ``schema.table``. Characters that are special in
paths, URIs or engines are escaped in a component: as ``~`` and two hexadecimal digits for each byte of UTF-8. A percent
sign would not do, since PyArrow reads ``s3://lake/main/a%2Eb`` as ``a.b``, while Spark and DuckDB do not decode it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import AssetKey

# A leading underscore hides a file from engines. Names that begin with `git` and a special character are refused by the
# lake, since some file systems read `git~` as `.git`.
_ESCAPED = re.compile(r"^_|^g(?=it[^a-z0-9_-])|[^a-z0-9_-]", re.IGNORECASE | re.ASCII)
_EMPTY = "~"


def prefix_of(key: AssetKey) -> str:
    """Return an asset's folder: ``sales.daily`` for the key ``sales/daily``.

    Parameters
    ----------
    key
        Key of the asset.
    """
    return folder_of(key.path)


def folder_of(components: Sequence[str]) -> str:
    """Return the folder of an asset.

    Parameters
    ----------
    components
        The components of its key.
    """
    return ".".join(_ESCAPED.sub(_escape, part) or _EMPTY for part in components)


def key_of_prefix(prefix: str) -> AssetKey | None:
    """Return the asset key that has a folder; None if no key can have it.

    Parameters
    ----------
    prefix
        The folder.
    """
    from dagster import AssetKey

    try:
        parts = [_unescaped("" if part == _EMPTY else part) for part in prefix.split(".")]
    except ValueError:
        return None
    return AssetKey(parts) if folder_of(parts) == prefix else None


def old_prefix_of(key: AssetKey) -> str:
    """Return the folder that an asset had in lakes of format 1, where it could be inside another asset's folder.

    Parameters
    ----------
    key
        Key of the asset.
    """
    return "/".join(key.path)


def name_of(key: AssetKey) -> str:
    """Return the name of an asset in commit metadata: the key as Dagster shows it, with slashes in components escaped.

    Parameters
    ----------
    key
        Key of the asset.
    """
    return key.to_escaped_user_string()


def folders_of_name(name: str) -> tuple[str, ...]:
    """Return the possible folders of an asset: its folder, and the one that it had in lakes of format 1.

    Parameters
    ----------
    name
        Name of the asset in commit metadata.
    """
    parts = components_of(name)
    return tuple(dict.fromkeys((folder_of(parts), "/".join(parts))))


def components_of(name: str) -> list[str]:
    """Return the key components of an asset; the inverse of :func:`name_of`.

    Parameters
    ----------
    name
        Name of the asset in commit metadata.
    """
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
