"""Reading stored files back: what is claimed to be hashed is hashed, on both lakes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.scrub import Scrub
from lake_assets_tests.lake.backends import put

FILES = {"a": "2017-07-28,101.5\n" * 100, "b/c": "", "d": "x" * 21_000_000, "e": "y" * 3_000_000}


def stored(lake: Lake, path: str) -> Path:
    """Return the file that holds an object's bytes, in either lake's store on this disk."""
    (item,) = lake.list("work", path)
    return Path(item.physical_address.removeprefix("file://").removeprefix("local://"))


def scrub(lake: Lake, wanted: Scrub | None = None) -> tuple[Scrub, dict[str, str]]:
    done = wanted or Scrub()
    commit = lake.head("work").id
    advanced: list[int] = []
    objects = list(lake.list(commit))
    faults = dict(done.faults(lake, commit, objects, advanced.append))
    assert sum(advanced) == sum(item.size for item in objects)
    return done, faults


def change(path: Path, at: int) -> None:
    """Change one byte at equal size."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(b"7" if byte != b"7" else b"8")


@pytest.fixture
def filled(lake: Lake) -> Lake:
    put(lake, "work", "t", FILES)
    return lake


def test_every_file_is_hashed(filled: Lake) -> None:
    done, faults = scrub(filled)
    assert faults == {}
    assert (done.hashed, done.unhashed, done.skipped) == (4, [], 0)
    assert done.read == sum(map(len, FILES.values()))
    assert done.describe().startswith("4 file(s) hashed")
    assert list(filled.verify("work")) == []


@pytest.mark.parametrize(("name", "at"), [("a", 11), ("d", 0), ("d", 20_999_999), ("e", 1_500_000)])
def test_a_byte_that_changed_at_equal_size_is_found(filled: Lake, name: str, at: int) -> None:
    change(stored(filled, f"t/{name}"), at)
    done, faults = scrub(filled)
    assert faults.keys() == {f"t/{name}"}
    assert "checksum" in faults[f"t/{name}"]
    assert done.hashed == 4
    (line,) = filled.verify("work")
    assert line.startswith(f"t/{name}: ")


def test_a_deleted_and_a_cut_object_are_named(filled: Lake) -> None:
    stored(filled, "t/a").unlink()
    cut = stored(filled, "t/e")
    cut.chmod(0o644)
    os.truncate(cut, 1_000_000)
    _, faults = scrub(filled)
    assert faults.keys() == {"t/a", "t/e"}
    assert all("\n" not in fault for fault in faults.values())


def test_a_sample_says_what_it_left_out(filled: Lake) -> None:
    done, faults = scrub(filled, Scrub(sample=50))
    assert faults == {}
    assert (done.hashed, done.skipped) == (2, 2)
    assert "2 file(s) hashed, 2 not in the sample" in done.describe()
    smallest, _ = scrub(filled, Scrub(sample=0))
    assert (smallest.hashed, smallest.skipped) == (1, 3)


def test_a_rate_bounds_what_is_read_in_a_second(filled: Lake) -> None:
    began = time.monotonic()
    done, _ = scrub(filled, Scrub(rate=24))
    assert time.monotonic() - began >= 24_000_000 / 24e6
    assert done.hashed == 4


def test_an_empty_lake_has_nothing_to_hash(lake: Lake) -> None:
    done, faults = scrub(lake)
    assert (done.hashed, faults) == (0, {})
