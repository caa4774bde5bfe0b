"""Which tests on both lakes run on lakeFS in `make test`: those of the lake itself, and the first of each other file.

Above the lake's contract both lakes are used by the same code, so one test of a kind shows that lakeFS serves it as
well. The others run on lakeFS in `make soak`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_CONTRACT = Path(__file__).parent / "lake"


def others_in_soak(items: list[pytest.Item]) -> None:
    """Mark what runs on lakeFS and on the embedded lake, but for the first test of its file, as soak."""
    lakes: dict[tuple[Path, str], set[str]] = {}
    for item in items:
        lakes.setdefault(_test_of(item), set()).add(_lake_of(item))
    first: dict[Path, tuple[Path, str]] = {}
    for item in items:
        test = _test_of(item)
        if _lake_of(item) != "lakefs" or "embedded" not in lakes[test] or _CONTRACT in item.path.parents:
            continue
        if first.setdefault(item.path, test) != test:
            item.add_marker("soak")


def _test_of(item: pytest.Item) -> tuple[Path, str]:
    return item.path, getattr(item, "originalname", item.name)


def _lake_of(item: pytest.Item) -> str:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    found = (value for value in parameters.values() if isinstance(value, str) and value in ("embedded", "lakefs"))
    return next(found, "")
