"""The link from a commit to the Dagster run."""

from __future__ import annotations

import pytest

from lake_assets.runs.link import run_link


def test_a_commit_links_to_its_run_where_the_web_page_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_WEBSERVER_URL", raising=False)
    assert run_link("abc") == {}
    for url in ("http://127.0.0.1:3000", "http://127.0.0.1:3000/"):
        monkeypatch.setenv("DAGSTER_WEBSERVER_URL", url)
        assert run_link("abc") == {"::lakefs::Dagster::url[url:ui]": "http://127.0.0.1:3000/runs/abc"}
