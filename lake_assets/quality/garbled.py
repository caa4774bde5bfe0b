"""How texts look that were decoded wrongly (mojibake): bytes of UTF-8 that were read as another encoding.

UTF-8 writes a letter outside of ASCII as a leading byte and one to three further ones. Read as another encoding, they
become two to four characters, which correct texts do not have side by side: ``ü`` becomes ``Ã¼``.
"""

from __future__ import annotations

from collections.abc import Iterable


def _characters(encodings: Iterable[str], first: int, last: int) -> str:
    """Return the characters that some bytes are in some encodings, to stand in brackets of a pattern."""
    found = {bytes([byte]).decode(encoding, "ignore") for encoding in encodings for byte in range(first, last + 1)}
    return "".join(sorted(found))


_MARKS = "»’“”…–—"
"""These also follow a letter where nothing is wrong."""
_WESTERN = _characters(["latin-1", "cp1252"], 0x80, 0xBF)
_RARE = "".join(character for character in _WESTERN if character not in _MARKS)
_DOS = "".join(one for one in _characters(["cp437", "cp850"], 0x80, 0xBF) if not "─" <= one <= "╬")
_MAC = _characters(["mac_roman"], 0x80, 0xBF)
_CYRILLIC = _characters(["cp1251"], 0x80, 0xBF)

GARBLED = "|".join(
    [
        "\ufffd",  # what a decoder writes for what it cannot decode
        f"[ÂÃ][{_WESTERN}]",  # Latin letters
        f"[ÄÅÎÏÐÑ][{_RARE}]",  # Latin letters with other marks, Greek, Cyrillic
        f"[à-ï][{_RARE}][{_WESTERN}]",  # quotes and dashes, Chinese, Japanese, Korean
        "ð[Ÿ\u009f]",  # emoji
        f"(?:[Â-ß][{_WESTERN}]){{2}}",
        f"[─-╬][{_DOS}]",
        f"Γ[Çé][{_DOS}]",
        f"[¬√ƒ≈][{_MAC}]",
        f"(?:[Œœ–—][{_MAC}]){{2}}",
        f"‚Ä[{_MAC}]",
        f"(?:[РС][{_CYRILLIC}]){{2}}",
    ]
)
"""A pattern (RE2) for texts of which a part was decoded wrongly."""
