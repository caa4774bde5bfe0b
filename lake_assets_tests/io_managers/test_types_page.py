"""docs/types.md says what happens."""

from __future__ import annotations

import os

import pytest

from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.libraries import LIBRARIES, NO_POLARS
from lake_assets_tests.io_managers.types_page import observe, render

PAGE = REPOSITORY_ROOT / "docs" / "types.md"


@pytest.mark.skipif("polars.DataFrame" not in LIBRARIES, reason=NO_POLARS)
@pytest.mark.usefixtures("spark")
def test_the_page_says_what_happens(workbench: Workbench) -> None:
    page = render(observe(workbench))
    assert "DIFFERENT" not in page
    if os.environ.get("UPDATE_TYPES_PAGE"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page
