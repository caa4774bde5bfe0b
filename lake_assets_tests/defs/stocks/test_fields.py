"""Lines are split at once as each would be, character by character."""

from __future__ import annotations

import numpy as np
import pyarrow
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.defs.stocks.fields import Fields
from lake_assets.defs.stocks.schema import COLUMNS
from lake_assets_tests.depth import examples


def split(line: str) -> tuple[list[str], bool]:
    """Return the raw fields of a line, and whether quotes are stray."""
    fields, state, stray = [""], "begin", False
    for character in line:
        quote = character == '"'
        if character == "," and state != "quoted":
            fields.append("")
            state = "begin"
            continue
        fields[-1] += character
        if state == "quoted":
            state = "closed" if quote else "quoted"
        elif state == "text":
            stray |= quote
        else:
            stray |= state == "closed" and not quote
            state = "quoted" if quote else "text"
    return fields, stray or state == "quoted"


def unquoted(field: str) -> str | None:
    """Return a field without its quotes, if nothing but blanks is behind them; None if that is empty."""
    if field[:1] == '"':
        inner = field[1:].replace('""', "\0")
        text, _, rest = inner.partition('"')
        field = text.replace("\0", '"') if not rest.strip(" \r") else field
    return field or None


PIECES = st.sampled_from(['"', '""', ",", ",", '",', ',"', " ", "\r", "a", "雪"])
LINES = st.lists(PIECES, max_size=12).map("".join)
FULL = st.lists(LINES, min_size=len(COLUMNS), max_size=len(COLUMNS)).map(",".join)


@settings(max_examples=examples(200))
@given(st.lists(st.one_of(LINES, FULL), max_size=20))
def test_the_fields_of_lines_are_those_of_each_line(lines: list[str]) -> None:
    expected = [split(line) for line in lines]
    fields = Fields(pyarrow.array([line.encode() for line in lines], pyarrow.binary()))
    assert fields.whole.tolist() == [len(found) == len(COLUMNS) for found, _ in expected]
    whole = [(found, stray) for found, stray in expected if len(found) == len(COLUMNS)]
    assert fields.stray.tolist() == [stray for _, stray in whole]
    for at in range(len(COLUMNS)):
        texts = fields.column(at, np.arange(len(whole))).cast(pyarrow.string()).to_pylist()
        assert texts == [unquoted(found[at]) for found, _ in whole]
