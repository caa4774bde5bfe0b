"""Text that is rendered as Markdown, such as descriptions in Dagster's UI."""

from __future__ import annotations

import re

from lake_assets.text.printable import printable

_ACTIVE = re.compile(
    r"""
    [\\`*\[\]<>&#|~!@]      # emphasis, code, links, images, HTML, entities, headings, tables, addresses
    |(?<![^\W_])_|_(?![^\W_])  # emphasis by underscores, which does not begin or end within a word
    |:(?=//)|(?<=\bwww)\.   # links without brackets
    |^[-+=]|(?<=^\d)[.)]    # lists and rules
    """,
    re.VERBOSE | re.IGNORECASE,
)


def as_markdown(text: str) -> str:
    r"""Return Markdown that is rendered as this text: nothing in it is a link, an image, HTML or emphasis.

    Parameters
    ----------
    text
        The text, such as a name or an error that contains data.

    Examples
    --------
    >>> as_markdown("![x](http://evil/x.png) of a_column")
    '\\!\\[x\\](http\\://evil/x.png) of a_column'
    """
    return _ACTIVE.sub(r"\\\g<0>", printable(text))
