"""docs/types.md says what happens."""

from __future__ import annotations

import os
from typing import Any

from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.types_page import observe, render

PAGE = REPOSITORY_ROOT / "docs" / "types.md"


def test_the_page_says_what_happens(spark: Any, workbench: Workbench) -> None:
    page = render(observe(spark, workbench))
    assert "DIFFERENT" not in page
    if os.environ.get("UPDATE_TYPES_PAGE"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page
