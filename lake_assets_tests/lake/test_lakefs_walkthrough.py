"""The walk-through in the documentation, run as it stands."""

from __future__ import annotations

import doctest

import pytest

from lake_assets_tests import lakefs_server
from lake_assets_tests.conftest import REPOSITORY_ROOT

pytestmark = pytest.mark.services


def test_the_walkthrough_prints_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    monkeypatch.setenv("LAKEFS_ENDPOINT", endpoint)
    monkeypatch.setenv("LAKEFS_REPOSITORY", repository)
    monkeypatch.setenv("LAKEFS_ACCESS_KEY_ID", lakefs_server.CREDENTIALS[0])
    monkeypatch.setenv("LAKEFS_SECRET_ACCESS_KEY", lakefs_server.CREDENTIALS[1])
    failed, tried = doctest.testfile(str(REPOSITORY_ROOT / "docs" / "lakefs-walkthrough.md"), module_relative=False)
    assert (failed, tried > 20) == (0, True)
