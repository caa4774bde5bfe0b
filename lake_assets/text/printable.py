"""Text for terminals and logs, without characters that control a terminal or reorder a line."""

from __future__ import annotations

import unicodedata


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with every character escaped that is not printable, such as ESC, C1 controls and bidi overrides.

    Spaces of any script are printable. A printable text is returned as it is.

    Parameters
    ----------
    text
        The text, such as a value, a name or an error.
    keep
        Characters that are not escaped, such as a newline.

    Examples
    --------
    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or _is_printable(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def _is_printable(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"
