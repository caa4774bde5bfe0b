"""Rollback beside files that other programs put on ``main``: by their exact paths, whatever these are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
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


PLAIN = ["README.md", "q/_SUCCESS", "_temporary/0/part-0", "demo/x.crc", "naïve 漢字", "prices_notes/a", "x\\y"]


@pytest.mark.parametrize("direction", ["came", "went", "changed"])
def test_plain_files_that_git_brought_are_restored_exactly(
    small: SmallGraph, lake: GitLake, tmp_path: Path, direction: str
) -> None:
    def brought(content: str | None) -> None:
        """Commit plain files to ``main`` by Git alone, or remove them."""
        clone = tmp_path / "clone"
        if not clone.exists():
            git("clone", "--quiet", "--no-checkout", home, str(clone))
        git("-C", str(clone), "fetch", "--quiet", "origin", MAIN)
        git("-C", str(clone), "reset", "--quiet", "FETCH_HEAD")
        for path in PLAIN:
            file = clone / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_text(content)
        git("-C", str(clone), "add", "--all", "--", *PLAIN)
        git("-C", str(clone), "commit", "--quiet", "--message", "By hand")
        git("-C", str(clone), "push", "--quiet", "origin", f"HEAD:{MAIN}")

    home = str(Path(os.environ["LAKE_HOME"], "lake.git"))
    small.publish("mon", 1.0)
    if direction != "came":
        brought("as it was")
    target = lake.head(MAIN).id
    small.publish("mon", 1.0, 2.0)
    brought(None if direction == "went" else "as it is now")

    rolled_back(small, lake, target)

    assert not lake.diff(target, MAIN)
    assert git("-C", home, "rev-parse", f"{MAIN}^{{tree}}") == git("-C", home, "rev-parse", f"{target}^{{tree}}")


def git(*arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    done = subprocess.run(["git", *arguments], env={**os.environ, **who}, capture_output=True, text=True, check=True)
    return done.stdout
