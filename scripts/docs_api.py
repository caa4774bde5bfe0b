"""A hook of MkDocs: the API page lists the top-level names of lake_assets, whatever they are."""

import re
from typing import Any

import lake_assets

MARK = "<!-- top-level names -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page, with one entry for each name in ``lake_assets.__all__`` where the mark stands.

    Parameters
    ----------
    markdown
        The page's text.
    """
    names = sorted(getattr(lake_assets, "__all__", ()), key=str.lower)
    return markdown.replace(MARK, "\n\n".join(f"::: {path_of(name)}" for name in names))


def on_page_content(html: str, **_: Any) -> str:
    """Return the page's HTML without the roles of reStructuredText, which stand in docstrings before names.

    Parameters
    ----------
    html
        What Markdown made of the page.
    """
    return re.sub(r":(?:class|func|meth|attr|data|mod|exc):<code>~?(?:[\w.]+\.)?(\w+)</code>", r"<code>\1</code>", html)


def path_of(name: str) -> str:
    """Return where a top-level name is defined: the package itself imports it lazily, which no parser can follow.

    Parameters
    ----------
    name
        One of ``lake_assets.__all__``.
    """
    value = getattr(lake_assets, name)
    module = getattr(value, "__module__", None)
    return f"{module}.{value.__name__}" if module and hasattr(value, "__name__") else f"lake_assets.{name}"
