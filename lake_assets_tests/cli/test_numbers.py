"""Numeric options: whatever number is given, the command does its work or refuses in one line with exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.models import OptionInfo

from lake_assets.cli.app import app
from lake_assets.cli.options import not_nan
from lake_assets.lake.contract import Lake
from lake_assets.nosql.contract import NoSQLStore
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.depth import examples

HUGE = "99999999999999999999"

WRONG = [
    ("log", "--limit", HUGE),
    ("log", "--limit", "-1"),
    ("log", "--limit", "1e3"),
    ("cat", "main:stocks_parquet", "--limit", HUGE),
    ("cat", "main:stocks_parquet", "--limit", "nan"),
    ("diff", "main", "main", "--rows", "stocks_parquet", "--key", "ISIN", "--limit", HUGE),
    ("sweep", "--older-than", "1e300"),
    ("sweep", "--older-than", "nan"),
    ("verify", "--sample", "nan"),
    ("verify", "--rate", "1e300"),
    ("sweep", "--older-than", "inf"),
    ("sweep", "--older-than", "-1"),
    ("gc", "--grace", "1e300"),
    ("gc", "--grace", "nan"),
    ("expire", "--older-than", "1e300"),
    ("expire", "--older-than", f"{HUGE}d"),
    ("expire", "--older-than", "-1d"),
    ("stream", "words", "--trigger", "nan"),
    ("stream", "words", "--trigger", "1e300"),
    ("topic", "create", "x", "--partitions", HUGE),
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_a_number_out_of_bounds_is_wrong_usage(command: Command, lake: Lake, arguments: tuple[str, ...]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.output


def test_a_limit_of_0_is_none(command: Command, answer: Callable[..., Any], lake: Lake) -> None:
    every = answer("log", "--limit", "0")
    assert every == answer("log", "--limit", "1000")
    assert len(every) > len(answer("log", "--limit", "1")) == 1
    assert answer("log", "--first-parent", "--limit", "0") == answer("log", "--first-parent")


def _numeric() -> dict[tuple[tuple[str, ...], str], tuple[Any, OptionInfo]]:
    """Return each numeric option of each command."""
    groups = [((), app), *(((group.name,), group.typer_instance) for group in app.registered_groups)]
    return {
        ((*path, command.name or command.callback.__name__), f"--{name.replace('_', '-')}"): (kind, information)
        for path, group in groups
        for command in group.registered_commands
        for name, hint in get_type_hints(command.callback, include_extras=True).items()
        if get_origin(hint) is Annotated
        for kind, information in [get_args(hint)]
        if {int, float} & {kind, *get_args(kind)}
    }


ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("log",): (),
    ("cat",): ("main:stocks_parquet",),
    ("diff",): ("main", "main"),
    ("sweep",): ("--dry-run",),
    ("gc",): (),
}
"""Arguments of the commands that need no server."""

NUMBERS = (
    st.integers().map(str)
    | st.floats().map(str)
    | st.text(max_size=5).filter(lambda text: not text.startswith("-"))
    | st.sampled_from(["1e300", "-0", "-0.0", "1_000", "٣", "0x10", "", " 1", "9" * 5000, "-9" * 400, "1e-400"])
)


def test_every_numeric_option_has_bounds_and_refuses_nan() -> None:
    options = _numeric()
    assert {path[-1] for path, _ in options} >= {"log", "cat", "diff", "sweep", "gc", "consume", "create", "words"}
    for option, (kind, information) in options.items():
        assert information.min is not None, option
        assert information.max is not None, option
        if float in {kind, *get_args(kind)}:
            # NaN is within all bounds.
            assert information.callback is not_nan, option


@settings(max_examples=examples(25))
@example(number=HUGE)
@example(number="1e300")
@example(number="nan")
@given(number=NUMBERS)
def test_any_number_is_taken_or_refused(command: Command, lake: Lake, store: NoSQLStore, number: str) -> None:
    for path, option in _numeric():
        if path not in ARGUMENTS or path == ("sweep",):
            continue
        result = command(*path, *ARGUMENTS[path], f"{option}={number}")
        assert result.exit_code in (0, 2), (path, number, result.output)
