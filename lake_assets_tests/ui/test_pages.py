"""The pages as a browser draws them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets_tests.ui.browser import browser, chromium
from lake_assets_tests.ui.server import DagsterServer
from lake_assets_tests.ui.test_server import KINDS


@pytest.mark.skipif(chromium() is None, reason="Chromium is not installed (Debian's package is `chromium`)")
def test_the_asset_graph_is_drawn_without_an_error(dagster: DagsterServer, tmp_path: Path) -> None:
    with browser(tmp_path) as page:
        text = page.open(f"{dagster.address}/locations/lake_assets/asset-groups/stocks/lineage", *KINDS)
        page.screenshot(tmp_path / "asset-graph.png")
    assert "error" not in text.lower()
    picture = (tmp_path / "asset-graph.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    # A page that is not drawn yet is a few kilobytes of one colour.
    assert len(picture) > 20_000
