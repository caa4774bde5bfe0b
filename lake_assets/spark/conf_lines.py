"""Spark's settings as lines of text, in a variable or in a file."""

from __future__ import annotations

from pathlib import Path


class BadConf(ValueError):
    """A line is no setting of Spark. The message has no value, since it may be secret."""


def parse_conf(text: str) -> dict[str, str]:
    """Return settings by name.

    Parameters
    ----------
    text
        Lines ``key=value``, or the path of a file with such lines. Empty lines and those that begin with ``#`` are
        ignored.

    Raises
    ------
    BadConf
        A line is no setting of Spark, or the file cannot be read.
    """
    if "=" in text or not text.strip():
        return _parse(text, "SPARK_CONF")
    path = Path(text.strip()).expanduser()
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        # Neither the text nor the error is shown, since the text may be a setting with a secret.
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise BadConf(f"SPARK_CONF is neither lines key=value nor the path of a file to read: {reason}") from None


def _parse(text: str, origin: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().startswith("spark."):
            raise BadConf(f"{origin}, line {number}: write spark.<name>=<value>")
        settings[name.strip()] = value.strip()
    return settings
