"""Names of tables in DynamoDB."""

from __future__ import annotations

from lake_assets.nosql.contract import NoSQLError

_NAME_LENGTH = 255


def physical(name: str) -> str:
    """Return the name of a table in DynamoDB, which allows few characters.

    Parameters
    ----------
    name
        What all names begin with, and after a dot the table.
    """
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    prefix, dot, table = name.partition(".")
    encoded = "".join(one if one in allowed else "".join(f".{byte:02x}" for byte in one.encode()) for one in table)
    found = f"{prefix}{dot}{encoded}"
    if not 3 <= len(found) <= _NAME_LENGTH:
        raise NoSQLError(f"DynamoDB: {found!r} has not 3 to {_NAME_LENGTH} characters: choose another name")
    return found
