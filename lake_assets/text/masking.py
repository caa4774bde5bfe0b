"""Masking secrets in text that people see or that is kept: errors, logs, metadata, settings."""

from __future__ import annotations

import re

MASK = "***"

# A URL ends at white space. A secret in it may have any other character.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(\S+)")
_USER_PART = re.compile(r"""(?<![\w/@.:-])[^\s:/@'"`=,;()<>\[\]{}]+:(?!//)[^\s]*@(?=[\w.\[{-])""")
"""``user:password@host`` without a scheme."""
_USER_PART_BEHIND_SLASHES = re.compile(r"(?<![\w:/.*])//[^\s/:@]*:\S*@(?=[\w.\[{-])")
"""``//user:password@host``."""
_NAMED = re.compile(
    r"""
    (?P<name>[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_.-]?key|access[_.-]?key|credential|signature
        |jaas[_.-]?config|sasl[_.-]?username)[\w.-]*|(?<![\w.-])auth(?:orization)?(?![\w.-]))
    (?P<is>["']\s*[:=]\s*|\s*=\s*|\s*:\s*(?=["']))
    (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&)}\]"']+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""``password=…``, ``'secret.key': '…'`` and the like."""
_JAAS = re.compile(r'\b(username|password)="(?:[^"\\]|\\.)*"')
_BEARER = re.compile(r"\b(bearer|authorization:\s*\w+)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_SEGMENT = re.compile(r"(?<=/)[^/;]+")
_PARAMETER = re.compile(r";[^/;]*")
_TOKEN = re.compile(
    r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_.-]{20,}|(?i:[0-9a-f]{32,})", re.DOTALL
)
"""A part of a path that nobody has thought of: letters of both kinds with digits, or a long hexadecimal number."""
_SAYS_SECRET = re.compile(r"(?i:tokens?|secrets?|passwords?|api[_-]?keys?|access[_-]?keys?|hooks?|webhooks?)")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
_AFTER_URL = re.compile(r"""['"`),;:.\]>]*$""")

_QUOTED_USER = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")
_OBJECT_STORES = frozenset({"s3", "s3a", "lake", "file"})
"""Schemes whose paths may contain ``@`` as it is."""
_PLACEHOLDER = re.compile(r"\{\w+\}")
_BUCKET = re.compile(r"[A-Za-z0-9._-]*")


def mask(text: str) -> str:
    """Return a text with its secrets replaced by ``***``.

    These are user parts, query values and fragments of URLs, parts of their paths that look like tokens or follow a
    word such as ``token``, ``user:password@host``, values with names such as
    ``password`` or ``token``, and access keys of AWS. In doubt it masks too much. A masked text stays as it is.

    Parameters
    ----------
    text
        Any text.

    Examples
    --------
    >>> mask("http://us:PASS/WORD@host/f?token=T#U is not there")
    'http://***@host/f?token=***#*** is not there'
    """
    text = _URL.sub(_masked_url, text)
    text = _USER_PART_BEHIND_SLASHES.sub(f"//{MASK}@", text)
    text = _USER_PART.sub(f"{MASK}@", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _JAAS.sub(rf'\1="{MASK}"', text)
    text = _NAMED.sub(_masked_value, text)
    return _ACCESS_KEY.sub(MASK, text)


def mask_query(query: str) -> str:
    """Mask the values of a URL's query, except those with a placeholder such as ``{date}``.

    A parameter without a value is masked, too, since it may be a token.

    Parameters
    ----------
    query
        The query, without its question mark.
    """
    return "&".join(
        parameter
        if not parameter or _PLACEHOLDER.search(parameter)
        else f"{parameter.partition('=')[0]}={MASK}"
        if "=" in parameter
        else MASK
        for parameter in query.split("&")
    )


def mask_path(path: str) -> str:
    """Mask the parts of a URL's path that look like tokens or follow a word such as ``token``, and ``;name=value``.

    Parts with a placeholder such as ``{date}`` are kept.

    Parameters
    ----------
    path
        The path.
    """
    before = ""

    def masked(found: re.Match[str]) -> str:
        nonlocal before
        segment, says_secret = found[0], _SAYS_SECRET.fullmatch(before) is not None
        before = segment
        if _PLACEHOLDER.search(segment):
            return segment
        return MASK if says_secret or _TOKEN.fullmatch(segment) else segment

    path = _SEGMENT.sub(masked, path)
    return _PARAMETER.sub(lambda found: f";{mask_query(found[0][1:])}", path)


def unclear_user_part(address: str) -> str | None:
    """Return why it is not clear where the user part of an address ends. None if it is clear.

    Such an address must not be shown, nor used: a part of the password may be taken for the host or the path. The
    reason does not contain the address.

    Parameters
    ----------
    address
        The address, with or without a scheme.
    """
    scheme, separator, rest = address.partition("://")
    authority = re.split(r"[/?#\\]", rest if separator else address, maxsplit=1)[0]
    if not separator:
        # A relative path may have an @, but not together with a colon before it.
        return _WITHOUT_SCHEME if re.match(r"(?://+[^/\s:]*:|[^/\s:]+:/?[^/]).*@", address) else None
    user = authority.rpartition("@")[0]
    if _has_paths_with_at(scheme, authority):
        return None
    if "@" in rest[len(authority) :] or _QUOTED_USER.fullmatch(user) is None:
        return _NOT_QUOTED
    return None


_NOT_QUOTED = (
    "its user part is not quoted: write / as %2F, @ as %40, ? as %3F, # as %23 and % as %25 in user and password "
    "(and @ as %40 behind the host). The address is not shown, since it may contain a password"
)
_WITHOUT_SCHEME = (
    "it has a user part, but no scheme such as https://. The address is not shown, since it may contain a password"
)


def _masked_url(found: re.Match[str]) -> str:
    scheme, rest = found[1], found[2]
    end = _AFTER_URL.search(rest)
    after = end[0] if end else ""
    rest = rest[: len(rest) - len(after)]
    if not _has_paths_with_at(scheme, rest.partition("/")[0]):
        _, at, host = rest.rpartition("@")
        rest = f"{MASK}@{host}" if at else rest
    if scheme.lower() in ("file", "lake"):
        return f"{scheme}://{rest}{after}"
    rest, hash_, _ = rest.partition("#")
    path, question, query = rest.partition("?")
    path = mask_path(path) if scheme.lower() not in _OBJECT_STORES else path
    return f"{scheme}://{path}{question}{mask_query(query)}{hash_}{MASK if hash_ else ''}{after}"


def _masked_value(found: re.Match[str]) -> str:
    value = found["value"]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{found['name']}{found['is']}{quote}{MASK}{quote}"


def _has_paths_with_at(scheme: str, authority: str) -> bool:
    return scheme.lower() in _OBJECT_STORES and _BUCKET.fullmatch(authority) is not None
