"""Where tables are: LAKE_NOSQL, and what is said without credentials."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from lake_assets import environments
from lake_assets.nosql.contract import NoSQLError
from lake_assets.resources.nosql import DynamoDBNoSQL, LMDBNoSQL

AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION")


@pytest.mark.parametrize(
    ("env", "nosql", "kind"),
    [
        ("embedded", "", LMDBNoSQL),
        ("services", "", DynamoDBNoSQL),
        ("services", "lmdb", LMDBNoSQL),
        ("embedded", "dynamodb", DynamoDBNoSQL),
    ],
)
def test_services_keep_tables_in_dynamodb_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, env: str, nosql: str, kind: type
) -> None:
    monkeypatch.setenv("LAKE_ENV", env)
    monkeypatch.setenv("LAKE_NOSQL", nosql)
    assert isinstance(environments.nosql_resource(), kind)


@pytest.mark.parametrize("missing", ["credentials", "region"])
def test_without_credentials_or_region_one_line_says_so_and_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, missing: str, tmp_path: Any
) -> None:
    for name in (*AWS, "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    if missing == "credentials":
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("LAKE_NOSQL", "dynamodb")
    if missing == "region":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for opened in (environments.open_nosql, lambda: environments.nosql_resource().store):
        with pytest.raises(NoSQLError, match=rf"no {missing}.*LAKE_NOSQL=lmdb") as refused:
            opened()
        assert "\n" not in str(refused.value)


def test_the_resource_writes_and_reads_by_its_settings(monkeypatch: pytest.MonkeyPatch, dynamodb: Any) -> None:
    monkeypatch.setenv("LAKE_NOSQL", "dynamodb")
    monkeypatch.setenv("DYNAMODB_ENDPOINT", dynamodb.endpoint)
    monkeypatch.setenv("DYNAMODB_PREFIX", dynamodb.options()["prefix"])
    monkeypatch.setenv("DYNAMODB_TAGS", "team=desk")
    for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("testing", "testing"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = environments.nosql_resource().store
    store.write("a/b c", pd.DataFrame({"k": ["x"], "v": [1]}), key=["k"])
    reader = environments.open_nosql(read_only=True)
    assert reader.get("a/b c", "x") == {"k": "x", "v": 1}
    with pytest.raises(NoSQLError, match="read-only"):
        reader.drop("a/b c")
    for opened in (store, reader):
        opened.close()
