"""What is printed controls no terminal, and what is Markdown is rendered as it is written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lake_assets.text.markdown import as_markdown
from lake_assets.text.printable import printable


@given(st.text(st.characters()))
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text, "\n\t")
    assert not [c for c in shown if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert printable(shown, "\n\t") == shown
    assert "\n" not in printable(text)


@pytest.mark.parametrize("text", ["Köln", "東京 株", "日本\u3000語", "e\u0301", "🍣", "a\u00a0b"])
def test_letters_spaces_and_emoji_of_any_script_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"), [("\x1b]0;x\x07", "\\x1b]0;x\\x07"), ("\x9b1m", "\\x9b1m"), ("a\u202eb", "a\\u202eb")]
)
def test_escape_sequences_and_bidi_overrides_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


MARKDOWN = [
    "![x](http://evil/x.png)",
    "[a](javascript:b)",
    "**bold** _em_ __strong__ `code`",
    "<img src=x onerror=y> &lt;",
    "http://evil www.evil.example ann@evil.example",
    "# heading",
    "- item\n\n1. one",
    "| a | b |",
    "plain a_b.parquet, 5 rows",
]


def test_markdown_is_rendered_as_the_text_itself() -> None:
    # rich depends on this parser.
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for text in MARKDOWN:
        assert parser.render(as_markdown(text)).strip() == f"<p>{_html(printable(text))}</p>"


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
