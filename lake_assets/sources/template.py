"""Where a source keeps the file of a key: a pattern with placeholders, read both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Generic, Protocol

from lake_assets.sources.contract import Key, SourceError

_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Naming(Protocol[Key]):
    """How the files of a domain are named: one file for each key."""

    @property
    def source(self) -> str:
        """The domain's source as messages call it, such as ``stocks source``."""
        ...

    @property
    def layout(self) -> str:
        """Template of a file's path below a base."""
        ...

    @property
    def placeholders(self) -> Mapping[str, str]:
        """Each placeholder, without braces, to a regular expression of what may stand in its place."""
        ...

    def values(self, key: Key) -> Mapping[str, str]:
        """Return what stands in place of each placeholder in the path of a key's file."""
        ...

    def key(self, values: Mapping[str, str]) -> Key | None:
        """Return the key of these values; None where there is no such key."""
        ...


class Template(Generic[Key]):
    """A pattern that holds every placeholder of a naming, each at least once.

    Parameters
    ----------
    text
        A template, or (no brace in it) a base to which the layout is added.
    naming
        Which placeholders there are, and what they mean.
    escape
        Applied to what takes a placeholder's place, such as quoting for a URL.

    Raises
    ------
    SourceError
        A placeholder is unknown or missing, or a brace stands alone.
    """

    def __init__(self, text: str, naming: Naming[Key], escape: Callable[[str], str] = str) -> None:
        found = _BRACES.findall(text)
        if not found:
            text = f"{text.rstrip('/')}/{naming.layout}" if text else naming.layout
            found = _BRACES.findall(text)
        allowed = [f"{{{name}}}" for name in naming.placeholders]
        listed = " and ".join(allowed)
        for placeholder in found:
            if placeholder not in allowed:
                raise SourceError(f"{naming.source}: {placeholder!r} is not a placeholder; allowed are {listed}")
        for required in allowed:
            if required not in found:
                raise SourceError(f"{naming.source}: the template lacks {required}; it needs {listed}")
        self.text = text
        self._naming = naming
        self._escape = escape
        self._regex = self.regex(text)

    @property
    def prefix(self) -> str:
        """What stands before the first placeholder: every file's path begins with it."""
        return self.text.partition("{")[0]

    def at(self, key: Key) -> str:
        """Return the text for a key."""
        values = self._naming.values(key)
        return _BRACES.sub(lambda found: self._escape(values[found[0][1:-1]]), self.text)

    def parse(self, text: str) -> Key | None:
        """Return the key whose text this is (as it is without escapes), or None."""
        match = self._regex.fullmatch(text)
        return self._naming.key(match.groupdict()) if match is not None else None

    def file_name(self, location: str, key: Key) -> str:
        """Return the name under which a file is kept: its own, or the layout's where that is not a plain name."""
        name = location.rpartition("/")[2]
        return name if _PLAIN_NAME.fullmatch(name) else Template("", self._naming).at(key).rpartition("/")[2]

    def regex(self, text: str) -> re.Pattern[str]:
        """Return what a text with placeholders, such as one folder's name in the template, can look like."""
        pattern, seen = "", set[str]()
        for part in re.split(r"(\{[^{}]*\})", text):
            name = part[1:-1]
            if not part.startswith("{"):
                pattern += re.escape(part)
            elif name in seen:
                pattern += f"(?P={name})"
            else:
                seen.add(name)
                pattern += f"(?P<{name}>{self._naming.placeholders[name]})"
        return re.compile(pattern)
