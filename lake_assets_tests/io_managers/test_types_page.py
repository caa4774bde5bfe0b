"""docs/types.md says what happens."""

from __future__ import annotations

import os

import pytest

from lake_assets.io_managers.nosql import NoSQLIOManager
from lake_assets.resources.nosql import DynamoDBNoSQL
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.dynamodb_server import DynamoDBServer
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.libraries import LIBRARIES, NO_POLARS
from lake_assets_tests.io_managers.types_page import DYNAMODB, STORAGES, observe, render

PAGE = REPOSITORY_ROOT / "docs" / "types.md"


pytestmark = [
    pytest.mark.skipif("polars.DataFrame" not in LIBRARIES, reason=NO_POLARS),
    pytest.mark.usefixtures("spark"),
]


def check(workbench: Workbench, *storages: str) -> None:
    """Compare the page with what happens in these storages, or write that into it."""
    page = render(PAGE.read_text(), observe(workbench, *storages))
    assert "DIFFERENT" not in page
    if os.environ.get("UPDATE_TYPES_PAGE"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def test_the_page_says_what_happens(workbench: Workbench) -> None:
    check(workbench, "Parquet")


@pytest.mark.soak
def test_the_page_says_what_happens_in_other_storages(workbench: Workbench) -> None:
    check(workbench, *(storage for storage in STORAGES if storage not in ("Parquet", DYNAMODB)))


@pytest.mark.soak
def test_the_page_says_what_happens_on_dynamodb(
    workbench: Workbench, dynamodb: DynamoDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dynamodb.options()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret_access_key"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", options["region_name"])
    nosql = DynamoDBNoSQL(prefix=options["prefix"], endpoint_url=dynamodb.endpoint)
    workbench.resources["dynamodb_io_manager"] = NoSQLIOManager(nosql=nosql, spark=workbench.resources["spark"])
    check(workbench, DYNAMODB)
