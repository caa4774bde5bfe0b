"""Rollback beside files that other programs put on ``main``: by their exact paths, whatever these are."""

from __future__ import annotations

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.runs.verification import Verification
from lake_assets_tests.lake.stranger import Stranger
from lake_assets_tests.runs.test_rollback import rolled_back
from lake_assets_tests.small_graph import SmallGraph

FOREIGN = [
    "README.md",
    "/lead",
    "demo/t/../z",
    "./here",
    "../up",
    "_temporary/0/part-0",
    "prices/_temporary/0/part-0",
    "q//b",
    "a/marker/",
    "demo/_SUCCESS",
    "prices/partition=mon/_SUCCESS",
    "prices/partition=mon//x",
    "prices/README.md",
    "x\\y",
    "tab\there",
    "line\nbreak",
    "naïve ünïcode 漢字 😀",
    "with space/and+plus&amp?=%41#frag",
    "n" * 300,
    ".git/config",
    "x_$folder$",
    "z/.a.crc",
]


@pytest.mark.parametrize("small", [pytest.param("lakefs", marks=pytest.mark.services)], indirect=True)
@pytest.mark.parametrize("direction", ["came", "went", "changed"])
def test_files_of_others_are_restored_exactly(small: SmallGraph, lake: LakeFSLake, direction: str) -> None:
    small.publish("mon", 1.0)
    other = Stranger(lake.repository.rpartition("/")[2])
    # A run would refuse to write an asset among files that are not its own, or replace them.
    foreign = [path for path in FOREIGN if direction == "came" or not path.startswith("prices/")]
    if direction != "came":
        other.publish(*foreign, content=b"as it was")
    before = other.objects(MAIN)
    contents = {path: other.content(MAIN, path) for path in before if not path.startswith(".lake/")}
    target = lake.head(MAIN).id
    small.publish("mon", 1.0, 2.0)
    if direction == "came":
        other.publish(*foreign)
    elif direction == "changed":
        other.publish(*foreign, content=b"as it is now")
    else:
        other.unpublish(*foreign)
    bad = lake.head(MAIN).id

    rolled_back(small, lake, target)

    assert not lake.diff(target, MAIN)
    assert {path: other.content(MAIN, path) for path in contents} == contents
    assert data(other.objects(MAIN)) == data(before)

    checked = Verification(lake, small.instance, MAIN)
    named = {problem.path for problem in checked.problems(lambda _: None)}
    assert all(path.startswith(("prices", "commit")) for path in named)
    assert checked.scrub.hashed == len(checked.objects)

    # And forth again: what was restored once can be restored from where it stands now.
    restored = lake.head(MAIN).id
    rolled_back(small, lake, bad)
    rolled_back(small, lake, restored)
    assert {path: other.content(MAIN, path) for path in contents} == contents


def data(objects: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    return {path: held for path, held in objects.items() if not path.startswith(".lake/")}
