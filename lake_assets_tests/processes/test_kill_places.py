"""The functions in which the long tests kill a run exist, so that `make test` tells when one of them was renamed."""

from __future__ import annotations

from functools import reduce
from importlib import import_module

import pytest

from lake_assets_tests.processes import (
    test_kills,
    test_warm_lakefs,
    test_ways_in_kills,
    test_words_kills,
)
from lake_assets_tests.processes.kill import Kill


def places() -> list[str]:
    """Return the functions that the kills of all modules name."""
    found: set[str] = set()
    for module in (test_kills, test_warm_lakefs, test_ways_in_kills, test_words_kills):
        for value in vars(module).values():
            kills = value if isinstance(value, list) else [value]
            found |= {kill.call[0] for kill in kills if isinstance(kill, Kill) and kill.call}
    return sorted(found)


def test_there_are_some() -> None:
    assert len(places()) > 20


@pytest.mark.parametrize("place", places())
def test_it_exists(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(reduce(getattr, name.split("."), import_module(module)))
