"""Templates that map keys to the paths of a source's files, and paths back to keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Generic, Protocol

from lake_assets.sources.contract import Key, SourceError

_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Naming(Protocol[Key]):
    """The naming of a domain's files, one for each key."""

    @property
    def source(self) -> str:
        """Name of the domain's source in messages, such as ``stocks source``."""
        ...

    @property
    def layout(self) -> str:
        """Template of a file's path below a base."""
        ...

    @property
    def placeholders(self) -> Mapping[str, str]:
        """Each placeholder, without braces, and the regular expression of its values."""
        ...

    def values(self, key: Key) -> Mapping[str, str]:
        """Return the value of each placeholder for a key."""
        ...

    def key(self, values: Mapping[str, str]) -> Key | None:
        """Return the key for values of the placeholders, or None if there is no such key."""
        ...


class Template(Generic[Key]):
    """A text that contains every placeholder of a naming at least once.

    Parameters
    ----------
    text
        A template. If it has no braces, it is a base to which the naming's layout is appended.
    naming
        The naming, which defines the placeholders.
    escape
        Applied to the values of placeholders, such as quoting for a URL.

    Raises
    ------
    SourceError
        A placeholder is unknown or missing, or a brace is not matched.
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
        """The text before the first placeholder, with which every file's path begins."""
        return self.text.partition("{")[0]

    def at(self, key: Key) -> str:
        """Return the text for a key.

        Parameters
        ----------
        key
            The key.
        """
        values = self._naming.values(key)
        return _BRACES.sub(lambda found: self._escape(values[found[0][1:-1]]), self.text)

    def parse(self, text: str) -> Key | None:
        """Return the key of a text without escapes, or None if it does not match.

        Parameters
        ----------
        text
            The text.
        """
        match = self._regex.fullmatch(text)
        return self._naming.key(match.groupdict()) if match is not None else None

    def file_name(self, location: str, key: Key) -> str:
        """Return the local name of a file: its own name if that is a plain name, otherwise the layout's.

        Parameters
        ----------
        location
            Path or URL of the file.
        key
            Its key.
        """
        name = location.rpartition("/")[2]
        return name if _PLAIN_NAME.fullmatch(name) else Template("", self._naming).at(key).rpartition("/")[2]

    def regex(self, text: str) -> re.Pattern[str]:
        """Return a regular expression for a text with placeholders, such as a folder's name in the template.

        Parameters
        ----------
        text
            The text.
        """
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
